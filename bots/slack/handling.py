"""What becomes of an arrival: who it is from, what they ask for, and App is told as themselves.

Everything here bears being done again: the inbox repeats whatever was cut off.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, assert_never

import structlog

from bots.linking import Offered
from bots.slack import actions, home, notes
from bots.slack.arrivals import (
    Click,
    Command,
    Gone,
    Home,
    LeftPerson,
    Message,
    Shortcut,
    Stopped,
    Submission,
    told,
)
from bots.slack.asking import Asking
from bots.slack.clicks import Clicks, only_opens
from bots.slack.commands import Commands
from bots.slack.home_view import Homes
from bots.slack.identity import Visitor
from bots.slack.questions import Questions
from bots.slack.visit import (
    Answering,
    Outbox,
    Visit,
    home_wish,
    own_place,
    private_place,
    private_wish,
    thread_place,
)
from core.domain.account import Account, Shown
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival, Place
from core.domain.ids import TenantId
from core.domain.principal import Caller, Tenant
from core.errors import NotFound, Refused

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_HOME_TAB = "home"
_NOT_YET = (
    "👋 Nobody here knows you yet. Write me a message, and I send you a link to sign in with."
)
Deed = Message | Click | Submission | Command | Shortcut | Home | Stopped


class People(Protocol):
    """Says who somebody is, anew each time."""

    async def who(
        self, tenant_id: TenantId, *, workspace: str, user: str, user_team: str
    ) -> Visitor:
        """Return who did something.

        Raises:
            Forbidden: ``account_guest``, ``account_is_bot`` and so on: the account has no rights.
        """
        ...

    async def left(self, tenant_id: TenantId, *, workspace: str, user: str) -> bool:
        """End all rights of an account that is no full member any more."""
        ...


class Offers(Protocol):
    """Lets people say that an account is theirs."""

    async def offer(self, tenant_id: TenantId, *, account: Account, shown: Shown) -> Offered:
        """Return a fresh way to link an account.

        Raises:
            Refused: ``too_many_links``, ``account_linked``.
        """
        ...


class Departures(Protocol):
    """Cleans up after an app that was taken out of a workspace."""

    async def app_uninstalled(self, workspace: str, *, at: datetime) -> bool:
        """Wipe the tokens of an app that was uninstalled."""
        ...

    async def tokens_revoked(self, workspace: str, *, tokens: JsonObject, at: datetime) -> bool:
        """Wipe our bot's token where it is among the revoked."""
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
        people: People,
        offers: Offers,
        departures: Departures,
        companies: Companies,
        outbox: Outbox,
        pages_url: str,
    ) -> None:
        """Take a part for each subject, and who knows people; ``pages_url`` is our own."""
        self._answering = answering
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
        self._people = people
        self._offers = offers
        self._departures = departures
        self._companies = companies
        self._outbox = outbox
        self._pages_url = pages_url

    async def __call__(self, arrival: Arrival) -> None:
        """Do what somebody asks for; whatever is refused, they alone are told why."""
        happening = told(arrival.payload)
        match happening:
            case Gone():
                await self._gone(arrival, happening)
            case LeftPerson():
                await self._people.left(
                    arrival.tenant_id, workspace=arrival.workspace, user=happening.user
                )
            case _:
                await self._by_somebody(arrival, happening)

    async def _by_somebody(self, arrival: Arrival, deed: Deed) -> None:
        if isinstance(deed, Home) and deed.tab != _HOME_TAB:
            return  # the conversation was opened, and nothing asked
        try:
            visitor = await self._people.who(
                arrival.tenant_id,
                workspace=arrival.workspace,
                user=deed.user,
                user_team=deed.user_team,
            )
            if visitor.person is None and isinstance(deed, Home):
                # An offer takes the place of the one before: looking at a page must make none.
                await self._turned_away(arrival, deed, message=notes.note(_NOT_YET))
                return
            if visitor.person is None:
                offered = await self._offers.offer(
                    arrival.tenant_id, account=visitor.account, shown=visitor.shown
                )
                sign_in = notes.sign_in(f"{self._pages_url}{offered.path}")
                await self._turned_away(arrival, deed, message=sign_in)
                return
        except Refused as refused:
            await self._turned_away(arrival, deed, message=notes.refusal(refused))
            return
        visit = _visit(arrival, deed, caller=visitor.caller)
        try:
            await self._do(visit, deed)
        except Refused as refused:
            _log.info(
                "slack.refused",
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
        company = await self._companies.tenant(visit.tenant_id)
        view = await self._homes.home(visit.caller, company=company.name)
        await self._answering.put_home(visit, home.home(view))

    async def _turned_away(self, arrival: Arrival, deed: Deed, *, message: JsonObject) -> None:
        """Tell somebody without rights so, and nothing else; at their page, on that."""
        if isinstance(deed, Home):
            view: JsonObject = {"type": "home", "blocks": message["blocks"]}
            wish = home_wish(arrival, user=deed.user, view=view)
        else:
            place, whispered = _private(arrival, deed)
            wish = private_wish(
                arrival, user=deed.user, place=place, whispered=whispered, message=message
            )
        await self._outbox.wish(arrival.tenant_id, wish)

    async def _gone(self, arrival: Arrival, gone: Gone) -> None:
        at = datetime.fromtimestamp(gone.at, UTC)
        if gone.why == "uninstalled":
            await self._departures.app_uninstalled(arrival.workspace, at=at)
        else:
            tokens: JsonObject = {"bot": [*gone.bots]}
            await self._departures.tokens_revoked(arrival.workspace, tokens=tokens, at=at)


def _visit(arrival: Arrival, deed: Deed, *, caller: Caller) -> Visit:
    private, whispered = _private(arrival, deed)
    match deed:
        case Message() | Stopped():
            place = thread_place(arrival, channel=deed.channel, thread=deed.thread)
        case Click() if deed.channel:
            thread = deed.thread or deed.message
            place = thread_place(arrival, channel=deed.channel, thread=thread)
        case _:
            place = own_place(arrival, user=deed.user)
    return Visit(
        arrival=arrival,
        user=deed.user,
        caller=caller,
        place=place,
        private=private,
        whispered=whispered,
    )


def _private(arrival: Arrival, deed: Deed) -> tuple[Place, bool]:
    """Return where somebody is told something alone.

    Whispered into a thread that nobody has opened, it would not be seen: it goes to the channel
    then. A command and a shortcut may come from channels that the agent is not in.
    """
    match deed:
        case Message() if deed.is_first and not deed.is_direct:
            return private_place(arrival, user=deed.user, channel=deed.channel, thread="")
        case Message() | Stopped() | Click():
            return private_place(arrival, user=deed.user, channel=deed.channel, thread=deed.thread)
        case _:
            return own_place(arrival, user=deed.user), False
