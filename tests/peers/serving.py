"""``sallyport serve`` in a process of its own, with a data folder and a port of its own."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2

from tests.loopback import http_client
from tests.outside import COMMAND, ENVIRONMENT
from tests.waiting import until

_START_SECONDS = 90
_COMMAND_SECONDS = 60


class Spawn(Protocol):
    """Starts a program that ends with the test."""

    def __call__(
        self, arguments: list[str], *, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server, and the operator's command line beside it."""

    url: str
    folder: Path
    environment: Mapping[str, str]

    def sallyport(self, *arguments: str, given: str = "") -> dict[str, Any]:  # Any: its own JSON
        done = subprocess.run(
            [str(COMMAND), *arguments, "--json"],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def served_in(folder: Path, *, spawn: Spawn, **settings: str) -> Served:
    """Start the whole server on a data folder and a port of its own, and wait until it is ready."""
    port = free_port()
    ours = {key: value for key, value in ENVIRONMENT.items() if not key.startswith("SALLYPORT_")}
    environment = ours | {
        "SALLYPORT_DATA_DIR": str(folder / "data"),
        "SALLYPORT_PORT": str(port),
        "SALLYPORT_LLM": "scripted",
        **settings,
    }
    url = f"http://127.0.0.1:{port}"
    process = spawn([str(COMMAND), "serve"], environment=environment)
    await until_answers(f"{url}/readyz", process=process, said=folder / "said.log")
    return Served(url=url, folder=folder, environment=environment)


async def until_answers(url: str, *, process: subprocess.Popen[bytes], said: Path) -> None:
    """Wait until ``url`` answers; fail with what was said where the process ends before."""

    async def is_ready() -> bool:
        assert process.poll() is None, await asyncio.to_thread(said.read_text)
        async with http_client() as http:
            try:
                return (await http.get(url)).is_success
            except httpx2.TransportError:
                return False

    await until(is_ready, seconds=_START_SECONDS)


async def pending_at(served: Served, *, tenant: str) -> str:
    """Return the id of the one approval of a tenant that waits, once there is one."""
    found: list[str] = []

    async def is_there() -> bool:
        asked = ("approvals", "list", "--tenant", tenant, "--state", "pending")
        listed = await asyncio.to_thread(served.sallyport, *asked)
        found[:] = [approval["id"] for approval in listed["items"]]
        return bool(found)

    await until(is_there, seconds=60)
    (approval_id,) = found
    return approval_id
