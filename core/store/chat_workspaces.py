"""Where workspaces are kept, each of one tenant, with their tokens sealed."""

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from core.domain.audit import AuditRecord
from core.domain.chat import BotTokens, Installation, Surface, Workspace, WorkspaceState
from core.domain.ids import PrincipalId, TenantId
from core.errors import Conflict, Misconfigured, NotFound
from core.store.chat_tables import chat_workspaces
from core.store.database import Database
from core.store.directory import Directory
from core.store.journal import append_audit
from core.store.rows import AnyRow
from core.vault import Keyring, Resealed

_MOST: Final = 1000
_ONCE: Final = "chat_workspaces_once"
# Longer than asking the platform may take, so that who renews is not overtaken while it waits;
# and how long nobody asks again where it failed.
_RENEWAL_SECONDS: Final = 60.0


class StoredWorkspaces:
    """Workspaces on PostgreSQL. Every list has a limit; none is longer than 1000.

    Every write that an auditor must know of takes the record, and keeps both or neither.
    """

    noun = "chat_tokens"

    def __init__(self, database: Database, *, directory: Directory, keyring: Keyring) -> None:
        """Take the database, who says whose a workspace is, and what seals its tokens."""
        self._database = database
        self._directory = directory
        self._keyring = keyring

    async def keep(
        self,
        tenant_id: TenantId,
        *,
        installation: Installation,
        installed_by: PrincipalId,
        at: datetime,
        audit: AuditRecord,
    ) -> Workspace:
        """Keep what was installed, in place of what was installed there before.

        Raises:
            Conflict: ``workspace_taken``: it is another tenant's.
            Misconfigured: ``master_key_missing``: there is a token to seal.
        """
        key = {
            "tenant_id": tenant_id,
            "surface": installation.surface.value,
            "workspace": installation.workspace,
        }
        values = {
            "name": installation.name,
            "app": installation.app,
            "bot_user": installation.bot_user,
            "scopes": list(installation.scopes),
            "sealed": self._sealed_of(installation, context=_context(**key)),
            "token_expires_at": installation.token_expires_at,
            "renewed_until": None,
            "state": WorkspaceState.ACTIVE.value,
            "installed_by": installed_by,
            "installed_at": at,
            "changed_at": at,
        }
        kept = (
            upsert(chat_workspaces)
            .values(**key, **values)
            .on_conflict_do_update(
                index_elements=[
                    chat_workspaces.c.tenant_id,
                    chat_workspaces.c.surface,
                    chat_workspaces.c.workspace,
                ],
                set_=values,
            )
            .returning(*chat_workspaces.c)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            try:
                row = (await connection.execute(kept)).one()
            except IntegrityError as error:
                if _ONCE not in str(error.orig):
                    raise
                raise Conflict("workspace_taken", name=installation.name) from error
            await append_audit(connection, audit)
        return _workspace(row)

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        tenant_id = await self._directory.workspace(surface, workspace)
        if tenant_id is None:
            return None
        return await self.of_id(tenant_id, surface=surface, workspace=workspace)

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        """Return the tenant's workspace of that id."""
        query = select(chat_workspaces).where(_is(tenant_id, surface, workspace))
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _workspace(row) if row is not None else None

    async def of_tenant(
        self,
        tenant_id: TenantId,
        *,
        surface: Surface,
        after: str = "",
        limit: int = _MOST,
    ) -> tuple[Workspace, ...]:
        """Return the tenant's workspaces on a surface by id, those behind ``after``."""
        query = (
            select(chat_workspaces)
            .where(
                chat_workspaces.c.tenant_id == tenant_id,
                chat_workspaces.c.surface == surface.value,
                chat_workspaces.c.workspace > after,
            )
            .order_by(chat_workspaces.c.workspace)
            .limit(min(limit, _MOST))
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_workspace(row) for row in (await connection.execute(query)).all())

    def tokens(self, workspace: Workspace) -> BotTokens:
        """Return the workspace's tokens, for the one adapter that sends them on.

        Raises:
            NotFound: ``workspace_left``: there are none any more.
            Misconfigured: ``master_key_unknown``, ``master_key_missing``.
        """
        if workspace.sealed is None:
            raise NotFound("workspace_left", name=workspace.name, state=workspace.state.value)
        opened = self._keyring.open(workspace.sealed, context=_context_of(workspace))
        told: dict[str, str | None] = json.loads(opened)
        return BotTokens(token=told["token"] or "", refresh_token=told["refresh_token"])

    async def route(
        self, workspace: Workspace, *, channel: str | None, at: datetime, audit: AuditRecord
    ) -> bool:
        """Have questions put in a channel, or (None) to each person by themselves."""
        values = {"approvals_channel": channel, "changed_at": at}
        return await self._change(workspace, values, audit=audit)

    async def trust_emails(
        self, workspace: Workspace, *, trusted: bool, at: datetime, audit: AuditRecord
    ) -> bool:
        """Take the workspace's word on its people's email addresses, or take it no more."""
        values = {"links_by_email": trusted, "changed_at": at}
        return await self._change(workspace, values, audit=audit)

    async def left(
        self,
        workspace: Workspace,
        *,
        state: WorkspaceState,
        before: datetime,
        at: datetime,
        audit: AuditRecord,
    ) -> bool:
        """Wipe the tokens of an app that was uninstalled, or whose tokens were revoked.

        What was installed after ``before`` is another installation, and stays. Return whether
        anything changed.
        """
        earlier = chat_workspaces.c.installed_at <= before
        return await self._wipe(workspace, earlier, state=state, at=at, audit=audit)

    async def died(self, workspace: Workspace, *, at: datetime, audit: AuditRecord) -> bool:
        """Wipe the tokens that ``workspace`` has where they are still the ones that are kept."""
        still = chat_workspaces.c.sealed == workspace.sealed
        state = WorkspaceState.TOKEN_REVOKED
        return await self._wipe(workspace, still, state=state, at=at, audit=audit)

    async def remove(self, workspace: Workspace, *, audit: AuditRecord) -> bool:
        """Give a workspace up, tokens and all: it may become anybody's."""
        gone = delete(chat_workspaces).where(_is_this(workspace))
        async with self._database.for_tenant(workspace.tenant_id) as connection:
            is_gone = bool((await connection.execute(gone)).rowcount)
            if is_gone:
                await append_audit(connection, audit)
        return is_gone

    async def begin_renewal(self, workspace: Workspace) -> datetime | None:
        """Return the claim of the one process that may now renew these very tokens.

        None where another does, or where they were renewed, replaced or wiped meanwhile.
        """
        now = func.clock_timestamp()
        claimed = (
            update(chat_workspaces)
            .where(
                _is_this(workspace),
                chat_workspaces.c.sealed == workspace.sealed,
                or_(
                    chat_workspaces.c.renewed_until.is_(None),
                    chat_workspaces.c.renewed_until <= now,
                ),
            )
            .values(renewed_until=_later(_RENEWAL_SECONDS))
            .returning(chat_workspaces.c.renewed_until)
        )
        async with self._database.for_tenant(workspace.tenant_id) as connection:
            return (await connection.execute(claimed)).scalar_one_or_none()

    async def renewed(
        self,
        workspace: Workspace,
        *,
        claim: datetime,
        tokens: BotTokens,
        expires_at: datetime | None,
        at: datetime,
    ) -> bool:
        """Keep renewed tokens; False where the claim was lost to another installation.

        The claim counts, and not what is sealed: that may have been sealed anew meanwhile.
        """
        kept = (
            update(chat_workspaces)
            .where(_is_this(workspace), chat_workspaces.c.renewed_until == claim)
            .values(
                sealed=self._sealed(tokens, context=_context_of(workspace)),
                token_expires_at=expires_at,
                renewed_until=None,
                changed_at=at,
            )
        )
        async with self._database.for_tenant(workspace.tenant_id) as connection:
            return bool((await connection.execute(kept)).rowcount)

    async def reseal(self) -> Resealed:
        """Seal under the newest master key whatever is not, one workspace at a time.

        Raises:
            Misconfigured: ``master_key_missing``.
        """
        total = Resealed()
        async for workspace in self._all():
            if workspace.sealed is None:
                continue
            try:
                sealed = self._keyring.reseal(workspace.sealed, context=_context_of(workspace))
            except Misconfigured as error:
                if error.code != "master_key_unknown":
                    raise
                total += Resealed(unreadable=1)
                continue
            if sealed is not None and await self._replace(workspace, sealed=sealed):
                total += Resealed(resealed=1)
        return total

    async def _all(self) -> AsyncGenerator[Workspace]:
        after = ""
        while tenants := await self._directory.tenants(after=after, limit=_MOST):
            for tenant in tenants:
                for surface in Surface:
                    last = ""
                    while page := await self.of_tenant(tenant.id, surface=surface, after=last):
                        for workspace in page:
                            yield workspace
                        last = page[-1].workspace
            after = tenants[-1].name

    async def _replace(self, workspace: Workspace, *, sealed: bytes) -> bool:
        resealed = (
            update(chat_workspaces)
            .where(_is_this(workspace), chat_workspaces.c.sealed == workspace.sealed)
            .values(sealed=sealed)
        )
        async with self._database.for_tenant(workspace.tenant_id) as connection:
            return bool((await connection.execute(resealed)).rowcount)

    async def _wipe(
        self,
        workspace: Workspace,
        which: ColumnElement[bool],
        *,
        state: WorkspaceState,
        at: datetime,
        audit: AuditRecord,
    ) -> bool:
        # An app that is gone stays gone, whatever is heard of its tokens afterwards.
        wiped = {"sealed": None, "token_expires_at": None, "renewed_until": None}
        values = {**wiped, "state": state.value, "changed_at": at}
        not_yet = chat_workspaces.c.state.not_in([state.value, WorkspaceState.UNINSTALLED.value])
        return await self._change(workspace, values, which & not_yet, audit=audit)

    async def _change(
        self,
        workspace: Workspace,
        values: Mapping[str, object],
        *which: ColumnElement[bool],
        audit: AuditRecord,
    ) -> bool:
        changed = update(chat_workspaces).where(_is_this(workspace), *which).values(**values)
        async with self._database.for_tenant(workspace.tenant_id) as connection:
            is_changed = bool((await connection.execute(changed)).rowcount)
            if is_changed:
                await append_audit(connection, audit)
        return is_changed

    def _sealed_of(self, installation: Installation, *, context: str) -> bytes | None:
        if not installation.token:
            return None
        tokens = BotTokens(token=installation.token, refresh_token=installation.refresh_token)
        return self._sealed(tokens, context=context)

    def _sealed(self, tokens: BotTokens, *, context: str) -> bytes:
        told = {"token": tokens.token, "refresh_token": tokens.refresh_token}
        return self._keyring.seal(json.dumps(told).encode(), context=context)


def _is(tenant_id: TenantId, surface: Surface, workspace: str) -> ColumnElement[bool]:
    return (
        (chat_workspaces.c.tenant_id == tenant_id)
        & (chat_workspaces.c.surface == surface.value)
        & (chat_workspaces.c.workspace == workspace)
    )


def _is_this(workspace: Workspace) -> ColumnElement[bool]:
    return _is(workspace.tenant_id, workspace.surface, workspace.workspace)


def _later(seconds: float) -> ColumnElement[datetime]:
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _context(*, tenant_id: object, surface: object, workspace: object) -> str:
    """Return what sealed tokens are bound to: in any other row they do not open."""
    return f"chat/{tenant_id}/{surface}/{workspace}"


def _context_of(workspace: Workspace) -> str:
    return _context(
        tenant_id=workspace.tenant_id,
        surface=workspace.surface.value,
        workspace=workspace.workspace,
    )


def _workspace(row: AnyRow) -> Workspace:
    return Workspace(
        tenant_id=TenantId(row.tenant_id),
        surface=Surface(row.surface),
        workspace=row.workspace,
        name=row.name,
        app=row.app,
        bot_user=row.bot_user,
        scopes=tuple(row.scopes),
        state=WorkspaceState(row.state),
        approvals_channel=row.approvals_channel,
        links_by_email=row.links_by_email,
        installed_by=PrincipalId(row.installed_by),
        installed_at=row.installed_at,
        changed_at=row.changed_at,
        token_expires_at=row.token_expires_at,
        sealed=row.sealed,
    )
