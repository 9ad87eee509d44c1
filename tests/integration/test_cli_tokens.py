"""Tokens for a few calls, and the keys that sign, from the command line."""

import json
from pathlib import Path

import pytest

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls

PERSON = ("token", "create", "--tenant=acme", "--as=al@acme.test")


@pytest.fixture(scope="module")
def cli(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give the module one data folder and one database, with somebody in it."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    line = CommandLineHere(data_dir, environment=module_urls.settings)
    line.json("tenant", "create", "acme", "--tier", "pro")
    line.json("principal", "create", "--tenant=acme", "--email=al@acme.test", "--role=member")
    return line


def test_a_token_for_a_few_calls_says_which_and_how_long(cli: CommandLine) -> None:
    made = cli.json(*PERSON, "--capability=list_projects")
    assert made["token"].startswith("sp_api_")
    assert (made["capability"], made["uses"], made["amount_micros"], made["arguments"]) == (
        ["list_projects"],
        1,
        100_000_000,
        None,
    )
    more = cli.json(
        *PERSON,
        "--audience=mcp",
        "--capability=list_projects, create_task",
        "--uses=3",
        "--amount=0.25",
        "--ttl=60",
        '--args={"title": "A"}',
    )
    assert more["token"].startswith("sp_mcp_")
    assert (more["capability"], more["uses"], more["amount_micros"], more["arguments"]) == (
        ["create_task", "list_projects"],
        3,
        250_000,
        {"title": "A"},
    )


def test_what_a_token_for_a_few_calls_allows_is_in_the_audit(cli: CommandLine) -> None:
    cli.json(*PERSON, "--capability=list_projects", "--uses=2")
    records = [
        json.loads(line)
        for line in cli.run("audit", "export", "--tenant=acme").out.split("\n")
        if line
    ]
    told = [str(record) for record in records if "token.created" in str(record)]
    assert any("list_projects" in one and "100000000" in one for one in told)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--capability=no_such_tool"], "unknown_tool"),
        (["--capability=restore_task"], "unknown_tool"),
        (["--capability=list_projects", "--uses=0"], "invalid_capability"),
        (["--capability=list_projects", "--ttl=3601"], "invalid_capability"),
        (["--capability="], "invalid_capability"),
    ],
)
def test_what_cannot_be_had_is_refused(cli: CommandLine, options: list[str], code: str) -> None:
    assert cli.json(*PERSON, *options, code=1)["error"]["code"] == code


@pytest.mark.parametrize(
    "options",
    [
        ["--uses=2"],
        ["--amount=1"],
        ["--args={}"],
        ["--capability=list_projects", "--scope=tools:call"],
        ["--capability=list_projects", "--amount=0.0000001"],
        ["--capability=list_projects", "--amount=NaN"],
        ["--capability=list_projects", "--amount=lots"],
        ["--capability=list_projects", "--args=[]"],
        ["--capability=list_projects", '--args={"a": 1, "a": 2}'],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(cli: CommandLine, options: list[str]) -> None:
    cli.json(*PERSON, *options, code=2)


def test_tokens_are_listed_by_person_and_revoked_and_it_is_audited(cli: CommandLine) -> None:
    cli.json("principal", "create", "--tenant=acme", "--email=bo@acme.test", "--role=member")
    of_bo = ("token", "list", "--tenant=acme", "--as=bo@acme.test")
    assert "There are no tokens." in cli.run(*of_bo).out
    made = [
        cli.json(
            *("token", "create", "--tenant=acme", "--as=bo@acme.test"),
            *("--audience=mcp", "--scope=runs:read"),
        )
        for _ in range(2)
    ]
    items = cli.json(*of_bo)["items"]
    assert [(one["email"], one["audience"], one["scopes"], one["revoked_at"]) for one in items] == [
        ("bo@acme.test", "mcp", ["runs:read"], None)
    ] * 2
    page = cli.json("token", "list", "--tenant=acme", "--as=bo@acme.test", "--limit=1")
    rest = cli.json(*of_bo, f"--cursor={page['next_cursor']}")["items"]
    assert [one["id"] for one in (*page["items"], *rest)] == [one["id"] for one in items]
    cli.json(*PERSON)
    everyone = cli.json("token", "list", "--tenant=acme")["items"]
    assert {one["email"] for one in everyone} == {"al@acme.test", "bo@acme.test"}
    first, second = (one["id"] for one in items)
    ended = cli.json("token", "revoke", first, "--tenant=acme")
    assert ended == {"id": first, "revoked": True}
    left = {one["id"]: one["revoked_at"] for one in cli.json(*of_bo)["items"]}
    assert left[first] is not None
    assert left[second] is None
    assert first in cli.run(*of_bo).out
    audit = cli.run("audit", "export", "--tenant=acme").out
    assert "token.listed" in audit
    assert "token.revoked" in audit
    assert not any(one["token"] in audit + cli.run(*of_bo).out for one in made)


@pytest.mark.parametrize("unknown", ["x", "7d7c1a52-6f3e-4a2c-9a8e-3f2a1b0c9d8e"])
def test_a_token_that_is_not_there_cannot_be_revoked(cli: CommandLine, unknown: str) -> None:
    error = cli.json("token", "revoke", unknown, "--tenant=acme", code=1)["error"]
    assert error["code"] == "not_found"


def test_a_new_key_signs_and_the_old_one_is_published_until_it_is_revoked(
    cli: CommandLine,
) -> None:
    first = cli.json("keys", "rotate")
    second = cli.json("keys", "rotate")
    assert [key["kid"] for key in second["keys"]] == [second["kid"], first["kid"]]
    third = cli.json("keys", "rotate", "--revoke")
    assert [key["kid"] for key in third["keys"]] == [third["kid"]]
