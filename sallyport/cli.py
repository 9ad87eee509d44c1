"""The command line: finds the command, and turns whatever goes wrong into a sentence and a code."""

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence

import click

from core.errors import SallyportError
from core.telemetry.logs import configure_logs
from sallyport.commands import answer
from sallyport.ending import first_of

_STANDARD_ERROR = 2
_FAILED, _WRONG_USAGE, _INTERRUPTED = 1, 2, 130

_HELP = """\
Sallyport: the governed entrance for AI agents. Every tool call passes one door with two gates:
policy, then people.

Every command takes --json: one JSON document on standard output. Exit codes: 0 done, 1 refused or
failed, 2 wrong usage."""

_COMMANDS: Mapping[str, str] = {
    "demo": "See the whole story in the terminal: ask, stop, approve, act, verify, undo.",
    "serve": "Run everything in one process: HTTP, worker, embedded PostgreSQL.",
    "worker": "Run a worker: it drives runs, and serves nobody.",
    "migrate": "Bring the database to the newest shape.",
    "tenant": "Create and list tenants.",
    "principal": "Create, list, disable and enable the people of a tenant.",
    "signin": "Sign people in by one-time links, and end their sessions.",
    "account": "See and set whose an account on Slack or Teams is.",
    "idp": "Set the identity provider through which a tenant signs in.",
    "keys": "Change the key that signs tokens.",
    "token": "Make bearer tokens for HTTP and MCP.",
    "vault": "Keep the credentials that tools use, and change the key that seals them.",
    "tool": "See the tools of a tenant, and switch them on and off.",
    "slack": "Make the app at Slack, and see where it is installed.",
    "teams": "Make the app for Teams, and say whose people may use it.",
    "upstream": "Connect upstream MCP servers, and accept their tools.",
    "run": "Start, watch and cancel runs of the agent.",
    "call": "Call one tool, through the door.",
    "approvals": "See what waits for people, and decide it.",
    "undo": "Take a call back.",
    "audit": "Export and verify the audit.",
    "letters": "See what chat could not handle or deliver, and try it again.",
    "mcp": "Serve MCP on standard input and output.",
    "doctor": "Check this installation, and say what to do about it.",
}
"""Each command with its line of help; the module of its name is imported only when it is used."""


class _Commands(click.Group):
    """The commands by name, none of them imported before it is asked for."""

    def list_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
    ) -> list[str]:
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        # Nothing of what a module defines is garbage: looking for it costs a fifth of the start.
        gc.disable()
        try:
            module = importlib.import_module(f"sallyport.commands.{cmd_name}")
        finally:
            gc.freeze()
            gc.enable()
        command: object = module.COMMAND
        return command if isinstance(command, click.Command) else None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


_sallyport = _Commands(
    "sallyport", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; ``arguments`` stand for the process's own."""
    _open_standard_files()
    # Before anything can fail: unconfigured, a traceback shows local variables, secrets and all.
    configure_logs(json=False, level="warning")
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(given, as_json=answer.wants_json(given)))


def _open_standard_files() -> None:
    """Put something where a standard file is closed: whatever is opened next would take its place.

    The event loop aborts the whole process where its own files come to stand there.
    """
    while True:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened > _STANDARD_ERROR:
            os.close(opened)
            return


def _run(arguments: list[str], *, as_json: bool) -> int:
    try:
        code: object = _sallyport.main(arguments, prog_name="sallyport", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as usage:
        click.echo(usage.format_message(), err=True)
        return _WRONG_USAGE
    except click.ClickException as wrong:
        return answer.give_usage_error(wrong, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except (SallyportError, BaseExceptionGroup) as error:
        return answer.give_error(first_of(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the process's main: nothing is above it
        return answer.give_error(error, as_json=as_json)
    return code if isinstance(code, int) else 0
