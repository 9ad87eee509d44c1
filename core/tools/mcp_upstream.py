"""The tools of upstream MCP servers, as the door knows tools: checked, pinned and bounded."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Protocol, cast

import jsonschema_rs
import structlog

from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.eraser import LOG_KEY, Eraser
from core.domain.ids import PrincipalId, TenantId
from core.domain.permit import PermittedCall
from core.domain.tool import Change, Failed, Preview, Succeeded, Tool, ToolCall, ToolResult
from core.domain.upstream import GRACE_SECONDS, UNSTRUCTURED, Sighting, upstream_of
from core.domain.upstream import Connection as Connected
from core.egress import Egress
from core.errors import (
    Forbidden,
    InvalidInput,
    Refused,
    SallyportError,
    ToolFailed,
)
from core.ports import Clock
from core.tools.faults import schema_fault, unstorable, validator_of
from core.tools.handing_out import failed_erased
from core.tools.mcp_allowed import AllowedUpstream, private_hosts
from core.tools.mcp_breaker import NotSent
from core.tools.mcp_secrets import UpstreamSecrets
from core.words import sentence_of

if TYPE_CHECKING:
    # The SDK takes half a second to read; whoever calls no upstream server does without.
    import mcp_types

    from core.tools.mcp_actor import Actor
    from core.tools.mcp_connection import Connection

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ACTORS = 256
_VALIDATORS = 1000
_SHOWN = 500
_CHANGES = 50
_UNCERTAIN = frozenset(
    {"upstream_unreachable", "upstream_timeout", "upstream_too_large", "upstream_broken"}
)
"""Faults of a call that was sent, after which nobody here knows what it has done."""

_Key = tuple[TenantId, str, PrincipalId | None, int, bytes]
"""Whose session with what it is, of which connection and under which credential, as a digest."""


class UpstreamRecords(Protocol):
    """Which upstreams a tenant uses, and what was seen of their tools."""

    async def connection(self, tenant_id: TenantId, *, upstream: str) -> Connected:
        """Return how the tenant is connected.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        ...

    async def saw(
        self, tenant_id: TenantId, *, upstream: str, sightings: Sequence[Sighting]
    ) -> tuple[str, ...]:
        """Keep what a server says of its tools now; return those that have changed."""
        ...


