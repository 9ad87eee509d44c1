"""How every process of ours ends: when it is done, or soon after it is told to."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TypeVar, cast

import structlog
import uvloop

from core.errors import SallyportError

T = TypeVar("T")

_ENDING_SECONDS = 7.5
_BY_A_SIGNAL = 128

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def run(work: Callable[[], Coroutine[object, object, T]]) -> T | signal.Signals:
    """Run ``work`` in an event loop; SIGTERM and SIGINT cancel it, and are then what is returned.

    A second signal, or eight seconds, end the process on the spot.
    """
    return uvloop.run(_until_told(work))


async def _until_told(work: Callable[[], Coroutine[object, object, T]]) -> T | signal.Signals:
    told: list[signal.Signals] = []
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end(number: signal.Signals) -> None:
        if told or task is None:
            os._exit(_BY_A_SIGNAL + number)
        told.append(number)
        # A thread: a loop that hangs would never get to it.
        last = threading.Timer(_ENDING_SECONDS, os._exit, [_BY_A_SIGNAL + number])
        last.daemon = True
        last.start()
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        return await work()
    except asyncio.CancelledError:
        if not told:
            raise
    except Exception as error:
        if not told:
            raise
        # It was ending anyway: that it ended badly changes nothing for whoever told it to.
        _log.warning("process.ended_badly", error=type(error).__name__)
    return told[0]


def first_of(error: BaseException) -> BaseException:
    """Return what a group of errors is about: ours before anybody else's."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, SallyportError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    group = cast("BaseExceptionGroup[BaseException]", error)
    for inner in group.exceptions:
        yield from _leaves(inner)
