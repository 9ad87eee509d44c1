"""Where a tenant's identity provider is kept, and what it says about the tenant's people."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.sign_in import IdentityProvider
from core.errors import Conflict, NotFound
from core.store.database import Database
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.sign_in_tables import identity_providers
from core.store.tables import identity_links, principals

_SURFACE = "oidc"


class StoredProviders:
    """Identity providers on PostgreSQL, with the accounts there that people here are linked to."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def provider(self, tenant_id: TenantId) -> IdentityProvider | None:
        """Return the tenant's provider, if it has one."""
        query = select(identity_providers).where(identity_providers.c.tenant_id == tenant_id)
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _provider(row) if row is not None else None

    async def set_provider(self, provider: IdentityProvider) -> None:
        """Keep the tenant's provider, in place of the one before.

        Raises:
            Conflict: ``direct_audience_taken``: another tenant takes such tokens already.
        """
        values: Mapping[str, object] = {
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "credential_ref": provider.credential,
            "email_domains": list(provider.email_domains),
            "group_roles": {group: role.value for group, role in provider.group_roles.items()},
            "groups_claim": provider.groups_claim,
            "creates_people": provider.creates_people,
            "trusts_email": provider.trusts_email,
            "direct_audience": provider.direct_audience,
        }
        kept = upsert(identity_providers).values(tenant_id=provider.tenant_id, **values)
        try:
            async with self._database.for_tenant(provider.tenant_id) as connection:
                await connection.execute(
                    kept.on_conflict_do_update(
                        index_elements=[identity_providers.c.tenant_id], set_=values
                    )
                )
        except IntegrityError as error:
            raise Conflict("direct_audience_taken") from error

    async def remove_provider(self, tenant_id: TenantId) -> IdentityProvider:
        """Forget the tenant's provider and return it.

        Raises:
            NotFound: ``not_found``.
        """
        removed = (
            delete(identity_providers)
            .where(identity_providers.c.tenant_id == tenant_id)
            .returning(*identity_providers.c)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(removed)).one_or_none()
        if row is None:
            raise NotFound("not_found", noun="identity provider")
        return _provider(row)

    async def person_of_account(
        self, tenant_id: TenantId, *, issuer: str, subject: str
    ) -> Principal | None:
        """Return whom an account is linked to; None where it is linked to nobody.

        Raises:
            NotFound: ``person_disabled``: linked to somebody who is disabled.
        """
        links = identity_links.c
        query = (
            select(principals)
            .join_from(
                identity_links,
                principals,
                (principals.c.tenant_id == links.tenant_id)
                & (principals.c.id == links.principal_id),
            )
            .where(
                links.tenant_id == tenant_id,
                links.surface == _SURFACE,
                links.external_workspace == issuer,
                links.external_user == subject,
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _enabled(row) if row is not None else None

    async def person_of_email(self, tenant_id: TenantId, *, email: str) -> Principal | None:
        """Return who has that email; None where nobody has.

        Raises:
            NotFound: ``person_disabled``.
        """
        query = select(principals).where(
            principals.c.tenant_id == tenant_id, principals.c.email == email
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _enabled(row) if row is not None else None

    async def link_account(self, person: Principal, *, issuer: str, subject: str) -> None:
        """Link an account to a person for good: later, the account alone says who it is.

        Raises:
            Conflict: ``identity_mismatch``: the person has another account of this provider, as
                where an address was given to somebody new.
        """
        links, tenant_id = identity_links.c, person.tenant_id
        others = select(links.external_user).where(
            links.tenant_id == tenant_id,
            links.principal_id == person.id,
            links.surface == _SURFACE,
            links.external_workspace == issuer,
        )
        # Of two first sign-ins at once the second waits for the first's link.
        held = (
            select(principals.c.id)
            .where(principals.c.tenant_id == tenant_id, principals.c.id == person.id)
            .with_for_update()
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(held)
            linked = (await connection.execute(others.limit(1))).scalars().first()
            if linked is None:
                await connection.execute(
                    insert(identity_links).values(
                        tenant_id=tenant_id,
                        surface=_SURFACE,
                        external_workspace=issuer,
                        external_user=subject,
                        principal_id=person.id,
                    )
                )
            elif linked != subject:
                raise Conflict("identity_mismatch", email=person.email)

    async def unlink_accounts(self, person: Principal) -> int:
        """Forget which accounts are a person's; return how many there were."""
        links = identity_links.c
        async with self._database.for_tenant(person.tenant_id) as connection:
            gone = await connection.execute(
                delete(identity_links)
                .where(
                    links.tenant_id == person.tenant_id,
                    links.principal_id == person.id,
                    links.surface == _SURFACE,
                )
                .returning(links.external_user)
            )
            return len(gone.all())

    async def set_standing(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId,
        roles: frozenset[Role],
        groups: frozenset[str],
    ) -> None:
        """Give the person these roles and groups; verdicts made before are stale from now on."""
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                update(principals)
                .where(principals.c.tenant_id == tenant_id, principals.c.id == principal_id)
                .values(roles=sorted(roles), groups=sorted(groups))
            )


def _enabled(row: AnyRow) -> Principal:
    if row.disabled_at is not None:
        raise NotFound("person_disabled")
    return principal_of(row)


def _provider(row: AnyRow) -> IdentityProvider:
    return IdentityProvider(
        tenant_id=TenantId(row.tenant_id),
        issuer=row.issuer,
        client_id=row.client_id,
        credential=CredentialRef(row.credential_ref) if row.credential_ref else None,
        email_domains=tuple(row.email_domains),
        group_roles={group: Role(role) for group, role in row.group_roles.items()},
        groups_claim=row.groups_claim,
        creates_people=row.creates_people,
        trusts_email=row.trusts_email,
        direct_audience=row.direct_audience,
    )
