"""The whole story in the terminal."""

import json
import sys
from pathlib import Path

import click

from core.telemetry.logs import configure_logs
from sallyport import settings
from sallyport.commands.answer import Answer, answering, as_json_given, console, give_json, is_done
from sallyport.demo.people import DUPLICATE, PROJECT
from sallyport.demo.show import AtRest, Outcome, play, settings_of_demo
from sallyport.demo.stage import Stage

_HELP = "See the whole story in the terminal: ask, stop, approve, act, verify, undo."


@click.command("demo", help=_HELP)
@click.option("--auto", is_flag=True, help="Play both people, and end with the story.")
@answering
async def COMMAND(*, auto: bool) -> Answer:  # noqa: N802 - what the command line looks for
    """Tell the story; then stay up, unless it plays by itself."""
    configure_logs(json=False, level="error")
    told = settings_of_demo(settings.load())
    # The story is for people: where standard output belongs to a program, it is told beside it.
    shown = console(stderr=as_json_given())
    stage = Stage(shown, asks=not auto and sys.stdin.isatty())
    stage.says("demo", "one door to every tool, with two gates: policy, then people", style="blue")

    def at_rest(rest: AtRest, outcome: Outcome) -> None:
        if as_json_given():
            give_json({**outcome.as_json(), "url": rest.url, "mcp_token": rest.mcp_token})
        _give_addresses(stage, rest)
        is_done()

    outcome = await play(told, stage=stage, at_rest=None if auto else at_rest)
    return Answer(document=outcome.as_json(), shown=_summary(outcome), code=0 if outcome.ok else 1)


def _summary(outcome: Outcome) -> str:
    missing = [name.replace("_", " ") for name, seen in outcome.steps.items() if not seen]
    if missing:
        return f"\nThese steps did not happen: {', '.join(missing)}."
    return f"\nAll {len(outcome.steps)} steps happened, in {outcome.seconds:.1f} seconds."


def _give_addresses(stage: Stage, rest: AtRest) -> None:
    clients = {
        "mcpServers": {
            "sallyport": {
                "type": "http",
                "url": f"{rest.url}/mcp",
                "headers": {"Authorization": f"Bearer {rest.mcp_token}"},
            }
        }
    }
    local = {
        "mcpServers": {
            "sallyport": {
                "command": str(Path(sys.argv[0]).absolute()),
                "args": ["mcp", "--tenant", "acme", "--as", "alice@acme.test"],
                "env": {"SALLYPORT_DATA_DIR": str(rest.data_dir)},
            }
        }
    }
    stage.act("It stays up")
    stage.says("rest", f"{rest.url}/api/v1, described at {rest.url}/api/v1/openapi.json")
    stage.says("mcp", f"{rest.url}/mcp")
    stage.says("try", f'ask your MCP client to delete "{DUPLICATE}" in "{PROJECT}"')
    stage.plainly("\nFor Cursor and others that speak HTTP (the token is Alice's, for a day):\n")
    stage.plainly(json.dumps(clients, indent=2))
    stage.plainly("\nFor Claude Desktop, which starts its servers itself:\n")
    stage.plainly(json.dumps(local, indent=2))
    stage.plainly("\nWhat waits for Bob is decided with:\n")
    data_dir = f"SALLYPORT_DATA_DIR={rest.data_dir}"
    stage.plainly(f"  {data_dir} sallyport approvals list --tenant acme --state pending")
    stage.plainly(
        f"  {data_dir} sallyport approvals decide ID approve --tenant acme --as bob@acme.test"
    )
    stage.plainly("\nCtrl-C ends it.")
