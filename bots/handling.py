"""What becomes of an arrival: who it is from, what they ask for, and App is told as themselves.

Everything here bears being done again: the inbox repeats whatever was cut off.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, assert_never

import structlog

from bots import actions
from bots.arrivals import (
    Click,
    Command,
    Deed,
    Home,
    Message,
    Shortcut,
    Stopped,
    Submission,
)
from bots.asking import Asking
from bots.clicks import Clicks, only_opens
from bots.commands import Commands
from bots.homes import Homes
from bots.linking import Offered
from bots.questions import Questions
from bots.rendering import Page
from bots.visit import (
    Answering,
    Outbox,
    Placing,
    Visit,
    Visitor,
    home_wish,
)
from core.domain.account import Account, Shown
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival
from core.domain.ids import TenantId
from core.domain.principal import Caller, Tenant
from core.errors import NotFound, Refused

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_HOME_TAB = "home"
_NOT_YET = (
    "👋 Nobody here knows you yet. Write me a message, and I send you a link to sign in with."
)


class People(Protocol):
    """Says who somebody is, anew each time."""

    async def who(self, tenant_id: TenantId, *, workspace: str, deed: Deed) -> Visitor:
        """Return who did something.

        Raises:
            Forbidden: ``account_guest``, ``account_is_bot`` and so on: the account has no rights.
        """
        ...


class Offers(Protocol):
    """Lets people say that an account is theirs."""

    async def offer(self, tenant_id: TenantId, *, account: Account, shown: Shown) -> Offered:
        """Return a fresh way to link an account.

        Raises:
            Refused: ``too_many_links``, ``account_linked``.
        """
        ...


class Companies(Protocol):
    """The companies that there are."""

    async def tenant(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant."""
        ...


class Handling:
    """Handles one arrival: the inbox calls it, and calls it again where it raises."""

    def __init__(
        self,
        answering: Answering,
        *,
        asking: Asking,
        questions: Questions,
        clicks: Clicks,
        commands: Commands,
        homes: Homes,
        page: Page | None,
        placing: Placing,
        people: People,
        offers: Offers,
        companies: Companies,
        outbox: Outbox,
        pages_url: str,
    ) -> None:
        """Take a part for each subject, and who knows people; ``pages_url`` is our own.

        ``page`` is None where the surface has none of the agent's own.
        """
        self._answering = answering
        self._rendering = answering.rendering
        self._asking = asking
        self._questions = questions
        self._clicks = clicks
        self._deeds: Mapping[str, Callable[[Visit, Click], Awaitable[None]]] = {
            actions.APPROVE: questions.answered,
            actions.APPROVE_SIMILAR: questions.answered,
            actions.HAPPENED: questions.answered,
            actions.DID_NOT: questions.answered,
            actions.RETRY: questions.answered,
            actions.DENY: questions.asks_why,
            actions.EDIT: questions.edits,
            actions.STOP: clicks.stop,
            actions.UNDO: clicks.undo,
            actions.FEEDBACK: clicks.feedback,
            actions.SUGGESTION: clicks.suggestion,
            actions.SWITCH_TOOL: clicks.switch,
            actions.UNLINK: clicks.unlink,
        }
        self._commands = commands
        self._homes = homes
        self._page = page
        self._placing = placing
        self._people = people
        self._offers = offers
        self._companies = companies
        self._outbox = outbox
        self._pages_url = pages_url

    async def __call__(self, arrival: Arrival, deed: Deed) -> None:
        """Do what somebody asks for; whatever is refused, they alone are told why."""
        if isinstance(deed, Home) and deed.tab != _HOME_TAB:
            return  # the conversation was opened, and nothing asked
        try:
            visitor = await self._people.who(
                arrival.tenant_id, workspace=arrival.workspace, deed=deed
            )
            if visitor.person is None and isinstance(deed, Home):
                # An offer takes the place of the one before: looking at a page must make none.
                await self._turned_away(arrival, deed, message=self._rendering.note(_NOT_YET))
                return
            if visitor.person is None:
                offered = await self._offers.offer(
                    arrival.tenant_id, account=visitor.account, shown=visitor.shown
                )
                sign_in = self._rendering.sign_in(f"{self._pages_url}{offered.path}")
                await self._turned_away(arrival, deed, message=sign_in)
                return
        except Refused as refused:
            await self._turned_away(arrival, deed, message=self._rendering.refusal(refused))
            return
        visit = self._visit(arrival, deed, caller=visitor.caller)
        try:
            await self._do(visit, deed)
        except Refused as refused:
            _log.info(
                "chat.refused",
                surface=arrival.surface,
                tenant_id=str(arrival.tenant_id),
                arrival_id=str(arrival.id),
                code=refused.code,
            )
            await self._answering.refuse(visit, refused)
            if isinstance(deed, Click) and not deed.channel:
                await self._show_home(visit)

    async def _do(self, visit: Visit, deed: Deed) -> None:
        match deed:
            case Message():
                await self._asking.message(visit, deed)
            case Stopped():
                await self._asking.stopped(visit, deed)
            case Command():
                await self._commands.command(visit, deed)
            case Shortcut():
                await self._commands.shortcut(visit, deed)
            case Home():
                await self._show_home(visit)
            case Click():
                await self._clicked(visit, deed)
                if not deed.channel:
                    await self._show_home(visit)
            case Submission():
                await self._submitted(visit, deed)
            case _:
                assert_never(deed)

    async def _clicked(self, visit: Visit, click: Click) -> None:
        if only_opens(click.action):
            return
        deed = self._deeds.get(click.action)
        if deed is None:
            raise NotFound("not_found", noun="button")
        await deed(visit, click)

    async def _submitted(self, visit: Visit, form: Submission) -> None:
        match form.form:
            case actions.DENY_FORM:
                await self._questions.denied(visit, form)
            case actions.EDIT_FORM:
                await self._questions.edited(visit, form)
            case actions.ASK_FORM:
                await self._commands.asked(visit, form)
            case actions.FEEDBACK_FORM:
                await self._clicks.said_what_was_wrong(visit, form)
            case _:
                raise NotFound("not_found", noun="form")

    async def _show_home(self, visit: Visit) -> None:
        if self._page is None:
            return
        company = await self._companies.tenant(visit.tenant_id)
        view = await self._homes.home(visit.caller, company=company.name)
        await self._answering.put_home(visit, self._page.home(view))

    async def _turned_away(self, arrival: Arrival, deed: Deed, *, message: JsonObject) -> None:
        """Tell somebody without rights so, and nothing else; at their page, on that."""
        if isinstance(deed, Home):
            if self._page is not None:
                wish = home_wish(arrival, user=deed.user, payload=self._page.home_note(message))
                await self._outbox.wish(arrival.tenant_id, wish)
            return
        room = self._placing.room(arrival, deed)
        await self._answering.tell_account(
            arrival, user=deed.user, room=room, trigger=_trigger(deed), message=message
        )

    def _visit(self, arrival: Arrival, deed: Deed, *, caller: Caller) -> Visit:
        room = self._placing.room(arrival, deed)
        return Visit(
            arrival=arrival, user=deed.user, caller=caller, room=room, trigger=_trigger(deed)
        )


def _trigger(deed: Deed) -> str:
    return "" if isinstance(deed, Message | Home | Stopped) else deed.trigger
