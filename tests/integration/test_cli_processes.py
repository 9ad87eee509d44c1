"""Processes that last: they say when they are ready, work together, and end when they are told."""

import json
import signal
import socket
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from core.store.embedded import EmbeddedPostgres
from tests.command_line import CommandLine, CommandLineForked, CommandLineHere, Json

ACME = "--tenant=acme"
ALICE = (ACME, "--as=alice@acme.test")
_LONGEST_ENDING_SECONDS = 8.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the module one data folder with a tenant in it, and no server of ours on it."""
    data_dir = Path(tmp_path_factory.mktemp("processes"))
    line = CommandLineHere(data_dir)
    with EmbeddedPostgres(data_dir):
        line.json("tenant", "create", "acme", "--tier=pro")
        line.json("principal", "create", ACME, "--email=alice@acme.test", "--role=member")
    return data_dir


@pytest.fixture
def cli(data_dir: Path) -> CommandLine:
    """Give commands that last, on a port that nobody has chosen for anything."""
    return CommandLineForked(data_dir, environment={"SALLYPORT_PORT": "0"})


@pytest.fixture
def here(data_dir: Path) -> CommandLine:
    """Give the command line without a process of its own, beside what runs."""
    return CommandLineHere(data_dir)


@pytest.fixture
def taken_port() -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def worked_on(here: CommandLine) -> Json:
    return here.json("run", "start", *ALICE, "Hello", "--wait")


def test_serve_answers_drives_and_ends_with_its_server_when_told(
    cli: CommandLine, here: CommandLine
) -> None:
    with cli.running("serve", "--json") as serving:
        told = json.loads(serving.first_line())
        assert httpx2.get(f"{told['url']}/readyz").json() == {"status": "ready"}
        token = here.json("token", "create", *ALICE)["token"]
        started = httpx2.post(
            f"{told['url']}/api/v1/runs",
            headers={"authorization": f"Bearer {token}"},
            json={"task": 'Create the task "Served"'},
        )
        assert started.status_code == 202
        followed = httpx2.get(
            f"{told['url']}/api/v1/runs/{started.json()['run_id']}/events",
            headers={"authorization": f"Bearer {token}"},
        )
        assert "event: run.completed" in followed.text
        # The server's worker drives what the command line starts: none is entered in here.
        assert worked_on(here)["status"] == "completed"

        code, seconds = serving.end(signal.SIGTERM)
    assert code == 0
    assert seconds < _LONGEST_ENDING_SECONDS
    assert not cli.postgres_runs()


def test_taken_port_is_said_so(data_dir: Path, taken_port: int) -> None:
    cli = CommandLineForked(data_dir, environment={"SALLYPORT_PORT": str(taken_port)})
    error = cli.json("serve", "--no-worker", code=1)["error"]
    assert error["code"] == "port_taken"
    assert str(taken_port) in error["message"]


def test_dead_workers_run_is_driven_by_the_command_that_waits_for_it(
    cli: CommandLine, here: CommandLine
) -> None:
    with EmbeddedPostgres(cli.data_dir), cli.running("worker", "--json") as working:
        assert json.loads(working.first_line())["worker"].startswith("worker-")
        working.process.kill()
        working.process.wait()
        # Its last beat is still fresh, so that the command believes it for some seconds.
        assert worked_on(here)["status"] == "completed"


def test_worker_ends_on_ctrl_c_and_says_that_it_was_interrupted(cli: CommandLine) -> None:
    with cli.running("worker", "--json") as working:
        working.first_line()
        code, seconds = working.end(signal.SIGINT)
    assert code == 130
    assert seconds < _LONGEST_ENDING_SECONDS
    assert not cli.postgres_runs()


def test_mcp_serves_one_person_until_its_input_ends(cli: CommandLine) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    asks = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    with cli.running("mcp", *ALICE) as serving:
        assert serving.process.stdin is not None
        serving.process.stdin.write(json.dumps(asks) + "\n")
        serving.process.stdin.flush()
        answer = json.loads(serving.first_line())
        assert answer["result"]["serverInfo"]["name"] == "sallyport"
        serving.process.stdin.close()
        assert serving.process.wait(30) == 0
    assert not cli.postgres_runs()


def test_mcp_ends_when_told_though_its_input_is_open(cli: CommandLine) -> None:
    with cli.running("mcp", *ALICE) as serving:
        assert serving.process.stdin is not None
        serving.process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        serving.process.stdin.flush()
        serving.first_line()
        code, seconds = serving.end(signal.SIGTERM)
    assert code == 0
    assert seconds < _LONGEST_ENDING_SECONDS


def test_doctor_finds_a_new_installation_well(tmp_path: Path) -> None:
    told = CommandLineHere(tmp_path).json("doctor")
    assert told["ok"] is True
    found = {check["check"]: check["status"] for check in told["checks"]}
    assert (found["database"], found["tenancy"]) == ("ok", "ok")
    assert found["vault"] == "ok"
    # Neither is wrong, both are worth knowing.
    assert (found["worker"], found["model"]) == ("note", "note")
    assert "sallyport worker" in str(told["checks"])


@pytest.mark.parametrize(
    ("setting", "check"),
    [
        ({"SALLYPORT_PORT": "blue"}, "settings"),
        ({"SALLYPORT_LLM": "gpt"}, "settings"),
        ({"SALLYPORT_MASTER_KEY": "c2hvcnQ="}, "settings"),
        pytest.param(
            {"SALLYPORT_LLM": "anthropic"}, "model", marks=pytest.mark.together("providers")
        ),
        ({"SALLYPORT_DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "database"),
    ],
    ids=["settings", "provider", "key", "model", "database"],
)
def test_doctor_names_what_is_wrong_and_fails(
    data_dir: Path, setting: dict[str, str], check: str
) -> None:
    told = CommandLineHere(data_dir, environment=setting).json("doctor", code=1)
    wrong = [one["check"] for one in told["checks"] if one["status"] == "wrong"]
    assert wrong == [check]


@pytest.mark.parametrize("command", ["serve", "worker", "doctor", "migrate"])
def test_a_wrong_password_of_the_database_is_called_that(
    data_dir: Path, tmp_path: Path, command: str
) -> None:
    with EmbeddedPostgres(data_dir) as server:
        url = server.url(user="sallyport_app", password="wrong", database="sallyport")
        line = CommandLineHere(tmp_path, environment={"SALLYPORT_DATABASE_URL": url})
        said = line.run(command, code=1)
    assert "the user or the password is wrong" in said.out + said.err


def test_doctor_looks_at_the_role_that_we_take_and_not_at_the_login(
    data_dir: Path, tmp_path: Path
) -> None:
    with EmbeddedPostgres(data_dir) as server:
        owner = server.url(
            user="sallyport_admin", password=server.superuser_password, database="sallyport"
        )
        settings = {"SALLYPORT_DATABASE_URL": owner}
        line = CommandLineHere(tmp_path, environment=settings)
        assert "Row-level security binds the role sallyport_app." in line.run("doctor").out


def test_embedded_database_is_migrated_already_and_a_foreign_one_on_demand(
    here: CommandLine, data_dir: Path, tmp_path: Path
) -> None:
    version = here.json("migrate")["version"]
    with EmbeddedPostgres(data_dir) as server:
        owner = server.url(
            user="sallyport_admin", password=server.superuser_password, database="postgres"
        )
        line = CommandLineHere(tmp_path, environment={"SALLYPORT_DATABASE_URL": owner})
        assert line.json("tenant", "list", code=1)["error"]["code"] == "migration_needed"
        assert line.json("migrate")["version"] == version
        assert line.json("tenant", "list")["items"] == []
