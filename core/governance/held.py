"""Writes that may wait a moment for the next one: what is harmless to do again after a crash."""

from core.domain.journal import Entry
from core.domain.run import Lease
from core.ports import Journal, Written


class HeldWrites:
    """One drive's way to the journal. Only its driver uses it.

    The result of a safe call is held back to go with whatever is written next, which for a fast
    model halves the commits of a step; ``flush`` writes it where nothing comes along. Lost in a
    crash, the call is made again.
    """

    def __init__(self, journal: Journal, *, lease: Lease) -> None:
        """Take the journal and the lease to write under."""
        self._journal = journal
        self._lease = lease
        self._held: Entry | None = None
        self.cancel_requested = False
        """Whether the run was asked to cancel, as far as the last write has shown."""

    def hold(self, entry: Entry) -> None:
        """Keep the entry for the next write."""
        self._held = self._held.followed_by(entry) if self._held else entry

    def with_held(self, entry: Entry) -> Entry:
        """Return the entry behind what was held, which is the caller's to write now."""
        held, self._held = self._held, None
        return held.followed_by(entry) if held else entry

    async def write(self, entry: Entry, *, epoch: int | None = None) -> Written:
        """Write the entry, and what was held; see the Journal port.

        Raises:
            LeaseLost: another worker drives the run now.
            StaleEpoch: nothing was written; what was held is held still.
        """
        before = self._held
        try:
            written = await self._journal.write(
                self._lease, entry=self.with_held(entry), epoch=epoch
            )
        except BaseException:
            meanwhile, self._held = self._held, before
            if meanwhile is not None:
                self.hold(meanwhile)
            raise
        self.cancel_requested = written.cancel_requested
        return written

    async def flush(self) -> Written | None:
        """Write what was held, if anything was."""
        return await self.write(Entry()) if self._held else None
