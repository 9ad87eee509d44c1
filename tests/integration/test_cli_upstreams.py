"""Connecting an upstream server from the command line, and accepting what it offers."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls
from tests.upstreams import Server, UpstreamServers

CAROL = ("--tenant=acme", "--as=carol@acme.test")
ALICE = ("--tenant=acme", "--as=alice@acme.test")


@pytest.fixture(scope="module")
def server(upstream_servers: UpstreamServers) -> Server:
    return upstream_servers.fresh()


@pytest.fixture(scope="module")
def cli(server: Server, module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    folder = tmp_path_factory.mktemp("cli")
    tables = folder / "upstreams.toml"
    tables.write_text(f'[web]\nurl = "{server.url()}"\nprivate = true\n', encoding="utf-8")
    line = CommandLineHere(
        folder, environment={**module_urls.settings, "SALLYPORT_UPSTREAMS": str(tables)}
    )
    line.run("tenant", "create", "acme", "--tier", "pro")
    for name, role in (("carol", "admin"), ("alice", "member")):
        line.run(
            "principal",
            "create",
            "--tenant=acme",
            f"--email={name}@acme.test",
            f"--role={role}",
        )
    return line


@pytest.fixture(autouse=True)
def disconnected(cli: CommandLine, server: Server) -> Generator[None]:
    server.become()
    yield
    if any(row["by"] for row in cli.json("upstream", "list", *CAROL)["items"]):
        cli.run("upstream", "disconnect", "web", *CAROL)


def test_a_server_is_connected_accepted_used_held_and_accepted_again(
    cli: CommandLine, server: Server
) -> None:
    secret = "the company's own"
    server.become(wants=secret)
    said = cli.run("upstream", "connect", "web", *CAROL, "--credential", given=f"{secret}\n")
    assert secret not in said.out + said.err
    assert "web__add" in said.out
    assert cli.json("upstream", "accept", "web", *CAROL, "--all-new")["items"]
    cli.run("upstream", "set", "web__add", *CAROL, "--risk=safe", "--timeout=20")

    call = ("call", "web__add", *ALICE, '--args={"a": 1, "b": 2}')
    assert cli.json(*call)["result"] == {"sum": 3}

    server.become(wants=secret, about={"add": "Add. [red]\x1b[2J\u202eevil[/red]"})
    cli.run("upstream", "tools", "web", *CAROL, "--look")
    assert cli.json(*call, code=1)["error"]["code"] == "upstream_changed"

    shown = cli.run("upstream", "diff", "web__add", *CAROL).out
    assert "-   Add two numbers." in shown
    assert "+   Add. [red]\\x1b[2J\\u202eevil[/red]" in shown
    digest = cli.json("upstream", "diff", "web__add", *CAROL)["digest"]
    assert digest in shown
    cli.run("upstream", "accept", "web__add", *CAROL, f"--digest={digest}")
    assert cli.json(*call)["result"] == {"sum": 3}

    listed = cli.run("upstream", "tools", *CAROL).out
    assert "\x1b" not in listed
    assert "[red]" in listed


def test_a_call_that_somebody_must_agree_to_says_so(cli: CommandLine, server: Server) -> None:
    cli.run("upstream", "connect", "web", *CAROL)
    cli.run("upstream", "accept", "web", *CAROL, "--all-new")
    said = cli.run("call", "web__write", *ALICE, '--args={"text": "x"}')
    assert "Somebody has to agree first" in said.out
    assert server.book == []


def test_an_upstreams_tool_is_switched_off_like_any_other(cli: CommandLine) -> None:
    cli.run("upstream", "connect", "web", *CAROL)
    assert cli.json("tool", "disable", "web__add", "--tenant=acme", code=1)["error"]["code"] == (
        "unknown_tool"
    )
    cli.run("upstream", "accept", "web", *CAROL, "--all-new")
    cli.run("tool", "disable", "web__add", "--tenant=acme")
    tools = {row["name"]: row for row in cli.json("tool", "list", "--tenant=acme")["items"]}
    assert (tools["web__add"]["enabled"], tools["web__write"]["enabled"]) == (False, True)
    assert cli.json("tool", "show", "web__add", "--tenant=acme")["risk"] == "destructive"
    call = ("call", "web__add", *ALICE, '--args={"a": 1, "b": 2}')
    assert cli.json(*call, code=1)["error"]["code"] == "tool_disabled"
    cli.run("tool", "enable", "web__add", "--tenant=acme")


def test_a_broken_tool_says_why_and_the_others_can_be_called(
    cli: CommandLine, server: Server
) -> None:
    server.become(broken=[{"name": "odd", "inputSchema": None}])
    shown = cli.run("upstream", "connect", "web", *CAROL).out
    assert "web__odd is not soundly defined at its server" in shown
    assert "web__odd is not soundly defined" in cli.run("upstream", "diff", "web__odd", *CAROL).out
    items = cli.json("upstream", "tools", "web", *CAROL)["items"]
    faults = {row["name"]: row["fault"] for row in items}
    assert (faults["web__odd"], faults["web__add"]) == ("upstream_definition_broken", None)
    accepted = cli.json("upstream", "accept", "web", *CAROL, "--all-new")["items"]
    assert {"web__add", "web__write"} <= {row["name"] for row in accepted}
    assert "web__odd" not in {row["name"] for row in accepted}


def test_only_an_admin_connects_and_only_what_is_allowed(cli: CommandLine) -> None:
    error = cli.json("upstream", "connect", "web", *ALICE, code=1)["error"]
    assert error["code"] == "missing_scope"
    error = cli.json("upstream", "connect", "http://x.test", *CAROL, code=1)["error"]
    assert error["code"] == "upstream_not_allowed"


def test_an_admin_has_a_servers_tools_act_as_the_person_and_no_more(cli: CommandLine) -> None:
    cli.run("upstream", "connect", "web", *CAROL)
    act = ("upstream", "act-as-person", "web")
    scope = "api://wiki/access_as_user"
    assert cli.json(*act, *CAROL, "--scope", scope) == {"name": "web", "scope": scope}
    (row,) = cli.json("upstream", "list", *CAROL)["items"]
    assert row["scope"] == scope
    error = cli.json(*act, *ALICE, "--off", code=1)["error"]
    assert error["code"] == "missing_scope"
    assert cli.json(*act, *CAROL, code=2)["error"]["code"] == "wrong_usage"
    cli.run(*act, *CAROL, "--off")
    (row,) = cli.json("upstream", "list", *CAROL)["items"]
    assert row["scope"] is None


def test_what_is_accepted_is_named_by_digest_or_all_of_it(cli: CommandLine) -> None:
    for wrong in ((), ("--digest=x", "--all-new")):
        error = cli.json("upstream", "accept", "web__add", *CAROL, *wrong, code=2)["error"]
        assert error["code"] == "wrong_usage"


def test_a_list_of_servers_that_is_not_sound_is_refused(tmp_path: Path) -> None:
    for text in (
        "[web]\n",
        '[web]\nurl = "https://x.test"\ncommand = ["x"]\n',
        "[",
        '[W]\nurl="x"',
    ):
        path = tmp_path / "upstreams.toml"
        path.write_text(text, encoding="utf-8")
        line = CommandLineHere(tmp_path, environment={"SALLYPORT_UPSTREAMS": str(path)})
        assert line.json("tenant", "list", code=1)["error"]["code"] == "invalid_setting"
    line = CommandLineHere(tmp_path, environment={"SALLYPORT_UPSTREAMS": str(tmp_path / "none")})
    assert line.json("tenant", "list", code=1)["error"]["code"] == "invalid_setting"
