"""What somebody is shown at once who has clicked: Teams waits for it, as they do themselves."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from core.domain.canonical import JsonObject

WAIT_SECONDS: Final = 6.0
"""How long a click waits for what it does: Teams gives up after ten seconds or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What somebody is to see: a form, a note, or neither."""

    form: JsonObject | None = None
    note: JsonObject | None = None


class Waiting:
    """Somebody who waits at a screen."""

    def __init__(self, *, seconds: float) -> None:
        """Take how long they wait at most."""
        self._seconds = seconds
        self._shown: asyncio.Future[Shown] = asyncio.get_running_loop().create_future()

    def show(self, shown: Shown) -> bool:
        """Show them something; False where they see something already, or wait no more."""
        if self._shown.done():
            return False
        self._shown.set_result(shown)
        return True

    async def shown(self) -> Shown | None:
        """Return what they are to see; None where it is not known in time."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._shown
        except TimeoutError:
            return None


class Answers:
    """The Screens of Teams: what is handled in this process while its click still waits here.

    A click that another process handles, or that is handled too late, is answered with the card as
    it stands; what would have been shown is told in a message.
    """

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Take how long somebody waits at most."""
        self._wait_seconds = wait_seconds
        self._waiting: dict[str, Waiting] = {}

    @contextmanager
    def expected(self, trigger: str) -> Generator[Waiting]:
        """Have somebody wait until the block is left; ``trigger`` names what they did.

        Where it arrives again meanwhile, the first keeps waiting, and only they are shown anything.
        """
        waiting = Waiting(seconds=self._wait_seconds)
        is_first = self._waiting.setdefault(trigger, waiting) is waiting
        try:
            yield waiting
        finally:
            if is_first:
                del self._waiting[trigger]

    async def open(self, workspace: str, trigger: str, form: JsonObject) -> bool:
        """Open a form in front of whoever waits; False where nobody does any more."""
        del workspace
        return self._show(trigger, Shown(form=form))

    async def tell(self, workspace: str, trigger: str, note: JsonObject) -> bool:
        """Show a note to whoever waits; False where nobody does any more."""
        del workspace
        return self._show(trigger, Shown(note=note))

    def done(self, trigger: str) -> None:
        """Let whoever waits see the card as it stands now: nothing else is to be shown."""
        self._show(trigger, Shown())

    def _show(self, trigger: str, shown: Shown) -> bool:
        waiting = self._waiting.get(trigger)
        return waiting is not None and waiting.show(shown)
