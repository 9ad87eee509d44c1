"""Who asks to be let in: clients and their requests, and what people have answered."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.authorization import AuthorizationRequest, Client, ClientAuth, Code
from core.domain.ids import PrincipalId, TenantId
from core.store.authorization_tables import (
    oauth_clients,
    oauth_codes,
    oauth_consents,
    oauth_requests,
)
from core.store.database import Database
from core.store.rows import AnyRow

_UNUSED_FOR: Final = timedelta(days=1)
# Longer than any family lives.
_IDLE_FOR: Final = timedelta(days=100)


class StoredAuthorization:
    """Clients, requests, consents and new codes on PostgreSQL."""

    def __init__(self, database: Database, *, most_unanswered: int = 10_000) -> None:
        """Take the database.

        Of clients that have never got a token, and of requests, ``most_unanswered`` are kept each.
        """
        self._database = database
        self._most = most_unanswered

    async def add_client(self, client: Client, *, at: datetime) -> None:
        """Keep a new client; the longest unused ones go where there are too many."""
        row = oauth_clients.c
        too_many = (
            select(row.id).where(row.used_at.is_(None)).order_by(row.created_at.desc(), row.id)
        ).offset(self._most)
        async with self._database.without_tenant() as connection:
            await connection.execute(
                insert(oauth_clients).values(
                    id=client.id,
                    name=client.name,
                    redirect_uris=list(client.redirect_uris),
                    auth_method=client.auth.value,
                    secret_hash=client.secret_hash,
                    created_at=at,
                )
            )
            await connection.execute(delete(oauth_clients).where(row.id.in_(too_many)))

    async def client(self, client_id: str) -> Client | None:
        """Return the client of that id."""
        query = select(oauth_clients).where(oauth_clients.c.id == client_id)
        async with self._database.without_tenant() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Client(
            id=row.id,
            name=row.name,
            redirect_uris=tuple(row.redirect_uris),
            auth=ClientAuth(row.auth_method),
            secret_hash=row.secret_hash,
        )

    async def add_request(self, handle_hash: bytes, *, request: AuthorizationRequest) -> None:
        """Keep a request; the oldest ones go where there are too many."""
        row = oauth_requests.c
        too_many = select(row.handle_hash).order_by(row.expires_at.desc(), row.handle_hash)
        async with self._database.without_tenant() as connection:
            await connection.execute(
                insert(oauth_requests).values(
                    handle_hash=handle_hash,
                    client_id=request.client_id,
                    client_name=request.client_name,
                    redirect_uri=request.redirect_uri,
                    state=request.state,
                    challenge=request.challenge,
                    resource=request.resource,
                    scopes=sorted(request.scopes),
                    asks_anew=request.asks_anew,
                    expires_at=request.expires_at,
                )
            )
            await connection.execute(
                delete(oauth_requests).where(row.handle_hash.in_(too_many.offset(self._most)))
            )

    async def claim_request(
        self, handle_hash: bytes, *, session_hash: bytes, at: datetime
    ) -> AuthorizationRequest | None:
        """Bind a request to the first session that is shown it, and return it.

        None where there is none, its time is over, or it is another session's.
        """
        row = oauth_requests.c
        claimed = (
            update(oauth_requests)
            .where(
                row.handle_hash == handle_hash,
                row.expires_at > at,
                or_(row.session_hash.is_(None), row.session_hash == session_hash),
            )
            .values(session_hash=session_hash)
            .returning(oauth_requests)
        )
        async with self._database.without_tenant() as connection:
            found = (await connection.execute(claimed)).one_or_none()
        return _request(found) if found is not None else None

    async def end_request(self, handle_hash: bytes, *, session_hash: bytes) -> bool:
        """Remove the request of this session; False where it is gone already."""
        row = oauth_requests.c
        ended = (
            delete(oauth_requests)
            .where(row.handle_hash == handle_hash, row.session_hash == session_hash)
            .returning(row.handle_hash)
        )
        async with self._database.without_tenant() as connection:
            return (await connection.execute(ended)).one_or_none() is not None

    async def consented(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, client_id: str, host: str
    ) -> frozenset[str]:
        """Return the scopes that the person has allowed the client that answers to this host."""
        row = oauth_consents.c
        query = select(row.scopes).where(
            row.tenant_id == tenant_id,
            row.principal_id == principal_id,
            row.client_id == client_id,
            row.redirect_host == host,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return frozenset(found or ())

    async def add_consent(self, code: Code, *, host: str, at: datetime) -> None:
        """Remember what the person has allowed, in place of what they had."""
        now = {"scopes": sorted(code.scopes), "given_at": at}
        consented = (
            upsert(oauth_consents)
            .values(
                tenant_id=code.tenant_id,
                principal_id=code.principal.id,
                client_id=code.client_id,
                redirect_host=host,
                **now,
            )
            .on_conflict_do_update(
                index_elements=["tenant_id", "principal_id", "client_id", "redirect_host"],
                set_=now,
            )
        )
        async with self._database.for_tenant(code.tenant_id) as connection:
            await connection.execute(consented)

    async def add_code(self, code: Code, *, code_hash: bytes) -> None:
        """Keep a new code."""
        async with self._database.for_tenant(code.tenant_id) as connection:
            await connection.execute(
                insert(oauth_codes).values(
                    tenant_id=code.tenant_id,
                    code_hash=code_hash,
                    principal_id=code.principal.id,
                    client_id=code.client_id,
                    redirect_uri=code.redirect_uri,
                    challenge=code.challenge,
                    resource=code.resource,
                    scopes=sorted(code.scopes),
                    family_id=code.family_id,
                    how=code.how.value if code.how else None,
                    expires_at=code.expires_at,
                )
            )

    async def forget_strangers(self, *, at: datetime) -> None:
        """Delete requests whose time is over, and clients that nobody uses."""
        client = oauth_clients.c
        unused = and_(client.used_at.is_(None), client.created_at < at - _UNUSED_FOR)
        idle = client.used_at < at - _IDLE_FOR
        async with self._database.without_tenant() as connection:
            await connection.execute(
                delete(oauth_requests).where(oauth_requests.c.expires_at <= at)
            )
            await connection.execute(delete(oauth_clients).where(or_(unused, idle)))


def _request(row: AnyRow) -> AuthorizationRequest:
    return AuthorizationRequest(
        client_id=row.client_id,
        client_name=row.client_name,
        redirect_uri=row.redirect_uri,
        state=row.state,
        challenge=row.challenge,
        resource=row.resource,
        scopes=frozenset(row.scopes),
        asks_anew=row.asks_anew,
        expires_at=row.expires_at,
        session_hash=row.session_hash,
    )
