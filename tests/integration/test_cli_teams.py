"""Teams from the command line: its app package, and the Entra tenants that are allowed."""

import asyncio
import json
import zipfile
from pathlib import Path

import asyncpg
import pytest

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls

ACME, GLOBEX = "--tenant=acme", "--tenant=globex"
CAROL, DAVE = "--as=carol@acme.test", "--as=dave@globex.test"
APP = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002"
ENTRA = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0001"
WORKSPACE = f"--workspace={ENTRA}"
CHANNEL = "19:abc-DEF_1@thread.tacv2"
PASSWORD = "planted-password"
GIVEN_UP = """
    INSERT INTO inbox (
        tenant_id, id, surface, workspace, conversation, position, external_id, payload,
        handled_at, attempts, error
    )
    SELECT
        id, gen_random_uuid(), 'teams', 'w', '@somebody/', '1', 'event:1', '{}',
        now(), 8, 'unknown_workspace'
    FROM tenants WHERE name = 'globex'
"""


@pytest.fixture(scope="module")
def cli(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give the module one data folder and one database, with people of two tenants."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    environment = {
        **module_urls.settings,
        "SALLYPORT_TEAMS_APP_ID": APP,
        "SALLYPORT_TEAMS_APP_PASSWORD": PASSWORD,
        "SALLYPORT_TEAMS_TENANT_ID": ENTRA,
    }
    line = CommandLineHere(data_dir, environment=environment)
    for tenant, email in (("acme", "carol@acme.test"), ("globex", "dave@globex.test")):
        line.json("tenant", "create", tenant)
        who = f"--email={email}"
        line.json("principal", "create", f"--tenant={tenant}", who, "--role=admin")
    return line


def actions(cli: CommandLine) -> list[str]:
    exported = cli.run("audit", "export", ACME).out
    told = [json.loads(line).get("action", "") for line in exported.splitlines()]
    return [action for action in told if action.startswith("teams.")]


def test_an_entra_tenant_is_allowed_routed_forgotten_and_given_up(cli: CommandLine) -> None:
    assert "sallyport teams allow" in cli.run("teams", "list", ACME).out
    told = cli.json("teams", "allow", ENTRA.upper(), ACME, CAROL, "--name=Acme Ltd")
    assert (told["workspace"], told["name"], told["state"]) == (ENTRA, "Acme Ltd", "active")
    assert (told["app"], told["approvals_channel"]) == (APP, None)
    taken = cli.json("teams", "allow", ENTRA, GLOBEX, DAVE, code=1)
    assert taken["error"]["code"] == "workspace_taken"
    routed = cli.json("teams", "route", ACME, WORKSPACE, f"--channel={CHANNEL}")
    assert routed["approvals_channel"] == CHANNEL
    assert CHANNEL in cli.run("teams", "list", ACME).out
    assert cli.json("teams", "route", ACME, WORKSPACE, "--direct")["approvals_channel"] is None
    assert cli.json("teams", "emails", ACME, WORKSPACE, "--trust")["links_by_email"] is True
    theirs = cli.json("teams", "forget", ENTRA, GLOBEX, code=1)
    assert theirs["error"]["code"] == "unknown_workspace"
    assert cli.json("teams", "list", GLOBEX)["items"] == []
    assert cli.json("teams", "forget", ENTRA, ACME)["state"] == "uninstalled"
    taken = cli.json("teams", "allow", ENTRA, GLOBEX, DAVE, code=1)
    assert taken["error"]["code"] == "workspace_taken"
    again = cli.json("teams", "allow", ENTRA, ACME, CAROL, f"--approvals-channel={CHANNEL}")
    assert (again["state"], again["name"]) == ("active", "Acme Ltd")
    assert (again["approvals_channel"], again["links_by_email"]) == (CHANNEL, True)
    cli.json("teams", "leave", ACME, WORKSPACE)
    assert cli.json("teams", "list", ACME)["items"] == []
    assert cli.json("teams", "allow", ENTRA, GLOBEX, DAVE)["name"] == ENTRA
    cli.json("teams", "leave", GLOBEX, WORKSPACE)
    assert actions(cli)[-8:] == [
        "teams.allowed",
        "teams.routed",
        "teams.routed",
        "teams.emails_trusted",
        "teams.forgotten",
        "teams.allowed",
        "teams.routed",
        "teams.left",
    ]


def test_forgetting_twice_is_told_to_the_auditor_once(cli: CommandLine) -> None:
    cli.json("teams", "allow", ENTRA, ACME, CAROL)
    before = actions(cli).count("teams.forgotten")
    for _ in range(2):
        assert cli.json("teams", "forget", ENTRA, ACME)["state"] == "uninstalled"
    assert actions(cli).count("teams.forgotten") == before + 1
    cli.json("teams", "leave", ACME, WORKSPACE)


