"""Where credentials are kept, sealed: who reads the table has none of them."""

from sqlalchemy import ColumnElement, Select, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from core.domain.credential import Credential
from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.errors import NotFound
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.tables import principals
from core.store.vault_tables import credentials

_MOST = 1000


class StoredCredentials:
    """The vault's records on PostgreSQL. Every list has a limit; none is longer than 1000."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def keep(self, credential: Credential) -> None:
        """Keep a credential in place of the one with its id.

        Raises:
            NotFound: the owner is nobody of this tenant.
        """
        values = {
            "sealed": credential.sealed,
            "key_id": credential.key_id,
            "expires_at": credential.expires_at,
            "changed_at": credential.changed_at,
        }
        kept = (
            upsert(credentials)
            .values(
                tenant_id=credential.tenant_id,
                id=credential.id,
                name=credential.name,
                owner_id=credential.owner,
                created_at=credential.created_at,
                **values,
            )
            .on_conflict_do_update(
                index_elements=[credentials.c.tenant_id, credentials.c.id], set_=values
            )
        )
        async with self._database.for_tenant(credential.tenant_id) as connection:
            try:
                await connection.execute(kept)
            except IntegrityError as error:
                raise NotFound("not_found", noun="person") from error

    async def by_ref(self, tenant_id: TenantId, *, ref: CredentialRef) -> Credential | None:
        """Return the tenant's credential of that reference."""
        return await self._first(tenant_id, credentials.c.id == ref)

    async def for_person(
        self, tenant_id: TenantId, *, name: str, person: PrincipalId
    ) -> Credential | None:
        """Return the person's own credential of that name, else the company's."""
        theirs = or_(credentials.c.owner_id == person, credentials.c.owner_id.is_(None))
        return await self._first(tenant_id, (credentials.c.name == name) & theirs)

    async def remove(self, tenant_id: TenantId, *, ref: CredentialRef) -> bool:
        """Forget a credential; return whether it was there."""
        gone = (
            delete(credentials)
            .where(credentials.c.tenant_id == tenant_id, credentials.c.id == ref)
            .returning(credentials.c.id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(gone)).one_or_none() is not None

    async def page(
        self,
        tenant_id: TenantId,
        *,
        after: CredentialRef | None,
        limit: int,
        not_under: str | None = None,
    ) -> tuple[Credential, ...]:
        """Return the tenant's credentials by id, those behind ``after``.

        Only those sealed under another key, where ``not_under`` names one.
        """
        query = _credentials_of(tenant_id)
        if after is not None:
            query = query.where(credentials.c.id > after)
        if not_under is not None:
            query = query.where(credentials.c.key_id != not_under)
        query = query.order_by(credentials.c.id).limit(min(limit, _MOST))
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_credential(row) for row in (await connection.execute(query)).all())

    async def reseal(self, was: Credential, *, sealed: bytes, key_id: str) -> bool:
        """Seal one under another key; return whether it was still as ``was`` has it."""
        resealed = (
            update(credentials)
            .where(
                credentials.c.tenant_id == was.tenant_id,
                credentials.c.id == was.id,
                credentials.c.sealed == was.sealed,
            )
            .values(sealed=sealed, key_id=key_id)
            .returning(credentials.c.id)
        )
        async with self._database.for_tenant(was.tenant_id) as connection:
            return (await connection.execute(resealed)).one_or_none() is not None

    async def _first(self, tenant_id: TenantId, wanted: ColumnElement[bool]) -> Credential | None:
        query = (
            _credentials_of(tenant_id)
            .where(wanted)
            .order_by(credentials.c.owner_id.asc().nulls_last())
            .limit(1)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _credential(row) if row is not None else None


def _credentials_of(tenant_id: TenantId) -> Select[tuple[object, ...]]:
    owner = (principals.c.tenant_id == credentials.c.tenant_id) & (
        principals.c.id == credentials.c.owner_id
    )
    return (
        select(credentials, principals.c.email)
        .join_from(credentials, principals, owner, isouter=True)
        .where(credentials.c.tenant_id == tenant_id)
    )


def _credential(row: AnyRow) -> Credential:
    return Credential(
        id=CredentialRef(row.id),
        tenant_id=TenantId(row.tenant_id),
        name=row.name,
        owner=PrincipalId(row.owner_id) if row.owner_id else None,
        sealed=row.sealed,
        key_id=row.key_id,
        expires_at=row.expires_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
        owner_email=row.email,
    )
