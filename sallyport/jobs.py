"""What every worker does now and then: sweeps, sealing, and forgetting what nobody needs."""

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from approvals.expiry import Expiry
from core.domain.ids import TenantId
from core.durable.schedule import Job
from core.ports import Dispatcher
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox
from core.store.sealing import Sealer

if TYPE_CHECKING:
    from sallyport.assembly import Assembly

_SEAL_SECONDS: Final = 0.5
_EXPIRE_SECONDS: Final = 5.0
_REMIND_SECONDS: Final = 20.0
_FORGET_SECONDS: Final = 600.0
_CHAT_KEPT: Final = timedelta(days=7)


def jobs_of(parts: "Assembly", *, dispatcher: Callable[[], Dispatcher]) -> tuple[Job, ...]:
    """Return the jobs of a worker; ``dispatcher`` is known once the worker is."""
    sealer = Sealer(
        parts.database, directory=parts.directory, signer=parts.signer, clock=parts.clock
    )
    inbox, outbox = StoredInbox(parts.database), StoredOutbox(parts.database)

    async def expire() -> None:
        expiry = Expiry(
            records=parts.approvals,
            deadlines=parts.directory,
            dispatcher=dispatcher(),
            clock=parts.clock,
        )
        await expiry.sweep()

    async def seal() -> None:
        await sealer.seal_due()

    async def forget_text() -> None:
        async for page in _tenants(parts):
            await parts.events.forget_text(page)

    async def forget_chat() -> None:
        before = parts.clock.now() - _CHAT_KEPT
        async for page in _tenants(parts):
            for tenant_id in page:
                await inbox.forget(tenant_id, before=before)
                await outbox.forget(tenant_id, before=before)

    return (
        Job(name="expire", every_seconds=_EXPIRE_SECONDS, run=expire),
        Job(name="remind", every_seconds=_REMIND_SECONDS, run=parts.deciding.remind),
        Job(name="seal", every_seconds=_SEAL_SECONDS, run=seal),
        Job(name="forget_sign_ins", every_seconds=_FORGET_SECONDS, run=parts.letting_in.forget),
        Job(name="forget_text", every_seconds=_FORGET_SECONDS, run=forget_text),
        Job(name="forget_chat", every_seconds=_FORGET_SECONDS, run=forget_chat),
    )


async def _tenants(parts: "Assembly") -> AsyncGenerator[list[TenantId]]:
    after = ""
    while page := await parts.directory.tenants(after=after, limit=100):
        yield [tenant.id for tenant in page]
        after = page[-1].name
