"""Upstream servers in processes of their own, and a world whose tenants may connect to them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Any: JSON, as a test writes it.
from typing import Any

from core.domain.ids import CredentialRef, TenantId
from core.domain.principal import Caller
from core.domain.tool import Risk, Tool
from core.domain.upstream import Connection, Sighting, Terms, tool_of
from core.tools.mcp_allowed import AllowedUpstream
from sallyport.settings import Settings, of_values
from tests.nouns import NOON
from tests.world import World

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that listens on a port of this machine; ``state`` says what it is like."""

    port: int
    state: Path

    def url(self, path: str = "/mcp") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def become(self, **state: Any) -> None:  # noqa: ANN401 - JSON
        self.state.write_text(json.dumps(state), encoding="utf-8")

    @property
    def book(self) -> list[str]:
        """The lines that were written into its book."""
        book = self.state.with_suffix(".book")
        return book.read_text(encoding="utf-8").splitlines() if book.exists() else []


class UpstreamServers:
    """Servers by name, each in a process of its own; the next test has the same where it lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, tuple[subprocess.Popen[bytes], Server]] = {}

    def fresh(self, name: str = "upstream") -> Server:
        """Return a server that is as it was made."""
        if name in self._running and self._running[name][0].poll() is not None:
            self._end(name)
        if name not in self._running:
            self._running[name] = self._start(self._folder / f"{name}.json")
        _, server = self._running[name]
        for left in (server.state, server.state.with_suffix(".book")):
            left.unlink(missing_ok=True)
        return server

    def end(self) -> None:
        """Let no process outlive the tests."""
        for name in tuple(self._running):
            self._end(name)

    def _end(self, name: str) -> None:
        process, _ = self._running.pop(name)
        process.kill()
        process.communicate()

    def _start(self, state: Path) -> tuple[subprocess.Popen[bytes], Server]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.upstream_server", "http", str(state)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        return process, Server(port=int(process.stdout.readline()), state=state)


def over_pipes(folder: Path, name: str = "pipes") -> dict[str, Any]:
    """Return the settings of a server that is started, and speaks over pipes."""
    return _started("tests.upstream_server", "stdio", str(folder / f"{name}.json"))


def over_plain_pipes(folder: Path, name: str = "plain") -> dict[str, Any]:
    """Return the settings of one that is started much sooner: it is not built on the SDK."""
    return _started("tests.upstream_plain", str(folder / f"{name}.json"))


def _started(*program: str) -> dict[str, Any]:
    return {
        "command": [sys.executable, "-m", *program],
        "folder": str(ROOT),
        "credential_variable": "UPSTREAM_SECRET",
        "connect_seconds": 30.0,
    }


def settings_with(folder: Path, upstreams: Mapping[str, Mapping[str, Any]]) -> Settings:
    return of_values(
        {"data_dir": folder, "llm": "scripted", "model": "scripted", "upstreams": upstreams}
    )


def allowed(settings: Mapping[str, Mapping[str, Any]]) -> Mapping[str, AllowedUpstream]:
    return of_values({"upstreams": settings}).upstreams.allowed


class Records:
    """Connections in memory: every tenant is connected to everything."""

    def __init__(self) -> None:
        self.seen: dict[tuple[TenantId, str], dict[str, Sighting]] = {}
        self.credential: CredentialRef | None = None
        self.looks = 0

    async def connection(self, tenant_id: TenantId, *, upstream: str) -> Connection:
        return Connection(
            tenant_id=tenant_id,
            upstream=upstream,
            credential=self.credential,
            revision=1,
            connected_by="carol@acme.test",
            connected_at=NOON,
        )

    async def saw(
        self, tenant_id: TenantId, *, upstream: str, sightings: Sequence[Sighting]
    ) -> tuple[str, ...]:
        self.looks += 1
        self.seen[tenant_id, upstream] = {one.name: one for one in sightings}
        return ()


SAFE = Terms(risk=Risk.SAFE, timeout_seconds=20)


def tool_seen(sighting: Sighting, *, upstream: str, terms: Terms = SAFE) -> Tool:
    """Return a seen tool as if it were accepted under these terms."""
    return tool_of(
        sighting.definition,
        name=sighting.name,
        upstream=upstream,
        terms=terms,
        version=1,
        digest=sighting.definition.digest,
    )


async def accepted(
    world: World, admin: Caller, *, upstream: str, secret: str | None = None, **risks: Risk
) -> None:
    """Connect, accept everything sound, and give the tools named these risks."""
    upstreams = world.assembly.upstreams
    await upstreams.connect(admin, upstream=upstream, secret=secret)
    for tool in await upstreams.accept_all(admin, upstream=upstream):
        short = tool.name.removeprefix(f"{upstream}__")
        await upstreams.set_terms(
            admin,
            name=tool.name,
            terms=Terms(risk=risks.get(short, Risk.DESTRUCTIVE), timeout_seconds=20),
        )
