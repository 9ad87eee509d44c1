"""The slash command and the message shortcut; each is answered to whoever used it, alone."""

from typing import Final, Protocol
from uuid import UUID

from bots import actions
from bots.arrivals import Command, Shortcut, Submission, told
from bots.homes import Homes
from bots.visit import Answering, Visit, own_place
from core.domain.canonical import JsonObject
from core.domain.ids import TenantId
from core.domain.quoted import Quoted, Speaker, newest_that_fit
from core.errors import NotFound

_ASK: Final = "ask"
_MESSAGE: Final = "m"


class Kept(Protocol):
    """What has arrived before."""

    async def payload(self, tenant_id: TenantId, *, arrival_id: UUID) -> JsonObject | None:
        """Return what was kept of an arrival; None where it is not there any more."""
        ...


class Commands:
    """Answers commands, and asks about messages."""

    def __init__(self, answering: Answering, *, homes: Homes, kept: Kept) -> None:
        """Take what all have in common, who knows people's pages, and what has arrived."""
        self._answering = answering
        self._homes = homes
        self._kept = kept

    async def command(self, visit: Visit, command: Command) -> None:
        """Do what was typed: ``runs``, ``approvals``, ``tools``, ``help``; all else is a task."""
        first, _, rest = command.text.strip().partition(" ")
        match first.lower(), rest.strip():
            case ("" | "help", ""):
                await self._answering.tell(visit, self._answering.rendering.help())
            case "runs", "":
                runs = await self._homes.runs(visit.caller)
                await self._answering.tell(visit, self._answering.rendering.runs(runs))
            case "approvals", "":
                questions = await self._homes.questions(visit.caller)
                await self._answering.tell(visit, self._answering.rendering.approvals(questions))
            case "tools", "":
                home = await self._homes.home(visit.caller, company="")
                await self._answering.tell(visit, self._answering.rendering.tools(home))
            case _:
                task = rest.strip() if first.lower() == _ASK else command.text.strip()
                place = own_place(visit.arrival, user=visit.user)
                await self._answering.begin(visit, task=task, place=place)

    async def shortcut(self, visit: Visit, shortcut: Shortcut) -> None:
        """Open the form that asks about a message."""
        ids = {_MESSAGE: str(visit.arrival.id)}
        form = self._answering.rendering.ask_form(shortcut.text, ids=ids)
        await self._answering.show(visit, form)

    async def asked(self, visit: Visit, form: Submission) -> None:
        """Start a run for what somebody asks about a message; the message is quoted to it.

        Raises:
            NotFound: ``not_found``: it is not known any more which message was meant.
        """
        about = await self._about(visit, form)
        await self._answering.begin(
            visit,
            task=form.fields.get(actions.ASKED, "").strip(),
            place=own_place(visit.arrival, user=visit.user),
            context=_quoted(about),
        )

    async def _about(self, visit: Visit, form: Submission) -> Shortcut:
        """Return what the same person pointed at, as it was then."""
        try:
            arrival_id = UUID(actions.ids_of(form.carried).get(_MESSAGE, ""))
        except ValueError:
            raise NotFound("not_found", noun="message") from None
        payload = await self._kept.payload(visit.tenant_id, arrival_id=arrival_id)
        about = told(payload) if payload is not None else None
        if not isinstance(about, Shortcut) or about.user != visit.user:
            raise NotFound("not_found", noun="message")
        return about


def _quoted(about: Shortcut) -> tuple[Quoted, ...]:
    role = Speaker.ASKER if about.author == about.user else Speaker.OTHER
    by = about.name or (f"@{about.author}" if about.author else "an app")
    return newest_that_fit([Quoted(by=by, text=about.text, role=role, at=about.at)])
