"""The vault from the command line: what it takes, what it never shows, and a change of keys."""

import base64
import json
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

from core.store.embedded import EmbeddedPostgres
from tests.command_line import CommandLine, CommandLineHere

SECRET = "ghp_planted-0123456789"
ACME = "--tenant=acme"
AL = "--as=al@acme.test"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Give the module one data folder, with its server up so that no command starts it anew."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    with EmbeddedPostgres(data_dir):
        line = CommandLineHere(data_dir)
        line.json("tenant", "create", "acme")
        line.json("tenant", "create", "globex")
        line.json("principal", "create", ACME, "--email=al@acme.test", "--role=member")
        yield line


def names(cli: CommandLine, tenant: str = ACME) -> list[tuple[str, str | None]]:
    return sorted(
        (one["name"], one["owner"] or "") for one in cli.json("vault", "list", tenant)["items"]
    )


def test_a_secret_is_kept_and_never_shown(cli: CommandLine) -> None:
    kept = cli.run("vault", "set", "github", ACME, "--json", given=f"{SECRET}\n")
    told = cli.run("vault", "set", "github", ACME, AL, "--ttl=3600", given=SECRET)
    listed = cli.run("vault", "list", ACME, "--json")
    for said in (kept, told, listed, cli.run("vault", "list", ACME)):
        assert SECRET not in said.out + said.err
    assert kept.json["name"] == "github"
    assert {("github", ""), ("github", "al@acme.test")} <= set(names(cli))
    assert names(cli, "--tenant=globex") == []
    (theirs,) = [one for one in listed.json["items"] if one["owner"] and one["name"] == "github"]
    assert theirs["expires_at"] is not None


def test_setting_and_removing_stand_in_the_audit_by_name_only(cli: CommandLine) -> None:
    cli.json("vault", "set", "stripe", ACME, AL, given=SECRET)
    cli.json("vault", "remove", "stripe", ACME, AL)
    exported = cli.run("audit", "export", ACME).out
    records = [json.loads(line) for line in exported.splitlines()]
    about = [
        (one["action"], json.loads(one["content"]))
        for one in records
        if one.get("action", "").startswith("credential.")
    ]
    gone = {"name": "stripe", "owner": "al@acme.test"}
    assert about[-2:] == [
        ("credential.set", {**gone, "expires_at": None}),
        ("credential.removed", gone),
    ]
    assert SECRET not in exported


def test_what_is_not_there_cannot_be_removed(cli: CommandLine) -> None:
    missing = cli.json("vault", "remove", "nothing", ACME, code=1)
    assert missing["error"]["code"] == "credential_missing"
    cli.json("vault", "set", "only-here", ACME, given=SECRET)
    theirs = cli.json("vault", "remove", "only-here", "--tenant=globex", code=1)
    assert theirs["error"]["code"] == "credential_missing"


@pytest.mark.parametrize("given", ["", "short", "\n"])
def test_a_secret_that_is_none_is_refused(cli: CommandLine, given: str) -> None:
    refused = cli.json("vault", "set", "empty", ACME, code=1, given=given)
    assert refused["error"]["code"] == "invalid_secret"


def test_a_secret_with_nul_leaves_nothing_behind(cli: CommandLine) -> None:
    before = names(cli)
    refused = cli.run("vault", "set", "nul", ACME, "--json", code=1, given=f"{SECRET}\x00")
    assert refused.json["error"]["code"] == "unstorable_secret"
    assert SECRET not in refused.out + refused.err
    assert names(cli) == before


@pytest.mark.parametrize(
    "wrong",
    [
        ("vault", "set", "github", SECRET, ACME),
        ("vault", "set", "github", f"--{SECRET}", ACME),
        ("vault", "set", "github", ACME, f"--ttl={SECRET}"),
        ("upstream", "connect", "web", ACME, AL, "--credential", SECRET),
        ("idp", "set", ACME, "--issuer=https://x.test", "--client-id=x", "--domain=x.test", SECRET),
    ],
)
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_secret_in_the_wrong_place_is_not_repeated(
    cli: CommandLine, wrong: tuple[str, ...], json: tuple[str, ...]
) -> None:
    said = cli.run(*wrong, *json, code=2)
    assert SECRET not in said.out + said.err
    assert "standard input" in said.out + said.err


def test_what_is_missing_is_still_named(cli: CommandLine) -> None:
    assert "--tenant" in cli.run("vault", "set", "github", code=2).err


def test_the_list_goes_on_where_its_cursor_says(cli: CommandLine) -> None:
    cli.json("vault", "set", "one", ACME, given=SECRET)
    cli.json("vault", "set", "two", ACME, given=SECRET)
    first = cli.json("vault", "list", ACME, "--limit=1")
    rest = cli.json("vault", "list", ACME, f"--cursor={first['next_cursor']}")
    assert len(first["items"]) == 1
    assert first["items"][0] not in rest["items"]
    assert cli.run("vault", "list", "--tenant=globex").out.startswith("There are no credentials.")


def test_a_new_key_seals_everything_anew_and_the_old_one_can_go(cli: CommandLine) -> None:
    cli.json("vault", "set", "kept", ACME, given=SECRET)
    count = len(cli.json("vault", "list", ACME)["items"])
    rotated = cli.json("vault", "rotate", "--new-key")
    assert rotated["credentials"] == {"resealed": count, "unreadable": 0}
    assert cli.json("vault", "rotate")["credentials"] == {"resealed": 0, "unreadable": 0}
    assert {one["key_id"] for one in cli.json("vault", "list", ACME)["items"]} == {
        rotated["key_id"]
    }
    assert '"vault.rotated"' in cli.run("audit", "export", ACME).out
    path = cli.data_dir / "master.key"
    path.write_text(path.read_text().split(",")[0])
    cli.json("vault", "rotate", "--new-key")


def test_what_no_key_opens_is_counted_and_left_alone(cli: CommandLine) -> None:
    cli.json("vault", "set", "lost", ACME, given=SECRET)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    other = CommandLineHere(cli.data_dir, environment={"SALLYPORT_MASTER_KEY": key})
    count = len(cli.json("vault", "list", ACME)["items"])
    said = other.run("vault", "rotate", "--json", code=1)
    assert said.json["credentials"] == {"resealed": 0, "unreadable": count}
    assert "Put the keys back" in other.run("vault", "rotate", code=1).out
    assert cli.json("vault", "rotate")["credentials"] == {"resealed": 0, "unreadable": 0}


def test_a_key_that_is_set_is_not_made_here(cli: CommandLine) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    other = CommandLineHere(cli.data_dir, environment={"SALLYPORT_MASTER_KEY": key})
    said = other.run("vault", "rotate", "--new-key", code=2)
    assert "SALLYPORT_MASTER_KEY" in said.err
    assert key not in said.err


def test_a_key_that_is_none_is_refused_without_showing_it(cli: CommandLine) -> None:
    other = CommandLineHere(cli.data_dir, environment={"SALLYPORT_MASTER_KEY": "a2V5IQ=="})
    said = other.run("vault", "list", ACME, code=1)
    assert "32 bytes in base64" in said.err
    assert "a2V5IQ" not in said.err
