"""What admins do about upstream servers: connect, look, accept, set terms, disconnect."""

import re
from dataclasses import dataclass

from core.domain.audit import audit_record
from core.domain.canonical import JsonObject
from core.domain.principal import Caller
from core.domain.upstream import UPSTREAM_NAME, Connection, PinnedTool, PinState, Terms
from core.errors import Forbidden, InvalidInput, NotFound, SallyportError
from core.ports import Clock, Journal
from core.store.upstreams import StoredUpstreams
from core.tools.mcp_allowed import AllowedUpstream
from core.tools.mcp_upstream import UpstreamTools
from core.vault import Vault

_NEEDED = range(1, 11)
_SECONDS = range(1, 301)
_SCOPE = re.compile(r"[!#-\[\]-~]{1,300}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamView:
    """A server that the operator allows, and how the tenant is connected to it, if at all."""

    allowed: AllowedUpstream | None
    name: str
    connection: Connection | None


class Upstreams:
    """The admins' face of upstream servers. Each method takes the caller first.

    Every one raises Forbidden (``missing_scope``) for whoever may not administer the tenant, and
    what changes anything is written down for the auditor.
    """

    def __init__(
        self,
        tools: UpstreamTools,
        *,
        records: StoredUpstreams,
        vault: Vault,
        journal: Journal,
        clock: Clock,
    ) -> None:
        """Take what reaches the servers, and where connections and credentials are kept."""
        self._tools = tools
        self._records = records
        self._vault = vault
        self._journal = journal
        self._clock = clock

    async def listed(self, caller: Caller) -> tuple[UpstreamView, ...]:
        """Return the servers that are allowed, and those that the tenant is connected to."""
        _need_admin(caller)
        connected = {one.upstream: one for one in await self._records.connections(caller.tenant_id)}
        return tuple(
            UpstreamView(
                name=name, allowed=self._tools.allowed.get(name), connection=connected.get(name)
            )
            for name in sorted({*self._tools.allowed, *connected})
        )

    async def connect(
        self, caller: Caller, *, upstream: str, secret: str | None
    ) -> tuple[PinnedTool, ...]:
        """Connect the tenant and return the tools that there are; none may be called yet.

        Connected before, it gets this credential instead, and what was accepted stays so. A new
        connection to a server that cannot be asked for its tools is not kept.

        Raises:
            NotFound: ``upstream_not_allowed``.
            InvalidInput: ``invalid_secret``, ``unstorable_secret``.
            ToolFailed: the server could not be asked.
        """
        _need_admin(caller)
        if UPSTREAM_NAME.fullmatch(upstream) is None or upstream not in self._tools.allowed:
            raise NotFound("upstream_not_allowed", upstream=upstream[:64])
        tenant_id = caller.tenant_id
        known = {one.upstream for one in await self._records.connections(tenant_id)}
        credential = None
        if secret is not None:
            credential = await self._vault.put(
                tenant_id, name=f"upstream:{upstream}", secret=secret
            )
        await self._records.connect(
            tenant_id,
            upstream=upstream,
            credential=credential,
            by=caller.actor,
            at=self._clock.now(),
        )
        try:
            await self._tools.look(tenant_id, upstream=upstream)
        except SallyportError:
            if upstream not in known:
                await self._records.disconnect(tenant_id, upstream=upstream)
            raise
        tools = await self._records.tools(tenant_id, upstream=upstream)
        await self._note(
            caller,
            action="upstream.connected",
            content={
                "upstream": upstream,
                "credential": str(credential) if credential else None,
                "tools": [tool.name for tool in tools],
            },
        )
        return tools

    async def tools(
        self, caller: Caller, *, upstream: str | None = None, look: bool = False
    ) -> tuple[PinnedTool, ...]:
        """Return the tools of one server, or of all; ``look`` asks that one server first.

        Raises:
            NotFound: ``upstream_not_connected``.
            ToolFailed: the server could not be asked.
        """
        _need_admin(caller)
        if upstream is not None:
            await self._records.connection(caller.tenant_id, upstream=upstream)
            if look:
                await self._tools.look(caller.tenant_id, upstream=upstream)
        return await self._records.tools(caller.tenant_id, upstream=upstream)

    async def tool(self, caller: Caller, *, name: str) -> PinnedTool:
        """Return one tool, with what was accepted and what there is now.

        Raises:
            NotFound: ``unknown_tool``.
        """
        _need_admin(caller)
        return await self._records.tool(caller.tenant_id, name=name)

    async def accept(self, caller: Caller, *, name: str, digest: str) -> PinnedTool:
        """Accept what a tool is now, exactly as it was shown under ``digest``.

        Raises:
            NotFound: ``unknown_tool``.
            Conflict: ``nothing_to_accept``, ``upstream_changed_again``, ``upstream_tool_unusable``.
        """
        _need_admin(caller)
        tool = await self._records.accept(
            caller.tenant_id, name=name, digest=digest, by=caller.actor, at=self._clock.now()
        )
        content: JsonObject = {"tool": name, "digest": digest, "risk": tool.terms.risk.value}
        await self._note(caller, action="upstream.accepted", content=content)
        return tool

    async def accept_all(self, caller: Caller, *, upstream: str) -> tuple[PinnedTool, ...]:
        """Accept every sound tool of a server that nobody has accepted before; held ones are not.

        Raises:
            NotFound: ``upstream_not_connected``.
            Conflict: as ``accept``.
        """
        tools = await self.tools(caller, upstream=upstream)
        return tuple(
            [
                await self.accept(caller, name=tool.name, digest=tool.seen.digest)
                for tool in tools
                if tool.state is PinState.NEW and tool.fault is None and tool.seen is not None
            ]
        )

    async def set_terms(self, caller: Caller, *, name: str, terms: Terms) -> PinnedTool:
        """Have a tool's calls be judged by these terms from now on.

        Raises:
            NotFound: ``unknown_tool``.
            InvalidInput: ``invalid_field``.
        """
        _need_admin(caller)
        if terms.needed not in _NEEDED:
            raise InvalidInput("invalid_field", key="needed", detail="it is 1 to 10")
        if terms.timeout_seconds not in _SECONDS:
            raise InvalidInput("invalid_field", key="timeout", detail="it is 1 to 300 seconds")
        tool = await self._records.set_terms(caller.tenant_id, name=name, terms=terms)
        await self._note(
            caller,
            action="upstream.set",
            content={
                "tool": name,
                "risk": terms.risk.value,
                "approver": terms.approver.value,
                "needed": terms.needed,
                "idempotent": terms.idempotent,
                "timeout_seconds": terms.timeout_seconds,
            },
        )
        return tool

    async def act_as_person(self, caller: Caller, *, upstream: str, scope: str | None) -> None:
        """Have each call go out with a token of that scope of Entra's, of whom it is made for.

        None: with the company's credential again. People let the agent act as them anew.

        Raises:
            NotFound: ``upstream_not_connected``.
            InvalidInput: ``invalid_field``.
        """
        _need_admin(caller)
        if scope is not None and _SCOPE.fullmatch(scope) is None:
            raise InvalidInput("invalid_field", key="scope", detail="it is one scope of Entra's")
        await self._records.act_as_person(caller.tenant_id, upstream=upstream, scope=scope)
        content: JsonObject = {"upstream": upstream, "scope": scope}
        await self._note(caller, action="upstream.acts_as_person", content=content)

    async def disconnect(self, caller: Caller, *, upstream: str) -> None:
        """Forget a connection and what was accepted of it; its tools are gone at once.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        _need_admin(caller)
        await self._records.disconnect(caller.tenant_id, upstream=upstream)
        await self._note(caller, action="upstream.disconnected", content={"upstream": upstream})

    async def _note(self, caller: Caller, *, action: str, content: JsonObject) -> None:
        await self._journal.record(
            audit_record(
                caller.tenant_id,
                at=self._clock.now(),
                action=action,
                actor=caller.actor,
                content=content,
            )
        )


def _need_admin(caller: Caller) -> None:
    if "tenant:admin" not in caller.scopes:
        raise Forbidden("missing_scope", scope="tenant:admin")
