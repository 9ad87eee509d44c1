"""Whose an account on a chat surface is, for as long as it is."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, ColumnElement, Uuid, and_, any_, bindparam, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.account import Account, AccountLink, Linked
from core.domain.audit import AuditRecord
from core.domain.delivery import Wish
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.errors import Conflict, NotFound
from core.store.chat_outbox import put_wish
from core.store.chat_tables import chat_workspaces
from core.store.database import Database
from core.store.journal import append_audit
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.sign_in_tables import identity_providers
from core.store.tables import identity_links, principals

Record = Callable[[AccountLink], AuditRecord]
"""What the auditor is told of a link, kept in the transaction that changes it."""

Tell = Callable[[AccountLink, Sequence[Account]], Sequence[Wish]]
"""What is told to the account, and to the person's other accounts, of a link that was made."""

_SURFACES: Final = ("slack", "teams")
_OTHERS: Final = 20
_MOST: Final = 1000
ACTIVE: Final = "active"

_KEY: Final = (
    identity_links.c.surface,
    identity_links.c.external_workspace,
    identity_links.c.external_user,
)

# The tenant's links that hold, with their people.
_LINKS = (
    select(principals, *_KEY, identity_links.c.how, identity_links.c.linked_at)
    .join_from(
        identity_links,
        principals,
        and_(
            principals.c.tenant_id == identity_links.c.tenant_id,
            principals.c.id == identity_links.c.principal_id,
        ),
    )
    .where(
        identity_links.c.tenant_id == bindparam("tenant"),
        identity_links.c.surface.in_(_SURFACES),
        identity_links.c.unlinked_at.is_(None),
    )
)
_LINK = _LINKS.where(
    identity_links.c.surface == bindparam("surface"),
    identity_links.c.external_workspace == bindparam("workspace"),
    identity_links.c.external_user == bindparam("user"),
)
_PERSON = _LINK.where(principals.c.disabled_at.is_(None))
_ACCOUNTS = (
    _LINKS.where(
        identity_links.c.principal_id == any_(bindparam("people", type_=ARRAY(Uuid()))),
        identity_links.c.surface == bindparam("surface"),
        identity_links.c.external_workspace == bindparam("workspace"),
        principals.c.disabled_at.is_(None),
    )
    .order_by(identity_links.c.linked_at, *_KEY)
    .limit(_MOST)
)

_WORKSPACE = (
    select(chat_workspaces.c.name)
    .where(
        chat_workspaces.c.tenant_id == bindparam("tenant"),
        chat_workspaces.c.surface == bindparam("surface"),
        chat_workspaces.c.workspace == bindparam("workspace"),
        chat_workspaces.c.state == ACTIVE,
    )
    .with_for_update()
)


