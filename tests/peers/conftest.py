"""What the peers meet: a whole ``sallyport serve``, and an identity provider that is not ours."""

import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.outside import Npm, installed
from tests.peers.acme import Acme, acme_on
from tests.peers.serving import Served, Spawn, served_in


@pytest.fixture(scope="session")
def npm() -> Npm:
    """Install the outside peers where they are not there yet."""
    return installed()


@pytest.fixture
def spawned(tmp_path: Path) -> Generator[Spawn]:
    """Start programs that end with the test; what they say is in ``said.log``."""
    started: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "said.log").open("wb") as log:

        def spawn(arguments: list[str], *, environment: dict[str, str]) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                arguments, cwd=tmp_path, env=environment, stdout=log, stderr=log
            )
            started.append(process)
            return process

        yield spawn
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(timeout=30)


@pytest.fixture
async def served(tmp_path: Path, spawned: Spawn) -> Served:
    """Start the whole server; calls that wait for people are held for a moment only."""
    return await served_in(tmp_path, spawn=spawned, SALLYPORT_MCP_WAIT_SECONDS="2")


@pytest.fixture
async def acme(npm: Npm, tmp_path: Path, spawned: Spawn) -> Acme:
    """Start the whole server with a company in it that signs in through its own provider."""
    return await acme_on(tmp_path, npm=npm, spawn=spawned)
