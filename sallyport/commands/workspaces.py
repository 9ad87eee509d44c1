"""What an operator says of a tenant's workspaces, on whichever surface they are."""

from collections.abc import Callable, Sequence
from datetime import datetime

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import Json, JsonObject
from core.domain.chat import Surface, Workspace
from core.errors import NotFound
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer
from sallyport.commands.session import tenant_named
from sallyport.founding import OPERATOR


class TenantWorkspaces:
    """A tenant's workspaces on one surface; ``told`` is how one stands in a document."""

    def __init__(self, surface: Surface, *, told: Callable[[Workspace], dict[str, Json]]) -> None:
        """Take the surface."""
        self._surface = surface
        self._told = told

    async def named(self, parts: Assembly, *, tenant: str, workspace: str) -> Workspace:
        """Return a workspace by its id.

        Raises:
            NotFound: ``not_found``: there is no such tenant; ``unknown_workspace``.
        """
        tenant_id = await tenant_named(parts, tenant)
        found = await parts.chat_workspaces.of_id(
            tenant_id, surface=self._surface, workspace=workspace
        )
        if found is None:
            raise NotFound("unknown_workspace", workspace=workspace[:50])
        return found

    async def page(
        self, parts: Assembly, *, tenant: str, after: str, limit: int
    ) -> Sequence[Workspace]:
        """Return the tenant's workspaces by id, those behind ``after``."""
        tenant_id = await tenant_named(parts, tenant)
        return await parts.chat_workspaces.of_tenant(
            tenant_id, surface=self._surface, after=after, limit=limit
        )

    def document(self, found: Sequence[Workspace], *, limit: int) -> JsonObject:
        """Return a page as a document, with where the next one begins."""
        return {
            "items": [self._told(workspace) for workspace in found],
            "next_cursor": found[-1].workspace if len(found) == limit else None,
        }

    async def routed(
        self, parts: Assembly, workspace: Workspace, *, channel: str | None
    ) -> Workspace:
        """Have questions put in a channel, or to each approver, and return it as it is now."""
        now = parts.clock.now()
        content: JsonObject = {"workspace": workspace.workspace, "approvals_channel": channel}
        audit = self.note(workspace, did="routed", content=content, at=now)
        await parts.chat_workspaces.route(workspace, channel=channel, at=now, audit=audit)
        found = await parts.chat_workspaces.of_id(
            workspace.tenant_id, surface=self._surface, workspace=workspace.workspace
        )
        if found is None:
            raise NotFound("unknown_workspace", workspace=workspace.workspace[:50])
        return found

    async def route(
        self, parts: Assembly, *, tenant: str, workspace: str, channel: str | None
    ) -> Answer:
        """Say where questions are put."""
        found = await self.named(parts, tenant=tenant, workspace=workspace)
        found = await self.routed(parts, found, channel=channel)
        there = f"in {channel}" if channel else "to each approver"
        return Answer(
            document=self._told(found), shown=f"Questions in {found.name} are put {there}."
        )

    async def trust_emails(
        self, parts: Assembly, *, tenant: str, workspace: str, trusted: bool
    ) -> Answer:
        """Say whether a workspace's verified emails link accounts by themselves."""
        found = await self.named(parts, tenant=tenant, workspace=workspace)
        now = parts.clock.now()
        content: JsonObject = {"workspace": found.workspace, "links_by_email": trusted}
        audit = self.note(found, did="emails_trusted", content=content, at=now)
        await parts.chat_workspaces.trust_emails(found, trusted=trusted, at=now, audit=audit)
        told = "link accounts by themselves" if trusted else "link nobody"
        shown = f"Verified emails in {found.name} {told} from now on."
        return Answer(document=content, shown=shown)

    def note(
        self, workspace: Workspace, *, did: str, content: JsonObject, at: datetime
    ) -> AuditRecord:
        """Return what the auditor reads: that the operator ``did`` something on the surface."""
        action = f"{self._surface.value}.{did}"
        return audit_record(
            workspace.tenant_id, at=at, action=action, actor=OPERATOR, content=content
        )
