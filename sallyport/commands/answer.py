"""What a command says: one JSON document for programs, or lines for people; errors alike."""

import asyncio
import functools
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import click
from rich.console import Console, RenderableType
from rich.table import Table

from core.domain.canonical import JsonObject
from core.errors import SallyportError
from core.words import sentence_of
from sallyport.commands.logs import log_to_stderr

_WIDE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command: the document for programs, the same for people, and the exit code."""

    document: JsonObject
    shown: RenderableType = ""
    code: int = 0


def answering(work: Callable[..., Awaitable[Answer]]) -> Callable[..., int]:
    """Make a command's callback of ``work``: it takes --json, and answers as it was asked to."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    @functools.wraps(work)
    def answered(*, as_json: bool, **given: object) -> int:
        log_to_stderr()

        async def run() -> Answer:
            return await work(**given)

        answer = asyncio.run(run())
        if as_json:
            give_json(answer.document)
        elif answer.shown != "":
            console().print(answer.shown)
        return answer.code

    return answered


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
        traceback.print_exception(error, file=sys.stderr)
        code, message = "internal_error", f"Something went wrong here: {type(error).__name__}."
    if as_json:
        give_json({"error": {"code": code, "message": message}})
    else:
        click.echo(message, err=True)
    return 1


def first_of(error: BaseException) -> BaseException:
    """Return what a group of errors is about: ours before anybody else's."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, SallyportError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    group = cast("BaseExceptionGroup[BaseException]", error)
    for inner in group.exceptions:
        yield from _leaves(inner)
