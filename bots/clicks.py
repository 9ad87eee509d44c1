"""Buttons that are about runs and about the agent itself: stop, undo, feedback, ask, switch."""

from typing import Final, Protocol
from uuid import UUID

from bots import actions
from bots.arrivals import Click, Submission
from bots.homes import OFTEN
from bots.visit import Answering, Visit, own_place
from core.domain.account import Account, AccountLink
from core.domain.ids import CallId, PrincipalId, RunId, TenantId
from core.domain.principal import Caller
from core.errors import Forbidden, NotFound

_STANDS_ALONE: Final = frozenset({actions.DETAILS, actions.LINK, actions.OPEN_CONSOLE})


class Switches(Protocol):
    """Switches tools on and off for a whole company."""

    async def switch(self, caller: Caller, *, tool: str, enabled: bool) -> None:
        """Switch a tool; twice is once.

        Raises:
            Forbidden: ``switch_needs_admin``.
            NotFound: ``unknown_tool``.
        """
        ...


class Links(Protocol):
    """Whose accounts are."""

    async def unlink(
        self, tenant_id: TenantId, *, account: Account, why: str, of: PrincipalId
    ) -> AccountLink | None:
        """End a link of that person's; None where there is none."""
        ...


class Clicks:
    """Does what a button says, as the person who pressed it."""

    def __init__(self, answering: Answering, *, switches: Switches, links: Links) -> None:
        """Take what all have in common, who switches tools, and who knows whose accounts are."""
        self._links = links
        self._answering = answering
        self._app = answering.app
        self._rendering = answering.rendering
        self._switches = switches

    async def stop(self, visit: Visit, click: Click) -> None:
        """Cancel a run."""
        run_id = _run(click.value)
        try:
            await self._app.cancel(visit.caller, run_id=run_id)
        except NotFound as refused:
            raise await self._why_not(visit, refused, run_id=run_id) from refused

    async def unlink(self, visit: Visit, click: Click) -> None:
        """Take an account of the person's own away from them: it was linked by mistake."""
        account = actions.account_of(actions.ids_of(click.value))
        ended = await self._links.unlink(
            visit.tenant_id, account=account, why="by_person", of=visit.caller.principal.id
        )
        if ended is None:
            raise NotFound("not_found", noun="account")
        told = self._rendering.note("✅ That account is yours no more.")
        await self._answering.tell(visit, told)

    async def undo(self, visit: Visit, click: Click) -> None:
        """Take a call back, and tell what becomes of that in the same place."""
        ids = actions.ids_of(click.value)
        run_id = _run(click.value)
        try:
            call_id = CallId(UUID(ids.get("c", "")))
            undoing = await self._app.undo(visit.caller, call_id=call_id)
        except ValueError:
            raise NotFound("not_found", noun="call") from None
        except NotFound as refused:
            raise await self._why_not(visit, refused, run_id=run_id) from refused
        undoing_run = undoing.record.call.run_id
        if undoing_run is not None:
            await self._answering.follow(visit, run_id=undoing_run, place=visit.place)

    async def feedback(self, visit: Visit, click: Click) -> None:
        """Keep what somebody thinks of an answer; where it was bad, ask what was wrong with it."""
        run_id = _run(click.value)
        good = actions.ids_of(click.value).get("v") == actions.UP
        try:
            await self._app.give_feedback(visit.caller, run_id=run_id, good=good)
        except NotFound as refused:
            raise await self._why_not(visit, refused, run_id=run_id) from refused
        if not good:
            form = self._rendering.feedback_form(run_id)
            await self._answering.show(visit, form)
        elif visit.trigger:  # where nobody waits, the surface has thanked them by itself
            await self._answering.tell(visit, self._rendering.note("Thank you."))

    async def said_what_was_wrong(self, visit: Visit, form: Submission) -> None:
        """Keep the reason why an answer was bad."""
        reason = form.fields.get(actions.REASON, "").strip()
        run_id = _run(form.carried)
        await self._app.give_feedback(visit.caller, run_id=run_id, good=False, reason=reason)

    async def suggestion(self, visit: Visit, click: Click) -> None:
        """Ask what a button suggests."""
        wanted = actions.ids_of(click.value).get("s")
        for one in OFTEN:
            if actions.suggestion_key(one.suggestion.task) == wanted:
                at_home = own_place(visit.arrival, user=visit.user)
                place = visit.place if click.channel else at_home
                await self._answering.begin(visit, task=one.suggestion.task, place=place)
                return
        raise NotFound("not_found", noun="suggestion")

    async def switch(self, visit: Visit, click: Click) -> None:
        """Switch a tool for the company."""
        ids = actions.ids_of(click.value)
        to = ids.get("to")
        if to not in {"on", "off"}:
            raise NotFound("unknown_tool", tool=ids.get("t", "")[:200])
        await self._switches.switch(visit.caller, tool=ids.get("t", ""), enabled=to == "on")

    async def _why_not(self, visit: Visit, refused: NotFound, *, run_id: RunId) -> Exception:
        """Return why somebody may not touch a run that they see, and nothing of any other."""
        if await self._answering.is_shown_here(visit, run_id=run_id):
            return Forbidden("not_yours", noun="run")
        return refused


def only_opens(action: str) -> bool:
    """Return whether a button does nothing but open an address."""
    return action in _STANDS_ALONE


def _run(value: str) -> RunId:
    try:
        return RunId(UUID(actions.ids_of(value).get("r", "")))
    except ValueError:
        raise NotFound("not_found", noun="run") from None
