"""Setting a tenant up from the command line, and how the command line answers at all."""

import subprocess
from pathlib import Path

import pytest

from tests.command_line import SCRIPT, CommandLine, CommandLineHere
from tests.databases import Urls


@pytest.fixture(scope="module")
def cli(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give the module one data folder and one database, with somebody in it."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    line = CommandLineHere(data_dir, environment=module_urls.settings)
    line.json("tenant", "create", "acme", "--tier", "pro")
    line.json("principal", "create", "--tenant=acme", "--email=al@acme.test", "--role=member")
    return line


def test_script_needs_nothing_but_a_path_in_its_environment(cli: CommandLine) -> None:
    script = CommandLine(cli.data_dir, environment=cli.settings)
    group = ("--role=member", "--group=Zürich ✓")
    said = script.run(
        "principal", "create", "--tenant=acme", "--email=zo@acme.test", *group, "--json"
    )
    assert said.err == ""
    assert said.json["groups"] == ["Zürich ✓"]
    refused = script.json("tenant", "create", "acme", code=1)
    assert refused["error"]["code"] == "tenant_exists"


@pytest.mark.parametrize("name", ["", "-acme", "Acme", "a b", "a" * 64, "ä"])
def test_tenant_has_a_plain_name(cli: CommandLine, name: str) -> None:
    error = cli.run("tenant", "create", "--json", "--", name, code=1).json["error"]
    assert error["code"] == "invalid_tenant_name"


@pytest.mark.parametrize("email", ["alice", "@", "a b@acme.test", "a@b@c"])
def test_person_has_an_email_address(cli: CommandLine, email: str) -> None:
    create = ("principal", "create", "--tenant=acme", "--role=member", f"--email={email}")
    assert cli.json(*create, code=1)["error"]["code"] == "invalid_email"


def test_help_names_every_command_and_each_of_them_explains_itself(cli: CommandLine) -> None:
    told = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("demo", "serve", "tenant", "approvals", "audit", "mcp", "doctor"):
        assert name in told
    assert "--tenant" in cli.run("call", "--help").out


def test_new_tenant_is_listed_and_has_one_project_open_to_all(cli: CommandLine) -> None:
    listed = cli.json("tenant", "list")
    assert ("acme", "pro") in [(one["name"], one["tier"]) for one in listed["items"]]
    assert listed["next_cursor"] is None
    made = cli.json("call", "list_projects", "--tenant=acme", "--as=al@acme.test")
    assert [one["name"] for one in made["result"]["projects"]] == ["Inbox"]


def test_list_goes_on_where_its_cursor_says(cli: CommandLine) -> None:
    page = cli.json("tenant", "list", "--limit=1")
    assert page["next_cursor"] == "acme"
    assert "acme" not in [
        one["name"] for one in cli.json("tenant", "list", "--cursor=acme")["items"]
    ]


def test_second_tenant_of_the_same_name_is_refused_with_code_and_sentence(cli: CommandLine) -> None:
    error = cli.json("tenant", "create", "acme", code=1)["error"]
    assert error["code"] == "tenant_exists"
    assert "acme" in error["message"]


def test_error_for_people_stands_on_standard_error_and_says_what_to_do(cli: CommandLine) -> None:
    said = cli.run("run", "list", "--tenant=nobody", code=1)
    assert said.out == ""
    assert "sallyport tenant list" in said.err


def test_unknown_person_and_unknown_tenant_are_told_apart(cli: CommandLine) -> None:
    unknown = cli.json("token", "create", "--tenant=acme", "--as=no@acme.test", code=1)
    assert unknown["error"]["code"] == "unknown_person"
    assert cli.json("tool", "list", "--tenant=no", code=1)["error"]["code"] == "unknown_tenant"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("tenant", "create"),
        ("run", "show", "not-an-id", "--tenant=acme"),
        ("call", "list_projects", "--tenant=acme", "--as=al@acme.test", "--args=[1]"),
        ("call", "list_projects", "--tenant=acme", "--as=al@acme.test", '--args={"a":1,"a":2}'),
        ("audit", "verify"),
    ],
    ids=["command", "argument", "id", "json", "twice", "choice"],
)
def test_wrong_usage_ends_with_2_and_one_document(
    cli: CommandLine, arguments: tuple[str, ...]
) -> None:
    assert cli.json(*arguments, code=2)["error"]["code"] == "wrong_usage"


def test_bare_command_shows_how_it_is_used(cli: CommandLine) -> None:
    assert "Usage:" in cli.run(code=2).err


def test_unknown_setting_is_named(tmp_path: Path) -> None:
    line = CommandLineHere(tmp_path, environment={"SALLYPORT_COLOUR": "blue"})
    error = line.json("tenant", "list", code=1)["error"]
    assert error["code"] == "unknown_setting"
    assert "SALLYPORT_COLOUR" in error["message"]