def test_where_teams_is_off_it_is_said_what_to_set(cli: CommandLine, module_urls: Urls) -> None:
    without = CommandLineHere(cli.data_dir, environment=module_urls.settings)
    for refused in (
        without.json("teams", "allow", ENTRA, ACME, CAROL, code=1),
        without.json("teams", "package", "--url=https://agents.acme.test", code=1),
    ):
        assert refused["error"]["code"] == "teams_off"
        assert "SALLYPORT_TEAMS_APP_ID" in refused["error"]["message"]


def test_a_playground_s_tenant_is_allowed_without_an_app(
    cli: CommandLine, module_urls: Urls
) -> None:
    environment = {**module_urls.settings, "SALLYPORT_TEAMS_ANONYMOUS": "1"}
    here = CommandLineHere(cli.data_dir, environment=environment)
    assert here.json("teams", "allow", ENTRA, ACME, CAROL)["app"] == ""
    here.json("teams", "leave", ACME, WORKSPACE)


def looked_at(cli: CommandLine, *, code: int = 0) -> dict[str, str]:
    """Return what doctor says of each thing; the last word on each."""
    checks = cli.json("doctor", code=code)["checks"]
    return {one["check"]: f"{one['status']}: {one['detail']}" for one in checks}


def test_doctor_says_whether_somebody_is_let_in(cli: CommandLine, module_urls: Urls) -> None:
    assert looked_at(cli)["teams"].startswith("note: It is set up, and no Entra tenant is let in")
    cli.json("teams", "allow", ENTRA, ACME, CAROL)
    assert looked_at(cli)["teams"].startswith("ok: People of 1 of Entra's tenants are let in")
    cli.json("teams", "forget", ENTRA, ACME)
    assert looked_at(cli)["teams"].startswith("note: It is set up, and no Entra tenant is let in")
    cli.json("teams", "leave", ACME, WORKSPACE)
    assert "slack" not in looked_at(cli)
    without = CommandLineHere(cli.data_dir, environment=module_urls.settings)
    assert "teams" not in looked_at(without)


def test_doctor_says_on_which_surface_something_is_left_undone(
    cli: CommandLine, module_urls: Urls
) -> None:
    asyncio.run(run_sql(module_urls, GIVEN_UP))
    found = looked_at(cli, code=1)
    asyncio.run(run_sql(module_urls, "DELETE FROM inbox"))
    assert found["teams"] == "wrong: Dead letters wait: see sallyport letters list."
    assert found["database"].startswith("ok")


async def run_sql(urls: Urls, statement: str) -> None:
    connection = await asyncpg.connect(urls.privileged)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_doctor_warns_of_a_playground(cli: CommandLine, module_urls: Urls) -> None:
    environment = {**module_urls.settings, "SALLYPORT_TEAMS_ANONYMOUS": "1"}
    here = CommandLineHere(cli.data_dir, environment=environment)
    assert looked_at(here)["teams"].startswith("note: Everybody is taken at their word")


def test_the_app_package_is_written_to_be_uploaded(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "app.zip"
    told = cli.json(
        "teams", "package", f"--out={out}", "--url=https://agents.acme.test/", "--name=Acme's agent"
    )
    assert told == {"file": str(out), "bytes": out.stat().st_size}
    document = json.loads(zipfile.ZipFile(out).read("manifest.json"))
    assert (document["id"], document["name"]["short"]) == (APP, "Acme's agent")
    assert document["staticTabs"][0]["contentUrl"] == "https://agents.acme.test/teams/tab"
    assert "authorization" not in document
    cli.json("teams", "package", f"--out={out}", "--url=https://agents.acme.test", "--replies")
    assert "authorization" in json.loads(zipfile.ZipFile(out).read("manifest.json"))
    assert PASSWORD.encode() not in out.read_bytes()


def test_a_package_that_teams_would_not_take_is_not_written(
    cli: CommandLine, tmp_path: Path
) -> None:
    out = tmp_path / "app.zip"
    refused = cli.json("teams", "package", f"--out={out}", "--url=http://agents.acme.test", code=1)
    assert refused["error"]["code"] == "teams_package_invalid"
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("package",),
        ("package", "--url=https://agents.acme.test", "--out=/nowhere/app.zip"),
        ("allow", "acme", ACME, CAROL),
        ("allow", ENTRA, ACME),
        ("allow", ENTRA, ACME, CAROL, "--approvals-channel=general"),
        ("forget", "acme", ACME),
        ("route", ACME, WORKSPACE),
        ("route", ACME, WORKSPACE, "--direct", f"--channel={CHANNEL}"),
        ("route", ACME, WORKSPACE, "--channel=general"),
        ("route", ACME, "--workspace=acme", "--direct"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_said_so(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    told = cli.json("teams", *arguments, code=2)
    assert told["error"]["code"] == "wrong_usage"
