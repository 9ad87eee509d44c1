"""Dead letters: what of chat could be neither handled nor delivered, and trying it again."""

from collections.abc import Sequence
from uuid import UUID

from core.domain.audit import audit_record
from core.domain.delivery import DeadLetter
from core.domain.ids import TenantId
from core.domain.principal import Caller
from core.errors import Forbidden, NotFound
from core.ports import Clock, Journal
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox


class Letters:
    """Lists and replays dead letters; an admin's work."""

    def __init__(
        self, *, inbox: StoredInbox, outbox: StoredOutbox, journal: Journal, clock: Clock
    ) -> None:
        """Take where both kinds are kept, and who notes what is done about them."""
        self._inbox = inbox
        self._outbox = outbox
        self._journal = journal
        self._clock = clock

    async def dead(self, caller: Caller, *, limit: int = 50) -> Sequence[DeadLetter]:
        """Return the company's dead letters of both ways, the newest first.

        Raises:
            Forbidden: ``missing_scope``.
        """
        _need(caller)
        return await self.dead_of(caller.tenant_id, limit=limit)

    async def dead_of(self, tenant_id: TenantId, *, limit: int) -> Sequence[DeadLetter]:
        """Return a tenant's dead letters, for the operator."""
        there = [
            *await self._inbox.dead_letters(tenant_id, limit=limit),
            *await self._outbox.dead_letters(tenant_id, limit=limit),
        ]
        return sorted(there, key=lambda one: one.at, reverse=True)[:limit]

    async def replay(self, caller: Caller, *, letter: UUID) -> None:
        """Have a dead letter handled, or delivered, after all.

        Raises:
            Forbidden: ``missing_scope``.
            NotFound: ``not_found``: there is no such letter that is dead.
        """
        _need(caller)
        now = self._clock.now()
        try:
            await self._inbox.replay(caller.tenant_id, letter=letter, at=now)
        except NotFound:
            await self._outbox.replay(caller.tenant_id, letter=letter)
        await self._journal.record(
            audit_record(
                caller.tenant_id,
                at=now,
                action="letter.replayed",
                actor=caller.actor,
                content={"letter": str(letter), "via": caller.via},
            )
        )


def _need(caller: Caller) -> None:
    if "tenant:admin" not in caller.scopes:
        raise Forbidden("missing_scope", scope="tenant:admin")