def test_token_carries_what_was_asked_and_never_a_decision_over_mcp(cli: CommandLine) -> None:
    person = ("token", "create", "--tenant=acme", "--as=al@acme.test")
    assert cli.json(*person)["token"].startswith("sp_api_")
    assert cli.run(*person, "--audience=mcp").out.startswith("sp_mcp_")
    refused = cli.json(*person, "--audience=mcp", "--scope=approvals:decide", code=1)
    assert refused["error"]["code"] == "scope_not_allowed"
    assert cli.json(*person, "--ttl=0", code=1)["error"]["code"] == "invalid_ttl"


def test_tool_that_is_switched_off_is_refused_until_it_is_on_again(cli: CommandLine) -> None:
    call = (
        "call",
        "search_documents",
        "--tenant=acme",
        "--as=al@acme.test",
        '--args={"query":"a"}',
    )
    cli.json("tool", "disable", "search_documents", "--tenant=acme")
    assert cli.json("tool", "show", "search_documents", "--tenant=acme")["enabled"] is False
    error = cli.json(*call, code=1)["error"]
    assert error["code"] == "tool_disabled"
    assert error["message"].startswith("The tool search_documents is switched off")
    cli.json("tool", "enable", "search_documents", "--tenant=acme")
    assert cli.json(*call)["status"] == "succeeded"
    listed = cli.run("tool", "list", "--tenant=acme").out
    assert "delete_task" in listed
    assert "restore_task" not in listed


def test_what_the_operator_does_is_in_the_audit(cli: CommandLine) -> None:
    items = cli.json("audit", "export", "--tenant=acme")["items"]
    made = {(one["action"], one["actor"]) for one in items if one["kind"] == "record"}
    assert {("tenant.created", "operator"), ("principal.created", "operator")} <= made


def test_what_to_paste_is_all_that_stands_on_standard_output(cli: CommandLine) -> None:
    said = cli.run("mcp", "--print-config", "cursor")
    assert said.json == {"mcpServers": {"sallyport": {"url": "http://127.0.0.1:8080/mcp"}}}
    assert said.err == ("Paste this into ~/.cursor/mcp.json, or .cursor/mcp.json of one project.\n")
    assert cli.json("mcp", "--print-config", "vscode") == {
        "servers": {"sallyport": {"type": "http", "url": "http://127.0.0.1:8080/mcp"}}
    }
    assert cli.run("mcp", "--print-config", "claude-desktop").json == {
        "mcpServers": {
            "sallyport": {
                "command": "npx",
                "args": ["-y", "mcp-remote", "http://127.0.0.1:8080/mcp"],
            }
        }
    }


def test_a_client_that_starts_the_server_is_told_how_from_any_folder(tmp_path: Path) -> None:
    cli = CommandLineHere(tmp_path)
    person = ("--stdio", "--tenant", "acme", "--as", "alice@acme.test")
    for client, key in (("claude-desktop", "mcpServers"), ("cursor", "mcpServers")):
        printed = cli.json("mcp", "--print-config", client, *person)
        entry = printed[key]["sallyport"]
        assert Path(entry["command"]).is_file()
        assert entry["args"] == ["mcp", "--tenant", "acme", "--as", "alice@acme.test"]
        assert entry["env"] == {"SALLYPORT_DATA_DIR": str(cli.data_dir)}
    printed = cli.json("mcp", "--print-config", "vscode", *person)
    assert printed["servers"]["sallyport"]["type"] == "stdio"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--print-config", "notepad"),
        ("--print-config", "cursor", "--stdio"),
        ("--stdio", "--tenant", "acme", "--as", "alice@acme.test"),
        ("--tenant", "acme"),
        (),
    ],
)
def test_what_the_mcp_command_needs_is_wrong_usage_without_it(
    cli: CommandLine, arguments: tuple[str, ...]
) -> None:
    refused = cli.json("mcp", *arguments, code=2)
    assert refused["error"]["code"] == "wrong_usage"


def test_a_secret_of_the_database_is_not_printed_for_a_client(tmp_path: Path) -> None:
    url = "postgresql://sallyport_app:hunter2@db.example/sallyport"
    cli = CommandLineHere(tmp_path, environment={"SALLYPORT_DATABASE_URL": url})
    said = cli.run(
        "mcp", "--print-config", "cursor", "--stdio", "--tenant", "t", "--as", "a@b.test"
    )
    assert "hunter2" not in said.out + said.err
    assert "SALLYPORT_DATABASE_URL" in said.err


def test_an_address_that_nobody_knows_yet_is_not_printed(tmp_path: Path) -> None:
    cli = CommandLineHere(tmp_path, environment={"SALLYPORT_PORT": "0"})
    refused = cli.json("mcp", "--print-config", "cursor", code=1)
    assert refused["error"]["code"] == "invalid_setting"
