"""The commands of accounts, as an operator runs them."""

from pathlib import Path

import psycopg
import pytest

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls

_INSTALLED = """
insert into chat_workspaces
  (tenant_id, surface, workspace, name, app, bot_user, scopes, state, installed_by)
select tenant_id, 'slack', 'T0ACME', 'Acme', 'A0', 'U0', '{}', 'active', id from principals
where email = 'alice@acme.test'
"""
ALICES = ("--tenant=acme", "--workspace=T0ACME", "--user=U0ALICE")


@pytest.fixture
def cli(urls: Urls, tmp_path: Path) -> CommandLine:
    line = CommandLineHere(tmp_path, environment=urls.settings)
    line.json("tenant", "create", "acme")
    line.json("tenant", "create", "globex")
    for name in ("alice", "bob"):
        new = (f"--email={name}@acme.test", "--role=member")
        line.json("principal", "create", "--tenant=acme", *new)
    with psycopg.connect(urls.privileged) as connection:
        connection.execute(_INSTALLED)
    return line


def test_an_account_is_bound_listed_and_unbound_and_all_of_it_audited(cli: CommandLine) -> None:
    assert cli.json("account", "list", "--tenant=acme") == {"items": [], "next_cursor": None}
    assert "No account" in cli.run("account", "list", "--tenant=acme").out
    made = cli.json("account", "link", *ALICES, "--as=alice@acme.test")
    assert (made["email"], made["how"], made["enabled"]) == ("alice@acme.test", "operator", True)
    cli.run("account", "link", *ALICES, "--user=U0BOB", "--as=bob@acme.test")

    first = cli.json("account", "list", "--tenant=acme", "--limit=1")
    assert [one["user"] for one in first["items"]] == ["U0ALICE"]
    rest = cli.json("account", "list", "--tenant=acme", f"--cursor={first['next_cursor']}")
    assert [one["user"] for one in rest["items"]] == ["U0BOB"]
    own = cli.json("account", "list", "--tenant=acme", "--as=bob@acme.test")
    assert own["items"] == rest["items"]
    assert cli.json("account", "list", "--tenant=globex")["items"] == []
    cli.run("principal", "disable", "--tenant=acme", "--email=bob@acme.test")
    assert "bob@acme.test (disabled)" in cli.run("account", "list", "--tenant=acme").out

    assert "no more" in cli.run("account", "unlink", *ALICES).out
    assert cli.json("account", "unlink", *ALICES, code=1)["error"]["code"] == "not_found"
    audit = cli.run("audit", "export", "--tenant=acme").out
    assert audit.count("account.linked") == 2
    assert "by_operator" in audit


def test_what_is_not_there_is_refused(cli: CommandLine) -> None:
    alice = (*ALICES, "--as=alice@acme.test")
    for arguments, code in (
        (("link", *ALICES, "--as=nobody@acme.test"), "unknown_person"),
        (("link", *alice, "--workspace=T0OTHER"), "not_found"),
        (("link", *alice, "--user=U 0"), "invalid_account"),
        (("link", *alice, "--tenant=globex"), "unknown_person"),
        (("unlink", *ALICES, "--tenant=globex"), "not_found"),
        (("unlink", *ALICES, "--surface=teams"), "not_found"),
        (("list", "--tenant=acme", "--cursor=x"), "invalid_cursor"),
        (("list", "--tenant=nowhere"), "unknown_tenant"),
    ):
        assert cli.json("account", *arguments, code=1)["error"]["code"] == code, arguments
