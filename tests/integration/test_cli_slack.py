"""Slack from the command line: its manifest, and a tenant's workspaces."""

import asyncio
import base64
import json
import secrets
from collections.abc import Generator, Mapping
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls
from tests.slack_api import CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET, SlackApi, slack_here

ACME, GLOBEX = "--tenant=acme", "--tenant=globex"
CAROL = "--as=carol@acme.test"
TOKEN = "xoxb-planted-token"
TEAM = "--workspace=T0001"


@pytest.fixture(scope="module")
def slack() -> Generator[SlackApi]:
    """Run a Slack for the module, beside commands that have loops of their own."""
    loop, ready = asyncio.new_event_loop(), asyncio.Queue[SlackApi]()
    ended = asyncio.Event()

    async def lasting() -> None:
        async with slack_here() as here:
            ready.put_nowait(here)
            await ended.wait()

    thread = Thread(target=loop.run_until_complete, args=(lasting(),))
    thread.start()
    yield asyncio.run_coroutine_threadsafe(ready.get(), loop).result(10)
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def cli(
    slack: SlackApi, module_urls: Urls, tmp_path_factory: pytest.TempPathFactory
) -> CommandLine:
    """Give the module one data folder and one database, with people of two tenants."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    environment = {
        **module_urls.settings,
        "SALLYPORT_SLACK_CLIENT_ID": CLIENT_ID,
        "SALLYPORT_SLACK_CLIENT_SECRET": CLIENT_SECRET,
        "SALLYPORT_SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SALLYPORT_SLACK_API_URL": slack.url,
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
    return [action for action in told if action.startswith("slack.")]


def with_a_new_key(settings: Mapping[str, str]) -> dict[str, str]:
    new = base64.b64encode(secrets.token_bytes(32)).decode()
    return {**settings, "SALLYPORT_MASTER_KEY": f"{new},{settings['SALLYPORT_MASTER_KEY']}"}


def test_a_workspace_is_connected_routed_and_given_up(cli: CommandLine, slack: SlackApi) -> None:
    assert "slack/install" in cli.run("slack", "workspaces", ACME).out
    connected = cli.run("slack", "connect", ACME, CAROL, "--json", given=f"{TOKEN}\n")
    told = connected.json
    assert (told["workspace"], told["state"], told["app"]) == ("T0001", "active", "A0001")
    taken = cli.json(
        "slack", "connect", GLOBEX, "--as=dave@globex.test", code=1, given=f"{TOKEN}\n"
    )
    assert taken["error"]["code"] == "workspace_taken"
    channel = cli.json("slack", "route", ACME, TEAM, "--channel=C0001")
    assert channel["approvals_channel"] == "C0001"
    assert "C0001" in cli.run("slack", "workspaces", ACME).out
    assert cli.json("slack", "route", ACME, TEAM, "--direct")["approvals_channel"] is None
    assert cli.json("slack", "emails", ACME, TEAM, "--trust")["links_by_email"] is True
    theirs = cli.json("slack", "route", GLOBEX, TEAM, "--direct", code=1)
    assert theirs["error"]["code"] == "unknown_workspace"
    assert cli.json("slack", "workspaces", GLOBEX)["items"] == []
    newer = CommandLineHere(cli.data_dir, environment=with_a_new_key(cli.settings))
    rotated = newer.json("vault", "rotate")
    assert rotated["chat_tokens"] == {"resealed": 1, "unreadable": 0}
    left = newer.json("slack", "leave", ACME, TEAM)
    assert left == {"workspace": "T0001", "name": "Team T0001", "uninstalled": True}
    assert slack.methods()[-1] == "apps.uninstall"
    assert cli.json("slack", "workspaces", ACME)["items"] == []
    assert actions(cli)[-5:] == [
        "slack.installed",
        "slack.routed",
        "slack.routed",
        "slack.emails_trusted",
        "slack.left",
    ]
    listed = cli.run("slack", "workspaces", ACME)
    assert TOKEN not in connected.out + connected.err + listed.out


def test_a_workspace_is_given_up_even_where_slack_does_not_answer(
    cli: CommandLine, slack: SlackApi
) -> None:
    cli.json("slack", "connect", ACME, CAROL, given=TOKEN)
    slack.down = True
    left = cli.run("slack", "leave", ACME, TEAM)
    slack.down = False
    assert "could not be taken out" in left.out
    assert cli.json("slack", "workspaces", ACME)["items"] == []


def test_a_token_that_slack_does_not_know_connects_nothing(
    cli: CommandLine, slack: SlackApi
) -> None:
    slack.failing = "invalid_auth"
    refused = cli.json("slack", "connect", ACME, CAROL, code=1, given=TOKEN)
    slack.failing = ""
    assert refused["error"]["code"] == "install_failed"
    assert cli.json("slack", "workspaces", ACME)["items"] == []


def test_where_slack_is_off_it_is_said_what_to_set(cli: CommandLine, module_urls: Urls) -> None:
    without = CommandLineHere(cli.data_dir, environment=module_urls.settings)
    refused = without.json("slack", "connect", ACME, CAROL, code=1, given=TOKEN)
    assert refused["error"]["code"] == "slack_off"
    assert "SALLYPORT_SLACK_CLIENT_ID" in refused["error"]["message"]


def test_the_manifest_is_printed_to_be_pasted(cli: CommandLine) -> None:
    url = "--url=https://agents.acme.test/"
    as_json = json.loads(cli.run("slack", "manifest", url).out)
    assert as_json == yaml.safe_load(cli.run("slack", "manifest", url, "--yaml").out)
    assert as_json == cli.json("slack", "manifest", url)
    assert "https://agents.acme.test/slack/events" in json.dumps(as_json)
    assert "request_url" not in cli.run("slack", "manifest", "--socket").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("manifest",),
        ("manifest", "--url=agents.acme.test"),
        ("manifest", "--url=https://agents.acme.test/path"),
        ("route", ACME, TEAM),
        ("route", ACME, TEAM, "--direct", "--channel=C0001"),
        ("route", ACME, TEAM, "--channel=#general"),
        ("route", ACME, "--direct"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_said_so(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    told = cli.json("slack", *arguments, code=2)
    assert told["error"]["code"] == "wrong_usage"
