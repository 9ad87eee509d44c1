"""What people say about upstream servers where tools act as them."""

from collections.abc import Sequence

from core.domain.account import Account
from core.domain.audit import audit_record
from core.domain.principal import Principal
from core.domain.upstream import ActsAt
from core.errors import NotFound
from core.identity.on_behalf_of import OnBehalfOf
from core.ports import Clock, Journal
from core.store.upstreams import StoredUpstreams


class Acting:
    """The people's face of servers at which tools act as the person; whoever calls has proved who.

    What changes anything is written down for the auditor.
    """

    def __init__(
        self, tokens: OnBehalfOf, *, records: StoredUpstreams, journal: Journal, clock: Clock
    ) -> None:
        """Take who keeps people's tokens, and how the company is connected."""
        self._tokens = tokens
        self._records = records
        self._journal = journal
        self._clock = clock

    async def listed(self, person: Principal) -> Sequence[ActsAt]:
        """Return the servers at which tools act as the person."""
        connected = await self._records.connections(person.tenant_id)
        return [
            ActsAt(
                upstream=one.upstream,
                may=await self._tokens.is_begun(
                    person.tenant_id,
                    person=person.id,
                    upstream=one.upstream,
                    scope=one.entra_scope,
                ),
            )
            for one in connected
            if one.entra_scope is not None
        ]

    async def begin(
        self, person: Principal, *, account: Account, assertion: str, upstream: str
    ) -> None:
        """Let the agent act as somebody, by the token that Teams gave the tab for them.

        Raises:
            NotFound: ``upstream_not_connected``: or nobody acts as a person there.
            Forbidden, Unavailable: as ``OnBehalfOf.begin``.
        """
        connected = await self._records.connection(person.tenant_id, upstream=upstream)
        if connected.entra_scope is None:
            raise NotFound("upstream_not_connected", upstream=upstream)
        await self._tokens.begin(
            person,
            account=account,
            assertion=assertion,
            upstream=upstream,
            scope=connected.entra_scope,
        )
        await self._note(person, action="acting.begun", upstream=upstream)

    async def end(self, person: Principal, *, upstream: str) -> None:
        """Let the agent act as somebody no more.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        await self._records.connection(person.tenant_id, upstream=upstream)
        await self._tokens.end(person.tenant_id, person=person.id, upstream=upstream)
        await self._note(person, action="acting.ended", upstream=upstream)

    async def _note(self, person: Principal, *, action: str, upstream: str) -> None:
        record = audit_record(
            person.tenant_id,
            at=self._clock.now(),
            action=action,
            actor=person.email,
            content={"upstream": upstream},
        )
        await self._journal.record(record)
