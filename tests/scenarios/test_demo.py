"""The demo, run as a visitor runs it: by itself, by hand, again after a crash, and told to end."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from sallyport.demo.story import STEPS
from tests.command_line import SCRIPT, CommandLine, CommandLineForked, CommandLineHere

_SECONDS = 60.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the module one data folder: the demo is to be run in it again and again."""
    return Path(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def cli(data_dir: Path) -> CommandLine:
    """Give the demo with a key that it must not use, and a folder of its own for it."""
    settings = {"ANTHROPIC_API_KEY": "not-a-key", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    return CommandLineForked(data_dir, environment=settings)


@pytest.fixture
def demo_data(data_dir: Path) -> CommandLine:
    """Give the command line on the demo's own data."""
    return CommandLine(data_dir / "demo")


@pytest.fixture
def taken_port() -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_demo_plays_itself_again_after_it_was_killed_in_the_middle(
    cli: CommandLine, demo_data: CommandLine
) -> None:
    with cli.running("demo", "--auto") as killed:
        killed.line_with("Alice asks")
        killed.process.kill()
        killed.process.wait()

    said = cli.run("demo", "--auto", "--json")

    lines = said.out.splitlines()
    assert len(lines) == 1
    told = json.loads(lines[-1])
    assert told["steps"] == dict.fromkeys(STEPS, True)
    assert told["ok"] is True
    assert told["audit_records"] > 10
    assert told["run_id"]
    assert "Undo" in said.err
    assert not demo_data.postgres_runs()


def test_demo_stays_up_at_a_free_port_with_clients_that_work(
    cli: CommandLine, demo_data: CommandLine
) -> None:
    with ExitStack() as stack:
        # Whoever has it: the port that nobody chose is taken.
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        staying = stack.enter_context(cli.running("demo", "--json"))
        told = json.loads(staying.first_line())
        assert told["ok"] is True
        assert not told["url"].endswith(":8080")
        url, token = told["url"], told["mcp_token"]
        listed = httpx2.post(
            f"{url}/mcp",
            headers={
                "authorization": f"Bearer {token}",
                "accept": "application/json, text/event-stream",
            },
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
        )
        assert "delete_task" in listed.text
        foreign = httpx2.get(f"{url}/healthz", headers={"host": "evil.example"})
        assert foreign.status_code == 421
        code, seconds = staying.end(signal.SIGINT)
    assert code == 0
    assert seconds < 8
    assert not demo_data.postgres_runs()


@pytest.mark.parametrize(
    "setting",
    [{"SALLYPORT_PUBLIC_URL": "https://demo.example"}, {"SALLYPORT_HOST": "0.0.0.0"}],  # noqa: S104 - refused
    ids=["public-url", "host"],
)
def test_demo_answers_on_this_machine_only(tmp_path: Path, setting: dict[str, str]) -> None:
    error = CommandLineHere(tmp_path, environment=setting).json("demo", "--auto", code=1)["error"]
    assert error["code"] == "demo_stays_here"
    assert next(iter(setting)) in error["message"]


def test_demo_does_not_leave_the_port_that_was_chosen(data_dir: Path, taken_port: int) -> None:
    cli = CommandLineForked(data_dir, environment={"SALLYPORT_PORT": str(taken_port)})
    assert cli.json("demo", "--auto", code=1)["error"]["code"] == "port_taken"


def test_reason_typed_at_the_terminal_denies_and_ctrl_c_ends_well(data_dir: Path) -> None:
    terminal, line = pty.openpty()
    environment = {
        "PATH": "/usr/bin:/bin",
        "SALLYPORT_DATA_DIR": str(data_dir),
        "TERM": "dumb",
        "COLUMNS": "200",
    }
    with subprocess.Popen(
        [SCRIPT, "demo"], env=environment, stdin=line, stdout=line, stderr=line
    ) as process:
        os.close(line)
        try:
            _read_until(terminal, "Press Enter to approve as Bob")
            os.write(terminal, b"We still need it\n")
            told = _read_until(terminal, "Ctrl-C ends it.")
            process.send_signal(signal.SIGINT)
            assert process.wait(_SECONDS) == 0
        finally:
            process.kill()
            os.close(terminal)
    assert "denied this: We still need it" in told
    assert "takes the deletion back" not in told


def _read_until(terminal: int, text: str) -> str:
    until = time.monotonic() + _SECONDS
    seen = ""
    while text not in seen:
        assert time.monotonic() < until, seen
        seen += os.read(terminal, 65_536).decode(errors="replace")
    return seen
