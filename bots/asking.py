"""What is said to the agent becomes a run, with what was said before it in the thread as data.

A run acts with the rights of whoever wrote its message, and only that message is an instruction.
What others wrote, and what the agent answered, is quoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from bots.arrivals import Message, Stopped
from bots.visit import Answering, Visit
from core.domain.ids import PrincipalId
from core.domain.quoted import Quoted, Speaker, newest_that_fit
from core.domain.run import Run
from core.errors import Conflict, Forbidden, NotFound

_RUNS: Final = 10
_REPLIES: Final = 40
_AGENT: Final = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of a thread. ``name`` is how the surface shows whoever wrote it."""

    user: str
    name: str
    text: str
    at: datetime
    is_ours: bool = False


class Threads(Protocol):
    """Reads what was said in a thread, as far as the agent may."""

    async def said(
        self, workspace: str, *, channel: str, thread: str, before: str, limit: int
    ) -> Sequence[Said]:
        """Return the last messages before the one of time stamp ``before``, the oldest first.

        Nothing where the surface does not tell now: a run can do without.
        """
        ...


class Asking:
    """Starts runs for what people say, and stops them."""

    def __init__(self, answering: Answering, *, threads: Threads) -> None:
        """Take what all ways of asking have in common, and who reads threads."""
        self._answering = answering
        self._app = answering.app
        self._threads = threads

    async def message(self, visit: Visit, message: Message) -> None:
        """Start a run for what somebody said, told in the thread where they said it."""
        if not message.text:
            await self._answering.tell(visit, self._answering.rendering.help())
            return
        context = () if message.is_first else await self._before(visit, message)
        await self._answering.begin(visit, task=message.text, place=visit.place, context=context)

    async def stopped(self, visit: Visit, _stopped: Stopped) -> None:
        """Cancel what still runs in a thread, as far as it is the person's to cancel.

        Raises:
            Forbidden: ``not_yours``: all that there is, is somebody else's.
        """
        cancelled, hidden = False, False
        for run_id in await self._answering.asked_at(visit, place=visit.place, limit=_RUNS):
            try:
                run = await self._app.run(visit.caller, run_id=run_id)
                if not run.status.is_final:
                    await self._app.cancel(visit.caller, run_id=run_id)
                    cancelled = True
            except (NotFound, Forbidden):
                hidden = True
            except Conflict:
                pass  # it has ended in this moment
        if hidden and not cancelled:
            raise Forbidden("not_yours", noun="run")

    async def _before(self, visit: Visit, message: Message) -> tuple[Quoted, ...]:
        """Return what was said in the thread before a message: never more than may be quoted."""
        asked = await self._answering.asked_at(visit, place=visit.place, limit=_RUNS)
        runs: list[Run] = []
        for run_id in asked:
            try:
                runs.append(await self._app.run(visit.caller, run_id=run_id))
            except NotFound:
                continue  # somebody else's: what they see of it, the thread shows
        said = await self._threads.said(
            visit.arrival.workspace,
            channel=message.channel,
            thread=message.thread,
            before=message.ts,
            limit=_REPLIES,
        )
        knows_all = bool(runs) and len(runs) == len(asked)
        return before(
            runs,
            said=said,
            account=visit.user,
            person=visit.caller.principal.id,
            leave_out_ours=knows_all,
        )


def before(
    runs: Sequence[Run],
    *,
    said: Sequence[Said],
    account: str,
    person: PrincipalId,
    leave_out_ours: bool,
) -> tuple[Quoted, ...]:
    """Return earlier tasks and answers, and what else was said, in the order it was said in.

    ``runs`` are those that the asker may see, with whole answers; where these are all there were,
    our messages in the thread say nothing more (``leave_out_ours``).
    """
    tasks = {run.task for run in runs}
    quotes = [quote for run in runs for quote in _told(run, person=person)]
    for one in said:
        repeats = leave_out_ours if one.is_ours else one.text in tasks
        if not repeats and one.text.strip():
            role = _role(one, account=account)
            quotes.append(Quoted(by=one.name, text=one.text, role=role, at=one.at))
    return newest_that_fit(sorted(quotes, key=lambda quote: quote.at))


def _told(run: Run, *, person: PrincipalId) -> Sequence[Quoted]:
    role = Speaker.ASKER if run.requester.id == person else Speaker.OTHER
    asked = Quoted(by=run.requester.email, text=run.task, role=role, at=run.created_at)
    answer = run.result or (run.error.message if run.error else "")
    if not answer:
        return (asked,)
    at = run.completed_at or run.created_at
    return (asked, Quoted(by=_AGENT, text=answer, role=Speaker.AGENT, at=at))


def _role(one: Said, *, account: str) -> Speaker:
    if one.is_ours:
        return Speaker.AGENT
    return Speaker.ASKER if one.user == account else Speaker.OTHER
