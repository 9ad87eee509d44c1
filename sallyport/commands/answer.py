"""What a command says: one JSON document for programs, or lines for people; errors alike."""

import functools
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import click
import structlog
from rich.console import Console, RenderableType
from rich.table import Table

from core.domain.canonical import JsonObject
from core.errors import SallyportError
from core.words import sentence_of
from sallyport.ending import run

_WIDE = 200
_BY_A_SIGNAL = 128
_DONE = "sallyport.done"

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command: the document for programs, the same for people, and the exit code."""

    document: JsonObject
    shown: RenderableType = ""
    code: int = 0


Work = Callable[..., Awaitable[Answer]]


def answering(work: Work) -> Callable[..., int]:
    """Make a command's callback of ``work``: it takes --json, and answers as it was asked to."""
    return _callback(work, told_to_end={})


def lasting(work: Work) -> Callable[..., int]:
    """Make a callback as ``answering`` does, of work that is done when SIGTERM says so."""
    return _callback(work, told_to_end={signal.SIGTERM: 0})


def _callback(work: Work, *, told_to_end: Mapping[signal.Signals, int]) -> Callable[..., int]:
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    @functools.wraps(work)
    def answered(*, as_json: bool, **given: object) -> int:
        async def worked() -> Answer:
            return await work(**given)

        match run(worked):
            case signal.Signals() as told:
                if _DONE in click.get_current_context().meta:
                    return 0
                return told_to_end.get(told, _BY_A_SIGNAL + told)
            case Answer() as answer:
                if as_json:
                    give_json(answer.document)
                elif answer.shown != "":
                    console().print(answer.shown)
                return answer.code

    return answered


def is_done() -> None:
    """Say that the command has done what it was asked: told to end now, it has not failed."""
    click.get_current_context().meta[_DONE] = True


def console(*, stderr: bool = False) -> Console:
    """Return the console to print on; wide where there is no terminal, so that no id is cut."""
    file = sys.stderr if stderr else sys.stdout
    return Console(file=file, width=None if file.isatty() else _WIDE, highlight=False, emoji=False)


def give_json(document: JsonObject) -> None:
    """Print one JSON document on one line."""
    click.echo(json.dumps(document, ensure_ascii=False, default=str))


def table(*columns: str, rows: Sequence[Sequence[object]], none: str) -> RenderableType:
    """Return rows for people; the sentence ``none`` where there are none."""
    if not rows:
        return none
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        shown.add_column(column, no_wrap=at == 0, overflow="fold")
    for row in rows:
        shown.add_row(*("" if value is None else str(value) for value in row))
    return shown


def as_json_given() -> bool:
    """Return whether the command that runs was asked for JSON."""
    return bool(click.get_current_context().params.get("as_json"))


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether these arguments ask for JSON, even where they are wrong otherwise."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def give_usage_error(wrong: click.ClickException, *, as_json: bool) -> int:
    """Say what was wrong about the command, and return the exit code."""
    if as_json:
        give_json({"error": {"code": "wrong_usage", "message": wrong.format_message()}})
    else:
        wrong.show()
    return wrong.exit_code


def give_error(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong and what to do about it, and return the exit code."""
    if isinstance(error, SallyportError):
        code, message = error.code, sentence_of(error)
    else:
        _log.error("command.failed", exc_info=error)
        code, message = "internal_error", f"Something went wrong here: {type(error).__name__}."
    if as_json:
        give_json({"error": {"code": code, "message": message}})
    else:
        click.echo(message, err=True)
    return 1
