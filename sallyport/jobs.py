"""What every worker does now and then: sweeps, sealing, and forgetting what nobody needs."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Final

from approvals.expiry import Expiry
from core.domain.ids import TenantId
from core.durable.schedule import NOT_URGENT_SECONDS, Job
from core.identity.keys import SigningKey
from core.ports import Clock, Dispatcher
from core.store.approvals import StoredApprovals
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox
from core.store.database import Database
from core.store.directory import Directory
from core.store.events import StoredEvents
from core.store.sealing import Sealer
from sallyport.deciding import DecidingParts
from sallyport.letting_in import LettingIn

_SEAL_SECONDS: Final = 0.5
_EXPIRE_SECONDS: Final = 5.0
_REMIND_SECONDS: Final = 20.0
_FORGET_SECONDS: Final = 600.0
_CHAT_KEPT: Final = timedelta(days=7)


def jobs_of(
    database: Database,
    *,
    directory: Directory,
    signer: SigningKey,
    approvals: StoredApprovals,
    events: StoredEvents,
    deciding: DecidingParts,
    letting_in: LettingIn,
    clock: Clock,
    dispatcher: Callable[[], Dispatcher],
) -> tuple[Job, ...]:
    """Return the jobs of a worker; ``dispatcher`` is known once the worker is."""
    sealer = Sealer(database, directory=directory, signer=signer, clock=clock)
    inbox, outbox = StoredInbox(database), StoredOutbox(database)

    async def expire() -> None:
        expiry = Expiry(
            records=approvals,
            deadlines=directory,
            dispatcher=dispatcher(),
            clock=clock,
        )
        await expiry.sweep()

    async def seal() -> None:
        await sealer.seal_due()

    async def forget_text() -> None:
        async for page in _tenants(directory):
            await events.forget_text(page)

    async def forget_chat() -> None:
        before = clock.now() - _CHAT_KEPT
        async for page in _tenants(directory):
            for tenant_id in page:
                await inbox.forget(tenant_id, before=before)
                await outbox.forget(tenant_id, before=before)

    return (
        Job(name="expire", every_seconds=_EXPIRE_SECONDS, run=expire),
        Job(name="remind", every_seconds=_REMIND_SECONDS, run=deciding.remind),
        Job(name="seal", every_seconds=_SEAL_SECONDS, run=seal),
        _forgetting("forget_sign_ins", letting_in.forget),
        _forgetting("forget_text", forget_text),
        _forgetting("forget_chat", forget_chat),
    )


def _forgetting(name: str, run: Callable[[], Awaitable[None]]) -> Job:
    return Job(
        name=name,
        every_seconds=_FORGET_SECONDS,
        first_after_seconds=NOT_URGENT_SECONDS,
        run=run,
    )


async def _tenants(directory: Directory) -> AsyncGenerator[list[TenantId]]:
    after = ""
    while page := await directory.tenants(after=after, limit=100):
        yield [tenant.id for tenant in page]
        after = page[-1].name
