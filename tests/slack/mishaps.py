"""How a platform misbehaves when it is told to: refusals, delays, and answers that never come."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Arguments = Mapping[str, Any]  # Any: a call's, as they came


class Where(StrEnum):
    """When a connection is cut."""

    BEFORE = "before"  # nothing was done
    AFTER = "after"  # all was done, and nobody was told


@dataclass(slots=True, kw_only=True)
class Mishap:
    """What happens to the next ``times`` calls of ``method`` (None: of any) that ``when`` is for.

    ``error`` is told by Slack's code under ``status``, nothing done; without one, ``status`` alone.
    """

    method: str | None
    times: int = 1
    when: Callable[[Arguments], bool] = lambda _: True
    status: int = 200
    error: str = ""
    retry_after: int | None = None
    cut: Where | None = None
    hangs: asyncio.Event | None = None


class Mishaps:
    """What is still to go wrong, in order."""

    def __init__(self) -> None:
        self._coming: list[Mishap] = []
        self._hanging: list[asyncio.Event] = []

    def refuse(self, method: str | None, error: str, *, times: int = 1, **more: Any) -> None:  # noqa: ANN401
        """Answer 200 and ``ok: false``, as Slack does for almost everything."""
        self._add(Mishap(method=method, error=error, times=times, **more))

    def limit(
        self, method: str | None, *, retry_after: int = 1, times: int = 1, quietly: bool = False
    ) -> None:
        """Say that it was too often: by 429, or ``quietly`` under HTTP 200, as happens."""
        status = 200 if quietly else 429
        self._add(
            Mishap(
                method=method,
                times=times,
                status=status,
                error="ratelimited",
                retry_after=retry_after,
            )
        )

    def fail(self, method: str | None, *, status: int = 500, times: int = 1) -> None:
        """Answer by an HTTP status alone, nothing done."""
        self._add(Mishap(method=method, times=times, status=status))

    def cut(self, method: str | None, *, where: Where = Where.AFTER, times: int = 1) -> None:
        """Close the connection without an answer; after all was done, unless told otherwise."""
        self._add(Mishap(method=method, times=times, cut=where))

    def hang(self, method: str | None, *, times: int = 1) -> asyncio.Event:
        """Do nothing until the returned event is set, or until all of them are let go."""
        event = asyncio.Event()
        self._hanging.append(event)
        self._add(Mishap(method=method, times=times, hangs=event))
        return event

    def over(self) -> None:
        """Behave again, and let go what hangs."""
        self._coming.clear()
        for event in self._hanging:
            event.set()

    def next_for(self, method: str, arguments: Arguments) -> Mishap | None:
        """Return what happens to this call; one fewer is to come then."""
        for mishap in self._coming:
            if mishap.method in (None, method) and mishap.when(arguments):
                mishap.times -= 1
                if mishap.times <= 0:
                    self._coming.remove(mishap)
                return mishap
        return None

    def _add(self, mishap: Mishap) -> None:
        self._coming.append(mishap)
