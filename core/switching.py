"""Switching tools on and off for a whole company, by its admins."""

from collections.abc import Mapping
from typing import Final, Protocol

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.ids import TenantId
from core.domain.principal import Caller, Role
from core.domain.tool import Tool
from core.errors import Forbidden, NotFound
from core.ports import Clock, Renew, ToolBox

_NAME: Final = 200


class Settings(Protocol):
    """Which tools are switched off."""

    async def disabled_tools(self, tenant_id: TenantId) -> frozenset[str]:
        """Return the names of the tools that are switched off for the tenant."""
        ...

    async def set_tool(self, tenant_id: TenantId, *, tool: str, enabled: bool) -> None:
        """Switch a tool on or off; verdicts made before are stale from now on."""
        ...


class TheirTools(Protocol):
    """The tools that a tenant has beside the registered ones."""

    async def accepted(self, tenant_id: TenantId) -> Mapping[str, Tool]:
        """Return those that were accepted, by name."""
        ...


class Auditor(Protocol):
    """Where it is written down."""

    async def record(self, *records: AuditRecord) -> None:
        """Keep records of one tenant."""
        ...


class Switching:
    """Shows an admin the company's tools and switches them; knows what each tool takes."""

    def __init__(
        self,
        *,
        toolbox: ToolBox,
        theirs: TheirTools,
        settings: Settings,
        auditor: Auditor,
        clock: Clock,
        renew: Renew,
    ) -> None:
        """Take which tools there are, where switches are kept, and who renews callers."""
        self._toolbox = toolbox
        self._theirs = theirs
        self._settings = settings
        self._auditor = auditor
        self._clock = clock
        self._renew = renew

    async def tools(self, caller: Caller) -> tuple[tuple[Tool, bool], ...]:
        """Return the company's tools by name, each with whether it is on.

        Of upstream servers, what they may not call is for admins to know.
        """
        off = await self._settings.disabled_tools(caller.tenant_id)
        is_admin = Role.ADMIN in caller.principal.roles
        theirs = await self._theirs.accepted(caller.tenant_id)
        every = (*self._toolbox.tools(), *(theirs.values() if is_admin else ()))
        named = {tool.name: tool for tool in every if tool.listed}
        return tuple((tool, name not in off) for name, tool in sorted(named.items()))

    async def switch(self, caller: Caller, *, tool: str, enabled: bool) -> None:
        """Switch a tool for everybody, at once. Twice is once, and once in the audit.

        Raises:
            Forbidden: ``switch_needs_admin``.
            NotFound: ``unknown_tool``.
        """
        caller = await self._renew(caller)
        _need_admin(caller)
        found = await self.find(caller.tenant_id, tool=tool)
        if found is None or not found.listed:
            raise NotFound("unknown_tool", tool=tool[:_NAME])
        is_on = found.name not in await self._settings.disabled_tools(caller.tenant_id)
        if is_on is enabled:
            return
        await self._settings.set_tool(caller.tenant_id, tool=found.name, enabled=enabled)
        content: JsonObject = {"tool": found.name, "enabled": enabled, "via": caller.via}
        await self._auditor.record(
            audit_record(
                caller.tenant_id,
                at=self._clock.now(),
                action="tool.switched",
                actor=caller.actor,
                tool=found.name,
                content=content,
            )
        )

    async def schema_of(self, tenant_id: TenantId, *, tool: str) -> JsonObject | None:
        """Return the input schema of a tenant's tool as it is now; None where it is gone."""
        found = await self.find(tenant_id, tool=tool)
        return found.input_schema if found is not None else None

    async def find(self, tenant_id: TenantId, *, tool: str) -> Tool | None:
        """Return a tool of the tenant's, switched off or not; None where there is none."""
        registered = self._toolbox.find(tool)
        return registered or (await self._theirs.accepted(tenant_id)).get(tool)


def _need_admin(caller: Caller) -> None:
    if Role.ADMIN not in caller.principal.roles or "tenant:admin" not in caller.scopes:
        raise Forbidden("switch_needs_admin")
