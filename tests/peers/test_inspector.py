"""The official MCP Inspector against ``sallyport serve``: a client that we did not write."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.waiting import until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PACKAGE = "@modelcontextprotocol/inspector"
VERSION = "2.12.0"
ENVIRONMENT: Mapping[str, str] = os.environ  # noqa: TID251 - what npm, node and our own command need
COMMAND = Path(sys.executable).with_name("sallyport")


def cannot(reason: str) -> None:
    """Leave the peer out; where peers are wanted that is a failure."""
    if ENVIRONMENT.get("REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def inspector() -> Path:
    """Install the Inspector where it is not there yet, and return its command line."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        cannot("node and npm are needed")
    folder = ROOT / ".peers"
    folder.mkdir(exist_ok=True)
    package = folder / "node_modules" / PACKAGE
    with (folder / "inspector.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed(package) != VERSION:
            arguments = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund"]
            done = subprocess.run(
                [npm or "", "install", *arguments, "--ignore-scripts", f"{PACKAGE}@{VERSION}"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if installed(package) != VERSION:
                cannot(f"npm could not install the Inspector: {done.stderr[-500:]}")
    return package / "clients" / "launcher" / "build" / "index.js"


def installed(package: Path) -> str | None:
    manifest = package / "package.json"
    return json.loads(manifest.read_text())["version"] if manifest.exists() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running ``sallyport serve`` with a tenant in it, and both command lines."""

    url: str
    folder: Path
    environment: Mapping[str, str]
    launcher: Path

    def sallyport(self, *arguments: str) -> dict[str, Any]:  # Any: a command's own JSON
        done = subprocess.run(
            [str(COMMAND), *arguments, "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def inspect(self, token: str, *arguments: str, era: str) -> dict[str, Any]:  # Any: MCP's JSON
        target = ["--cli", f"{self.url}/mcp", "--header", f"Authorization: Bearer {token}"]
        shown = ["--format", "json", "-q", "--protocol-era", era]
        done = subprocess.run(
            ["node", str(self.launcher), *target, *shown, *arguments],
            cwd=self.folder,
            env={
                **self.environment,
                "HOME": str(self.folder),
                "MCP_CATALOG_PATH": str(self.folder / "catalog.json"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["result"]

    def call(
        self, token: str, tool: str, arguments: Mapping[str, object], *, era: str
    ) -> dict[str, Any]:  # Any: a tool's own JSON
        return self.inspect(
            token,
            *("--method", "tools/call", "--tool-name", tool),
            *("--tool-args-json", json.dumps(arguments)),
            era=era,
        )


@pytest.fixture
async def served(
    inspector: Path, tmp_path: Path, spawned: Callable[..., subprocess.Popen[bytes]]
) -> Served:
    """Start the whole server on a data folder and a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ours = {key: value for key, value in ENVIRONMENT.items() if not key.startswith("SALLYPORT_")}
    environment = ours | {
        "SALLYPORT_DATA_DIR": str(tmp_path / "data"),
        "SALLYPORT_PORT": str(port),
        "SALLYPORT_LLM": "scripted",
    }
    url = f"http://127.0.0.1:{port}"
    process = spawned([str(COMMAND), "serve"], cwd=tmp_path, env=environment)

    async def is_ready() -> bool:
        assert process.poll() is None, (tmp_path / "serve.log").read_text()
        async with httpx2.AsyncClient() as http:
            try:
                return (await http.get(f"{url}/readyz")).status_code == 200
            except httpx2.TransportError:
                return False

    await until(is_ready, seconds=90)
    return Served(url=url, folder=tmp_path, environment=environment, launcher=inspector)


@pytest.fixture
def spawned(tmp_path: Path) -> Generator[Callable[..., subprocess.Popen[bytes]]]:
    """Start programs that end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "serve.log").open("wb") as log:

        def spawn(
            arguments: list[str], *, cwd: Path, env: Mapping[str, str]
        ) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(arguments, cwd=cwd, env=env, stdout=log, stderr=log)
            started.append(process)
            return process

        yield spawn
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_lists_calls_waits_and_gets_the_result(
    served: Served, era: str
) -> None:
    served.sallyport("tenant", "create", "acme")
    for email, role in (("alice@acme.test", "member"), ("bob@acme.test", "approver")):
        served.sallyport(
            "principal", "create", "--tenant", "acme", "--email", email, "--role", role
        )
    token = served.sallyport(
        *("token", "create", "--tenant", "acme", "--as", "alice@acme.test", "--audience", "mcp")
    )["token"]

    listed = served.inspect(token, "--method", "tools/list", "--strict", era=era)["tools"]
    names = [tool["name"] for tool in listed]
    assert names == sorted(names)
    assert {"list_projects", "delete_task", "approval_status"} <= set(names)

    projects = served.call(token, "list_projects", {}, era=era)
    assert projects["isError"] is False
    (inbox,) = projects["structuredContent"]["projects"]
    made = served.call(
        token, "create_task", {"project_id": inbox["id"], "title": "Old draft"}, era=era
    )
    task_id = made["structuredContent"]["task"]["id"]

    pending = served.call(token, "delete_task", {"task_id": task_id}, era=era)["structuredContent"]
    assert pending["status"] == "pending_approval"
    asked = {"approval_id": pending["approval_id"]}
    waiting = served.call(token, "approval_status", asked, era=era)["structuredContent"]
    assert waiting["status"] == "pending_approval"

    served.sallyport(
        *("approvals", "decide", pending["approval_id"], "approve"),
        *("--tenant", "acme", "--as", "bob@acme.test"),
    )

    async def is_settled() -> bool:
        seen = served.call(token, "approval_status", asked, era=era)["structuredContent"]
        return seen["status"] not in {"pending_approval", "running"}

    await until(is_settled, seconds=60)
    settled = served.call(token, "approval_status", asked, era=era)["structuredContent"]
    assert settled["status"] == "succeeded"
    assert settled["result"] == {"task_id": task_id, "deleted": True}
    assert settled["decided_by"] == ["bob@acme.test"]

    gone = served.call(token, "delete_task", {"task_id": task_id}, era=era)
    assert gone["isError"] is True
    assert gone["structuredContent"]["error"]["code"] == "not_found"
