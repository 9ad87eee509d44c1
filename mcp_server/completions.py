"""Completion of arguments over MCP, from what is really there and the person may see anyway."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mcp import types

from core.app import App
from core.domain.principal import Caller
from core.errors import InvalidInput, NotFound
from mcp_server.resources import APPROVAL, RUN, RUN_PAGE, TEMPLATES, TOOL

_MOST: Final = 100
"""What the protocol allows in one answer."""
_LOOKED_AT: Final = 200
"""Of runs and approvals, only the newest are suggested."""

_TEMPLATES: Final[Mapping[str, str]] = {one.uri: one.argument for one in TEMPLATES}


class Completions:
    """Suggests values for arguments of prompts and of addresses."""

    def __init__(self, app: App) -> None:
        """Take the core."""
        self._app = app

    async def completed(
        self,
        caller: Caller,
        *,
        of: types.PromptReference | types.ResourceTemplateReference,
        argument: types.CompletionArgument,
    ) -> types.CompleteResult:
        """Return at most 100 values, and whether there are more.

        Raises:
            InvalidInput: ``unknown_completion``: no such prompt, address or argument of theirs.
        """
        if isinstance(of, types.PromptReference):
            found = await self._of_prompt(caller, prompt=of.name, argument=argument)
        else:
            found = await self._of_template(caller, uri=of.uri, argument=argument)
        has_more = len(found) > _MOST
        return types.CompleteResult(
            completion=types.Completion(
                values=list(found[:_MOST]),
                # How many more there are, nobody counts.
                total=None if has_more else len(found),
                has_more=has_more,
            )
        )

    async def _of_prompt(
        self, caller: Caller, *, prompt: str, argument: types.CompletionArgument
    ) -> Sequence[str]:
        try:
            return await self._app.handbook.suggestions(
                caller,
                prompt=prompt,
                argument=argument.name,
                typed=argument.value,
                limit=_MOST + 1,
            )
        except NotFound as error:
            raise InvalidInput("unknown_completion") from error

    async def _of_template(
        self, caller: Caller, *, uri: str, argument: types.CompletionArgument
    ) -> Sequence[str]:
        if _TEMPLATES.get(uri) != argument.name:
            raise InvalidInput("unknown_completion")
        if uri == TOOL.uri:
            return await self._tools(caller, argument.value)
        if uri in {RUN.uri, RUN_PAGE.uri}:
            return await self._runs(caller, argument.value)
        return await self._approvals(caller, argument.value)

    async def _tools(self, caller: Caller, typed: str) -> Sequence[str]:
        if TOOL.scope not in caller.scopes:
            return ()
        return _fitting(typed, ((tool.name, "") for tool in await self._app.tools(caller)))

    async def _runs(self, caller: Caller, typed: str) -> Sequence[str]:
        if RUN.scope not in caller.scopes:
            return ()
        newest = await self._app.runs(caller, before=None, limit=_LOOKED_AT)
        return _fitting(typed, ((str(run.id), run.task) for run in newest))

    async def _approvals(self, caller: Caller, typed: str) -> Sequence[str]:
        if APPROVAL.scope not in caller.scopes:
            return ()
        newest, _ = await self._app.approvals(caller, state=None, before=None, limit=_LOOKED_AT)
        return _fitting(typed, ((str(one.id), one.tool) for one in newest))


def _fitting(typed: str, values: Iterable[tuple[str, str]]) -> Sequence[str]:
    """Return the values that begin with what was typed, then those whose words hold it."""
    wanted = typed.strip().lower()
    told = list(values)
    begin = [value for value, _ in told if value.lower().startswith(wanted)]
    known = set(begin)
    hold = [
        value
        for value, words in told
        if value not in known and wanted in f"{value} {words}".lower()
    ]
    return [*begin, *hold]