class UpstreamTools:
    """A ToolBox of tools that are each tenant's own: what may be called, its standing says.

    Calls can be made while it is ``open``.
    """

    def __init__(
        self,
        allowed: Mapping[str, AllowedUpstream],
        *,
        records: UpstreamRecords,
        secrets: UpstreamSecrets,
        clock: Clock,
    ) -> None:
        """Take the operator's list, and where connections and what they go with are kept."""
        self.allowed = allowed
        self._records = records
        self._secrets = secrets
        # One each: what the operator lets be private is for that server alone to be reached at.
        self._egresses = {
            name: Egress(allow_private=private_hosts(one)) for name, one in allowed.items()
        }
        self._clock = clock
        self._actors: dict[_Key, Actor] = {}
        self._validators: OrderedDict[str, jsonschema_rs.Validator] = OrderedDict()
        self._group: asyncio.TaskGroup | None = None
        self._owners: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Have sessions be opened as they are needed; all end with the outermost block."""
        if self._group is not None:
            yield
            return
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    yield
                finally:
                    await self._closed()
        except BaseExceptionGroup as errors:
            # Owners never raise: it is the block's own error, which nobody expects in a group.
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def _closed(self) -> None:
        self._group = None
        self._actors.clear()
        owners = tuple(self._owners)
        for owner in owners:
            owner.cancel()
        # Here, because the group would cancel them again while they are closing.
        if owners:
            await asyncio.wait(owners)

    def tools(self) -> Sequence[Tool]:
        """Return nothing: no tool is everybody's."""
        return ()

    def find(self, name: str) -> Tool | None:
        """Return nothing: no tool is everybody's."""
        del name
        return None

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return ``arguments`` as they are, where the pinned schema takes them.

        Raises:
            InvalidInput: ``invalid_arguments`` with the path and what is wrong.
        """
        if wrong := unstorable(arguments):
            raise InvalidInput("invalid_arguments", tool=tool.name, path="", detail=wrong)
        takes = self._validator(tool.definition_digest, kind="takes", schema=tool.input_schema)
        if not takes.is_valid(dict(arguments)):
            path, words = schema_fault(takes, arguments)
            raise InvalidInput("invalid_arguments", tool=tool.name, path=path, detail=words)
        return arguments

    async def preview(self, call: ToolCall) -> Preview | None:
        """Return the call itself, by argument: what it would change, only its server knows.

        Raises:
            Forbidden: ``tenant_mismatch``.
        """
        _check_tenant(call)
        upstream, _, _ = call.tool.partition("__")
        shown = sorted(call.arguments.items())[:_CHANGES]
        return Preview(
            summary=f"Call {call.tool} of the server {upstream}.",
            target=upstream,
            changes=tuple(
                Change(field=name[:_SHOWN], before=None, after=_told(value))
                for name, value in shown
            ),
        )

    async def call(self, permitted: PermittedCall) -> ToolResult:
        """Make the call. Failures are results, but for what nobody here knows the outcome of.

        Raises:
            TimeoutError: the call went out, and no answer that says what it has done came back.
            Unavailable: our own database is away.
        """
        tool, call = permitted.tool, permitted.call
        try:
            _check_tenant(call)
            return await self._result(permitted)
        except NotSent as error:
            return _failed(error)
        except ToolFailed as error:
            if tool.risk.has_effect and error.code in _UNCERTAIN:
                _log.warning(
                    "upstream.outcome_unknown",
                    tool=tool.name,
                    tenant_id=str(call.tenant_id),
                    call_id=str(call.id),
                    code=error.code,
                )
                raise TimeoutError(error.code) from error
            return _failed(error)
        except Refused as error:
            return _failed(error)

    async def look(self, tenant_id: TenantId, *, upstream: str) -> None:
        """Ask an upstream for its tools now, and keep what it says.

        Raises:
            NotFound: ``upstream_not_connected``; ``credential_missing``.
            Forbidden: ``credential_expired``.
            ToolFailed: the server could not be asked; ``credential_unreadable``.
        """
        actor, _ = await self._actor(tenant_id, upstream=upstream, person=None)
        await actor.look()

    async def _result(self, permitted: PermittedCall) -> ToolResult:
        tool, call = permitted.tool, permitted.call
        actor, allowed = await self._actor(
            call.tenant_id, upstream=upstream_of(tool) or "", person=call.requester.id
        )
        with structlog.contextvars.bound_contextvars(**{LOG_KEY: actor.eraser}):
            told = await actor.call(
                tool.name,
                digest=tool.definition_digest,
                arguments=call.arguments,
                key=permitted.idempotency_key if tool.idempotent else None,
                seconds=tool.timeout_seconds - GRACE_SECONDS,
            )
        from core.tools import mcp_results  # noqa: PLC0415 - see above

        if told.is_error:
            said = mcp_results.text_of(told, eraser=actor.eraser)
            failed = _failed(ToolFailed("upstream_tool_failed", tool=tool.name, detail=said))
            return failed_erased(failed, eraser=actor.eraser)
        output = self._output(tool, told=told, eraser=actor.eraser)
        if output is None:
            return _failed(ToolFailed("upstream_schema_broken", tool=tool.name))
        if len(canonical_json(output)) > allowed.result_bytes:
            return _failed(ToolFailed("upstream_result_too_large", tool=tool.name))
        return Succeeded(output=output)

    def _output(
        self, tool: Tool, *, told: "mcp_types.CallToolResult", eraser: Eraser
    ) -> JsonObject | None:
        """Return what a call has returned; None where that is not what was promised."""
        from core.tools import mcp_results  # noqa: PLC0415 - see above

        if tool.output_schema == UNSTRUCTURED:
            output: JsonObject = {
                "content": [mcp_results.block_of(block) for block in told.content]
            }
            return None if unstorable(output) else eraser.object(output)
        structured = cast("Json", told.structured_content)
        if not isinstance(structured, Mapping) or unstorable(structured):
            return None
        erased = eraser.object(structured)
        # A number that is a secret cannot be blotted out and stay a number.
        if eraser.finds(canonical_json(erased)):
            return None
        returns = self._validator(tool.definition_digest, kind="returns", schema=tool.output_schema)
        return erased if returns.is_valid(dict(erased)) else None

    async def _actor(
        self, tenant_id: TenantId, *, upstream: str, person: PrincipalId | None
    ) -> "tuple[Actor, AllowedUpstream]":
        allowed = self.allowed.get(upstream)
        if allowed is None:
            raise NotSent.of(ToolFailed("upstream_not_allowed", upstream=upstream))
        connected = await self._records.connection(tenant_id, upstream=upstream)
        if connected.entra_scope is None:
            person = None
        # Looked at for each call: what was replaced, removed or has expired is so at once.
        secret = await self._secrets.of(connected, person=person)
        digest = hashlib.sha256(secret.encode()).digest() if secret is not None else b""
        key: _Key = (tenant_id, upstream, person, connected.revision, digest)
        actor = self._actors.get(key)
        if actor is None:
            self._forget(key)
            eraser = Eraser(secret) if secret else Eraser()

            async def open_one() -> "Connection":
                return await self._opened(connected, allowed=allowed, eraser=eraser, person=person)

            from core.tools.mcp_actor import Actor  # noqa: PLC0415 - see above

            actor = self._actors[key] = Actor(
                allowed, open_one=open_one, clock=self._clock, eraser=eraser
            )
        return actor, allowed

    def _forget(self, newer: _Key) -> None:
        """Let go of sessions with an older credential, and of those that nobody uses."""
        for key, actor in list(self._actors.items()):
            is_older = key[:3] == newer[:3]
            if is_older or (len(self._actors) >= _ACTORS and actor.is_idle):
                actor.retire()
                del self._actors[key]

    async def _opened(
        self,
        connected: Connected,
        *,
        allowed: AllowedUpstream,
        eraser: Eraser,
        person: PrincipalId | None,
    ) -> "Connection":
        if self._group is None:
            raise ToolFailed("upstream_unreachable", upstream=allowed.name)
        secret = await self._secrets.of(connected, person=person)
        if secret:
            # It may have been replaced since the call was let in.
            eraser.learn(secret)

        async def on_seen(sightings: tuple[Sighting, ...]) -> None:
            if person is not None:
                return  # what one person is shown says nothing of what there is
            changed = await self._records.saw(
                connected.tenant_id, upstream=allowed.name, sightings=sightings
            )
            if changed:
                _log.info(
                    "upstream.changed",
                    tenant_id=str(connected.tenant_id),
                    upstream=allowed.name,
                    tools=list(changed),
                )

        from core.tools.mcp_connection import Connection  # noqa: PLC0415 - see above

        connection = Connection(
            allowed,
            secret=secret,
            egress=self._egresses[allowed.name],
            clock=self._clock,
            on_seen=on_seen,
            eraser=eraser,
        )
        # A context of its own: nothing of whoever happens to call first goes with the session.
        owner = self._group.create_task(
            connection.own(), name=f"upstream {allowed.name}", context=Context()
        )
        self._owners.add(owner)
        owner.add_done_callback(self._owners.discard)
        return connection

    def _validator(self, digest: str, *, kind: str, schema: JsonObject) -> jsonschema_rs.Validator:
        key = f"{kind}:{digest}"
        found = self._validators.get(key)
        if found is None:
            found = self._validators[key] = validator_of(schema)
            while len(self._validators) > _VALIDATORS:
                self._validators.popitem(last=False)
        return found


def _check_tenant(call: ToolCall) -> None:
    if call.requester.tenant_id != call.tenant_id:
        raise Forbidden("tenant_mismatch")


def _told(value: Json) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _failed(error: SallyportError) -> Failed:
    return Failed(code=error.code, message=sentence_of(error), facts=dict(error.facts))
