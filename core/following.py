"""Following a run: what happens in it, and text as it comes, until it has ended."""

import asyncio
from collections.abc import AsyncGenerator

from core.domain.event import EventKind, RunEvent, TextChunk
from core.domain.run import Run
from core.store.events import StoredEvents


async def followed(
    run: Run, *, events: StoredEvents, after: int, poll_seconds: float
) -> AsyncGenerator[RunEvent | TextChunk]:
    """Yield events behind number ``after``, and text as it comes, until the run has ended."""
    has_ended = run.status.is_final
    step, piece = 0, 0
    while True:
        chunks = await events.text_after(run.tenant_id, run_id=run.id, step=step, seq=piece)
        for chunk in chunks:
            step, piece = chunk.step, chunk.seq
            yield chunk
        happened = await events.after(run.tenant_id, run_id=run.id, seq=after)
        for event in happened:
            after = event.seq
            yield event
            if event.kind in {EventKind.COMPLETED, EventKind.STOPPED}:
                return
        if not happened and not chunks:
            if has_ended:
                return  # whoever comes back after the last event has seen it all
            await asyncio.sleep(poll_seconds)