class StoredLinks:
    """Links on PostgreSQL, each of one tenant. No list is longer than 1000."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def person(self, tenant_id: TenantId, *, account: Account) -> Principal | None:
        """Return whose the account is, as they stand now; None where nobody's who is enabled."""
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(_PERSON, _of(tenant_id, account))).one_or_none()
        return principal_of(row) if row is not None else None

    async def link(self, tenant_id: TenantId, *, account: Account) -> AccountLink | None:
        """Return whose the account is, enabled or not."""
        async with self._database.for_tenant(tenant_id) as connection:
            row = await link_row(connection, tenant_id, account)
        return _link(row) if row is not None else None

    async def accounts_of(
        self,
        tenant_id: TenantId,
        *,
        principal_ids: Sequence[PrincipalId],
        surface: str,
        workspace: str,
    ) -> tuple[Account, ...]:
        """Return enabled people's accounts in a workspace, the longest linked first."""
        there = {
            "tenant": tenant_id,
            "people": list(principal_ids),
            "surface": surface,
            "workspace": workspace,
        }
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(_ACCOUNTS, there)
            return tuple(_account(row) for row in found.all())

    async def page(
        self,
        tenant_id: TenantId,
        *,
        after: Account | None,
        limit: int,
        principal_id: PrincipalId | None = None,
    ) -> tuple[AccountLink, ...]:
        """Return the tenant's links, or a person's, by account; those behind ``after``."""
        key = tuple_(*_KEY)
        query = _LINKS.order_by(*_KEY).limit(min(limit, _MOST))
        if after is not None:
            query = query.where(key > (after.surface, after.workspace, after.user))
        if principal_id is not None:
            query = query.where(identity_links.c.principal_id == principal_id)
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(query, {"tenant": tenant_id})
            return tuple(_link(row) for row in found.all())

    async def bind(self, link: AccountLink, *, record: Record, tell: Tell) -> None:
        """Link an account to a person because an operator says so.

        Raises:
            NotFound: ``not_found``: the tenant has no such workspace, or the person is gone.
            Conflict: ``account_linked``.
        """
        async with self._database.for_tenant(link.person.tenant_id) as connection:
            await held_workspace(connection, link.person.tenant_id, link.account)
            await keep_link(connection, link, email=None, record=record, tell=tell)

    async def trusted(
        self, tenant_id: TenantId, *, account: Account, email: str
    ) -> Principal | None:
        """Return whose email this is, where the tenant lets it alone say whose the account is.

        An admin has said so for that workspace, the tenant's provider speaks for the domain, and
        the person is enabled. None for an account that was ever linked.
        """
        workspaces = chat_workspaces.c
        ever = select(identity_links.c.external_user).where(
            identity_links.c.tenant_id == tenant_id, _is_account(account)
        )
        query = (
            select(principals)
            .join(
                chat_workspaces,
                (workspaces.tenant_id == principals.c.tenant_id)
                & (workspaces.surface == account.surface)
                & (workspaces.workspace == account.workspace),
            )
            .join(identity_providers, identity_providers.c.tenant_id == principals.c.tenant_id)
            .where(
                principals.c.tenant_id == tenant_id,
                principals.c.email == email,
                principals.c.disabled_at.is_(None),
                workspaces.links_by_email,
                workspaces.state == ACTIVE,
                identity_providers.c.email_domains.any_() == email.rpartition("@")[2],
                ~ever.exists(),
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return principal_of(row) if row is not None else None

    async def keep_trusted(
        self, link: AccountLink, *, email: str, record: Record, tell: Tell
    ) -> bool:
        """Link an account for the first time; False where somebody was quicker."""
        try:
            async with self._database.for_tenant(link.person.tenant_id) as connection:
                await keep_link(
                    connection, link, email=email, record=record, tell=tell, is_first=True
                )
        except (Conflict, NotFound):
            return False
        return True

    async def unlink(
        self,
        tenant_id: TenantId,
        *,
        account: Account,
        at: datetime,
        record: Record,
        of: PrincipalId | None = None,
    ) -> AccountLink | None:
        """End a link at once; None where there is none, or it is not ``of`` that person."""
        query = _LINK.with_for_update(of=identity_links)
        if of is not None:
            query = query.where(identity_links.c.principal_id == of)
        ended = (
            update(identity_links)
            .where(identity_links.c.tenant_id == tenant_id, _is_account(account))
            .values(unlinked_at=at)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query, _of(tenant_id, account))).one_or_none()
            if row is None:
                return None
            link = _link(row)
            await connection.execute(ended)
            await append_audit(connection, record(link))
        return link


async def link_row(
    connection: AsyncConnection, tenant_id: TenantId, account: Account
) -> AnyRow | None:
    """Return the row of the account's link that holds, with its person."""
    return (await connection.execute(_LINK, _of(tenant_id, account))).one_or_none()


async def held_workspace(connection: AsyncConnection, tenant_id: TenantId, account: Account) -> str:
    """Return the name of the account's workspace, and hold it: one at a time gets further."""
    held = {"tenant": tenant_id, "surface": account.surface, "workspace": account.workspace}
    name = (await connection.execute(_WORKSPACE, held)).scalar_one_or_none()
    if name is None:
        raise NotFound("not_found", noun="workspace")
    return str(name)


async def keep_link(
    connection: AsyncConnection,
    link: AccountLink,
    *,
    email: str | None,
    record: Record,
    tell: Tell,
    is_first: bool = False,
) -> None:
    """Write a link down, and tell of it, in the caller's transaction."""
    person, account = link.person, link.account
    held = (
        select(principals.c.id)
        .where(
            principals.c.tenant_id == person.tenant_id,
            principals.c.id == person.id,
            principals.c.disabled_at.is_(None),
        )
        .with_for_update(read=True)
    )
    if (await connection.execute(held)).one_or_none() is None:
        raise NotFound("not_found", noun="person")
    others = await _accounts_of(connection, person.tenant_id, person.id)
    values = {
        "principal_id": person.id,
        "how": link.how.value,
        "email": email,
        "linked_at": link.linked_at,
        "unlinked_at": None,
    }
    new = upsert(identity_links).values(
        tenant_id=person.tenant_id,
        surface=account.surface,
        external_workspace=account.workspace,
        external_user=account.user,
        **values,
    )
    key = [identity_links.c.tenant_id, *_KEY]
    kept = (
        new.on_conflict_do_nothing(index_elements=key)
        if is_first
        else new.on_conflict_do_update(
            index_elements=key, set_=values, where=identity_links.c.unlinked_at.is_not(None)
        )
    )
    returned = await connection.execute(kept.returning(identity_links.c.principal_id))
    if returned.one_or_none() is None:
        raise Conflict("account_linked")
    await append_audit(connection, record(link))
    for wish in tell(link, others):
        await put_wish(connection, person.tenant_id, wish=wish)


async def _accounts_of(
    connection: AsyncConnection, tenant_id: TenantId, principal_id: PrincipalId
) -> Sequence[Account]:
    query = (
        _LINKS.where(
            identity_links.c.principal_id == principal_id, principals.c.disabled_at.is_(None)
        )
        .order_by(identity_links.c.linked_at, *_KEY)
        .limit(_OTHERS)
    )
    found = await connection.execute(query, {"tenant": tenant_id})
    return [_account(row) for row in found.all()]


def _is_account(account: Account) -> ColumnElement[bool]:
    return tuple_(*_KEY) == (account.surface, account.workspace, account.user)


def _of(tenant_id: TenantId, account: Account) -> dict[str, object]:
    return {
        "tenant": tenant_id,
        "surface": account.surface,
        "workspace": account.workspace,
        "user": account.user,
    }


def _account(row: AnyRow) -> Account:
    return Account(surface=row.surface, workspace=row.external_workspace, user=row.external_user)


def _link(row: AnyRow) -> AccountLink:
    return AccountLink(
        account=_account(row),
        person=principal_of(row),
        how=Linked(row.how),
        linked_at=row.linked_at,
        is_enabled=row.disabled_at is None,
    )
