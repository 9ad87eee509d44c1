"""Every tool there is, found by name, checked, previewed and called."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

# Any: a tool's own types end where its pack was bound to its store.
from typing import Any

import jsonschema_rs
import pydantic
import structlog

from core.domain.canonical import JsonObject, canonical_json
from core.domain.effect import Effect
from core.domain.eraser import Eraser
from core.domain.permit import PermittedCall
from core.domain.tool import Failed, Inverse, Preview, Succeeded, Tool, ToolCall, ToolResult
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LeaseLost,
    Misconfigured,
    NotFound,
    Refused,
    SallyportError,
    ToolFailed,
    Unavailable,
)
from core.ports import Clock
from core.tools.authoring import (
    Arguments,
    BoundPack,
    Context,
    Done,
    EffectContext,
    Output,
    PackTool,
)
from core.tools.faults import MASK, model_fault, schema_fault, unstorable
from core.tools.handing_out import (
    CredentialSource,
    HandingOut,
    NoCredentials,
    failed_erased,
    preview_erased,
)
from core.words import sentence_of

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_BACKOFF_SECONDS = (0.1, 0.4)
"""Waits before the second and the third attempt at a part that is not there."""
_DATABASE_AWAY = "database_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    tool: Tool
    authored: PackTool[Any]
    store: object
    takes: jsonschema_rs.Validator
    returns: jsonschema_rs.Validator


class Registry:
    """The ToolBox of the packs that it was given; what is in no pack does not exist.

    Inside a call the order is: permission, validation, logic, logging.
    """

    def __init__(
        self,
        packs: Sequence[BoundPack],
        *,
        clock: Clock,
        credentials: CredentialSource | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the packs, in any order, and where tools get the credentials that they name.

        ``sleep`` waits between attempts.

        Raises:
            Misconfigured: ``invalid_setting``: two tools share a name, or an undo names no tool.
        """
        self._clock = clock
        self._credentials = credentials or NoCredentials()
        self._sleep = sleep
        # Bound once: doing so for each call costs more than its line that nobody reads.
        self._log = _log.bind()
        entries = [_entry(authored, pack=pack) for pack in packs for authored in pack.tools]
        self._entries = {entry.tool.name: entry for entry in entries}
        self._tools = tuple(self._entries[name].tool for name in sorted(self._entries))
        if len(self._entries) != len(entries):
            names = [entry.tool.name for entry in entries]
            twice = next(name for name in names if names.count(name) > 1)
            raise Misconfigured("invalid_setting", key="tools", detail=f"two tools named {twice}")
        for entry in entries:
            undo = entry.authored.undo
            if undo is not None and undo not in self._entries:
                detail = f"{entry.tool.name} is undone by {undo}, which is not there"
                raise Misconfigured("invalid_setting", key="tools", detail=detail)

    def tools(self) -> Sequence[Tool]:
        """Return every registered tool, by name; those that only Undo calls are not ``listed``."""
        return self._tools

    def find(self, name: str) -> Tool | None:
        """Return the registered tool of that name. Anything unregistered is blocked."""
        entry = self._entries.get(name)
        return entry.tool if entry else None

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return ``arguments`` as the tool takes them: schema-checked, defaults filled in.

        Raises:
            InvalidInput: ``invalid_arguments`` with the path and what is wrong.
        """
        return _parsed(self._known(tool.name), arguments).model_dump(mode="json")

    async def preview(self, call: ToolCall) -> Preview | None:
        """Return what ``call`` would change, None for a safe tool; checks that its targets exist.

        Raises:
            NotFound: an argument names something that is not there, or is another tenant's.
            Forbidden: the requester may not touch it.
            Conflict: the tool could not do it now, with the tool's own code.
            Unavailable: a part that the tool needs is not there.
        """
        entry = self._known(call.tool)
        if entry.authored.previewer is None:
            return None
        _check_tenant(call)
        arguments = _parsed(entry, call.arguments)
        handing_out = HandingOut(self._credentials, call=call)
        context = Context(
            tenant_id=call.tenant_id,
            principal=call.requester,
            store=entry.store,
            now=self._clock.now(),
            credentials=handing_out,
        )
        with handing_out.in_use() as eraser:
            try:
                preview = await entry.authored.previewer(arguments, context)
            except ToolFailed as error:
                raise Conflict(error.code, **error.facts) from error
            except SallyportError:
                raise
            except Exception as error:
                _crashed(call, error=error)
                raise Conflict("tool_error", tool=call.tool) from error
        preview = preview_erased(preview, eraser=eraser)
        return replace(preview, reversible=entry.tool.reversible)

    async def call(self, permitted: PermittedCall) -> ToolResult:
        """Make the call. Failures are results, but for LeaseLost and a database that is away."""
        call = permitted.call
        begun = self._clock.monotonic()
        handing_out = HandingOut(self._credentials, call=call)
        with handing_out.in_use() as eraser:
            result = await self._result(permitted, handing_out=handing_out, eraser=eraser)
        # The journal and the audit hold every call; this line is for whoever debugs a tool.
        self._log.debug(
            "tool.called",
            tool=call.tool,
            tenant_id=str(call.tenant_id),
            run_id=str(call.run_id) if call.run_id else None,
            call_id=str(call.id),
            duration_ms=round((self._clock.monotonic() - begun) * 1000, 1),
            outcome="succeeded" if isinstance(result, Succeeded) else result.code,
        )
        return result

    async def _result(
        self, permitted: PermittedCall, *, handing_out: HandingOut, eraser: Eraser
    ) -> ToolResult:
        call = permitted.call
        try:
            entry = self._known(call.tool)
            _check_tenant(call)
            arguments = _parsed(entry, call.arguments)
            context = self._context(entry, permitted=permitted, handing_out=handing_out)
            returned = await self._attempted(entry, arguments=arguments, context=context)
            return self._succeeded(entry, returned=returned, eraser=eraser)
        except (Refused, ToolFailed) as error:
            return failed_erased(_failed(error), eraser=eraser)
        except Unavailable as error:
            if error.code == _DATABASE_AWAY:
                # The effect may be committed and its answer lost: only the journal's reader,
                # who waits for the same database, can go on from here.
                raise
            return _failed(ToolFailed("tool_unavailable", tool=call.tool))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - a tool's bug ends its call, not the run
            _crashed(call, error=error)
            return _failed(ToolFailed("tool_error", tool=call.tool))

    async def _attempted(
        self, entry: _Entry, *, arguments: Arguments, context: Context[object]
    ) -> Output | Done[Output]:
        # Only what may be repeated is repeated: Unavailable can also mean that the answer was lost.
        for seconds in _BACKOFF_SECONDS if entry.tool.idempotent else ():
            try:
                return await entry.authored.body(arguments, context)
            except Unavailable as error:
                _log.warning("tool.unavailable", tool=entry.tool.name, code=error.code)
            await self._sleep(seconds)
        return await entry.authored.body(arguments, context)

    def _context(
        self, entry: _Entry, *, permitted: PermittedCall, handing_out: HandingOut
    ) -> Context[object]:
        call, now = permitted.call, self._clock.now()
        if not entry.tool.risk.has_effect:
            return Context(
                tenant_id=call.tenant_id,
                principal=call.requester,
                store=entry.store,
                now=now,
                credentials=handing_out,
            )
        return EffectContext(
            tenant_id=call.tenant_id,
            principal=call.requester,
            store=entry.store,
            now=now,
            credentials=handing_out,
            effect=Effect(
                tenant_id=call.tenant_id,
                principal=call.requester,
                key=permitted.idempotency_key,
                tool=call.tool,
                at=now,
                lease=permitted.lease,
            ),
        )

    def _succeeded(
        self, entry: _Entry, *, returned: Output | Done[Output], eraser: Eraser
    ) -> ToolResult:
        inverse = None
        if isinstance(returned, Done):
            undo = self._known(entry.authored.undo or "")
            if not isinstance(returned.undo, undo.authored.arguments):
                raise TypeError(f"{undo.tool.name} does not take {type(returned.undo).__name__}")
            arguments: JsonObject = returned.undo.model_dump(mode="json")
            inverse = Inverse(tool=undo.tool.name, arguments=eraser.object(arguments))
            returned = returned.output
        output = eraser.object(returned.model_dump(mode="json"))
        if (
            not entry.returns.is_valid(dict(output))
            or unstorable(output)
            # A number that is a secret cannot be blotted out and stay a number.
            or (eraser and eraser.finds(canonical_json(output)))
        ):
            _log.error("tool.result_invalid", tool=entry.tool.name)
            return _failed(ToolFailed("tool_result_invalid", tool=entry.tool.name))
        return Succeeded(output=output, inverse=inverse)

    def _known(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound("unknown_tool", tool=name[:64])
        return entry


def _entry(authored: PackTool[Any], *, pack: BoundPack) -> _Entry:
    definition = authored.definition(pack=pack.name)
    return _Entry(
        tool=definition,
        authored=authored,
        store=pack.store,
        takes=_validator(definition.input_schema),
        returns=_validator(definition.output_schema),
    )


def _validator(schema: JsonObject) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        dict(schema), validate_formats=True, mask=MASK, offline=True
    )


def _parsed(entry: _Entry, arguments: JsonObject) -> Arguments:
    name = entry.tool.name
    if fault := unstorable(arguments):
        raise InvalidInput("invalid_arguments", tool=name, path="", detail=fault)
    if not entry.takes.is_valid(dict(arguments)):
        path, words = schema_fault(entry.takes, arguments)
        raise InvalidInput("invalid_arguments", tool=name, path=path, detail=words)
    try:
        return entry.authored.arguments.model_validate(arguments)
    except pydantic.ValidationError as error:
        path, words = model_fault(error)
        raise InvalidInput("invalid_arguments", tool=name, path=path, detail=words) from error


def _check_tenant(call: ToolCall) -> None:
    if call.requester.tenant_id != call.tenant_id:
        raise Forbidden("tenant_mismatch")


def _failed(error: SallyportError) -> Failed:
    return Failed(
        code=error.code,
        message=sentence_of(error),
        facts=dict(error.facts),
    )


def _crashed(call: ToolCall, *, error: Exception) -> None:
    # The type alone: what an exception says may hold arguments or content.
    _log.error(
        "tool.crashed",
        tool=call.tool,
        tenant_id=str(call.tenant_id),
        run_id=str(call.run_id) if call.run_id else None,
        call_id=str(call.id),
        error=type(error).__name__,
    )
