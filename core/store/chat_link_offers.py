"""Offers by which an account on a chat surface becomes somebody's: kept by digest, used once."""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, insert, select, update

from core.domain.account import Account, AccountLink, Linked, LinkOffer, Shown
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.errors import Conflict, LimitReached
from core.store.chat_links import (
    ACTIVE,
    Record,
    Tell,
    held_workspace,
    keep_link,
    link_row,
)
from core.store.chat_tables import chat_link_offers, chat_workspaces
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.tables import identity_links, principals


class StoredLinkOffers:
    """Offers on PostgreSQL. They are looked for within a tenant, never across."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def offer(
        self,
        tenant_id: TenantId,
        *,
        account: Account,
        shown: Shown,
        offer_hash: bytes,
        now: datetime,
        life: timedelta,
        most: int,
        within: timedelta,
    ) -> LinkOffer:
        """Keep a new offer for an account: those before it are worth nothing any more.

        Raises:
            NotFound: ``not_found``: the tenant has no such workspace, or is not active there.
            Conflict: ``account_linked``: it is somebody's.
            LimitReached: ``too_many_links``: ``most`` were made in the time ``within``.
        """
        offers = chat_link_offers.c
        of_account = (
            (offers.tenant_id == tenant_id)
            & (offers.surface == account.surface)
            & (offers.workspace == account.workspace)
            & (offers.external_user == account.user)
        )
        expires_at = now + life
        async with self._database.for_tenant(tenant_id) as connection:
            name = await held_workspace(connection, tenant_id, account)
            if await link_row(connection, tenant_id, account) is not None:
                raise Conflict("account_linked")
            gone = offers.expires_at <= expires_at - within
            await connection.execute(
                delete(chat_link_offers).where(offers.tenant_id == tenant_id, gone)
            )
            made = select(func.count(), func.min(offers.expires_at)).where(of_account)
            count, first = (await connection.execute(made)).one()
            if count >= most:
                left = (first + within - expires_at).total_seconds()
                raise LimitReached("too_many_links", retry_after_seconds=int(left) + 1)
            await connection.execute(
                update(chat_link_offers)
                .where(of_account, offers.used_at.is_(None))
                .values(used_at=now)
            )
            await connection.execute(
                insert(chat_link_offers).values(
                    tenant_id=tenant_id,
                    offer_hash=offer_hash,
                    surface=account.surface,
                    workspace=account.workspace,
                    external_user=account.user,
                    shown_name=shown.name,
                    email=shown.email,
                    expires_at=expires_at,
                )
            )
        return LinkOffer(
            tenant_id=tenant_id,
            account=account,
            shown=shown,
            workspace_name=name,
            expires_at=expires_at,
        )

    async def offered(self, tenant_id: TenantId, *, offer_hash: bytes) -> LinkOffer | None:
        """Return an offer of the tenant's, used and expired ones too."""
        query = _offers(tenant_id).where(chat_link_offers.c.offer_hash == offer_hash)
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _offer(row) if row is not None else None

    async def accept(
        self,
        offer: LinkOffer,
        *,
        offer_hash: bytes,
        person: Principal,
        at: datetime,
        record: Record,
        tell: Tell,
    ) -> AccountLink:
        """Use the offer up, link its account, tell auditor and people: all of it or nothing.

        Raises:
            Conflict: ``link_offer_used``: used or expired meanwhile; ``account_linked``.
            NotFound: ``not_found``: the person is there no more.
        """
        offers, tenant_id = chat_link_offers.c, offer.tenant_id
        used = (
            update(chat_link_offers)
            .where(
                offers.tenant_id == tenant_id,
                offers.offer_hash == offer_hash,
                offers.used_at.is_(None),
                offers.expires_at > at,
            )
            .values(used_at=at)
            .returning(offers.offer_hash)
        )
        link = AccountLink(account=offer.account, person=person, how=Linked.PAGE, linked_at=at)
        async with self._database.for_tenant(tenant_id) as connection:
            if (await connection.execute(used)).one_or_none() is None:
                raise Conflict("link_offer_used")
            await keep_link(connection, link, email=offer.shown.email, record=record, tell=tell)
        return link


def _offers(tenant_id: TenantId) -> Select[tuple[object, ...]]:
    """Select the tenant's offers in workspaces that it is active in."""
    offers, workspaces, links = chat_link_offers.c, chat_workspaces.c, identity_links.c
    expected = (
        select(principals.c.id)
        .where(principals.c.tenant_id == tenant_id, principals.c.email == offers.email)
        .scalar_subquery()
    )
    holder = (
        select(links.principal_id)
        .where(
            links.tenant_id == tenant_id,
            links.surface == offers.surface,
            links.external_workspace == offers.workspace,
            links.external_user == offers.external_user,
            links.unlinked_at.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(
            *offers,
            workspaces.name.label("workspace_name"),
            expected.label("expected"),
            holder.label("holder"),
        )
        .join_from(
            chat_link_offers,
            chat_workspaces,
            (workspaces.tenant_id == offers.tenant_id)
            & (workspaces.surface == offers.surface)
            & (workspaces.workspace == offers.workspace),
        )
        .where(offers.tenant_id == tenant_id, workspaces.state == ACTIVE)
    )


def _offer(row: AnyRow) -> LinkOffer:
    return LinkOffer(
        tenant_id=TenantId(row.tenant_id),
        account=Account(surface=row.surface, workspace=row.workspace, user=row.external_user),
        shown=Shown(name=row.shown_name, email=row.email),
        workspace_name=row.workspace_name,
        expires_at=row.expires_at,
        used_at=row.used_at,
        expected=PrincipalId(row.expected) if row.expected else None,
        holder=PrincipalId(row.holder) if row.holder else None,
    )
