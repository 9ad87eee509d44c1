"""When a process is to die or to freeze: at a boundary that has a name."""

import os
import signal
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tests.scenarios.crash.diary import Diary

Boundary = Literal[
    "take",  # the run's lease
    "model",  # asking the model
    "answer",  # journalling its answer
    "read",  # a safe tool
    "results",  # journalling what safe tools returned
    "running",  # journalling that a call with an effect is under way
    "effect",  # a tool with an effect
    "settle",  # journalling what came of a call
    "unknown",  # journalling that nobody knows what came of it
    "hold",  # making sure that the run is still this worker's
    "ask",  # putting a question to people
    "park",  # leaving the run to wait
    "decision",  # committing a person's answer
    "enqueue",  # dispatching a segment
    "finish",  # ending the run
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Before or after the ``nth`` passing of a boundary."""

    boundary: Boundary
    when: Literal["before", "after"]
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.boundary} {self.nth}"


class Fate:
    """Sends this process a signal that cannot be caught, at its moment and at no other.

    ``about`` names whose run it is about: passing a boundary for somebody else does not count.
    """

    def __init__(
        self,
        moment: Moment | None,
        *,
        diary: Diary,
        about: str = "",
        number: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._moment = moment
        self._about = about
        self._number = number
        self._diary = diary
        self._passed: Counter[Boundary] = Counter()

    @contextmanager
    def around(self, boundary: Boundary, *, about: object) -> Generator[None]:
        """Be struck before the block or after it; not after one that raises."""
        if self._moment is None or str(about) != self._about:
            yield
            return
        self._passed[boundary] += 1
        nth = self._passed[boundary]
        self._meet(Moment(boundary=boundary, when="before", nth=nth))
        yield
        self._meet(Moment(boundary=boundary, when="after", nth=nth))

    def _meet(self, moment: Moment) -> None:
        if moment == self._moment:
            self._diary.write("struck", about=str(moment))
            os.kill(os.getpid(), self._number)
            self._diary.write("woke", about=str(moment))
