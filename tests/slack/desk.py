"""People at Slack in front of a whole Sallyport: what they do is handled, what comes back is kept.

Only Slack itself is not there: what it says of accounts, forms and threads, tests say.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from bots import actions
from bots.arrivals import Click, Command, Happening, Home, Message, Submission, kept
from bots.asking import Asking, Said
from bots.clicks import Clicks
from bots.commands import Commands
from bots.handling import Handling
from bots.homes import Homes
from bots.questions import Questions
from bots.slack.handling import SlackHandling
from bots.slack.identity import Profile, RememberedProfiles, SlackPeople
from bots.slack.placing import SlackPlacing
from bots.slack.rendering import SlackRendering
from bots.visit import Answering
from core.domain.account import Account
from core.domain.approval import Approval
from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.delivery import Arrival, Kind, Place, Wish
from core.domain.ids import RunId, TenantId
from core.domain.principal import Principal
from core.domain.run import Run
from core.store.chat_following import StoredFollowing
from core.store.chat_inbox import StoredInbox
from core.switching import Switching
from sallyport.assembly import Assembly
from tests.chat import account_of, make_workspace
from tests.databases import Urls
from tests.world import Company, World, world_on

ALICE, BOB, BETH, CAROL = "U0ALICE", "U0BOB", "U0BETH", "U0CAROL"
NOBODY, GUEST, STRANGER, BOT = "U0NOBODY", "U0GUEST", "U0STRANGER", "U0BOT"
TEAM, CHANNEL, THREAD = "T0ACME", "C0GENERAL", "1700000000.000100"
PAGES = "https://sallyport.acme.test"

SCRIPT = """
scripts:
  - contains: delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
      - when: {tool: delete_task, outcome: succeeded}
        say: Deleted.
      - when: {tool: delete_task}
        say: Left alone.
  - match: .
    turns:
      - say: Here you are.
"""


@dataclass
class Outbox:
    """Keeps what is to be delivered."""

    wishes: list[Wish] = field(default_factory=list[Wish])

    async def wish(self, tenant_id: TenantId, *wishes: Wish) -> None:
        del tenant_id
        self.wishes.extend(wishes)


@dataclass
class Slack:
    """What Slack says: of accounts, and in threads; and the forms that it has opened."""

    forms: list[JsonObject] = field(default_factory=list[JsonObject])
    said_before: Sequence[Said] = ()
    is_too_late: bool = False

    async def open(self, workspace: str, trigger: str, form: JsonObject) -> bool:
        assert (workspace, trigger) == (TEAM, "trigger")
        if not self.is_too_late:
            self.forms.append(form)
        return not self.is_too_late

    async def tell(self, workspace: str, trigger: str, note: JsonObject) -> bool:
        assert (workspace, trigger, bool(note)) == (TEAM, "trigger", True)
        return False

    async def said(
        self, workspace: str, *, channel: str, thread: str, before: str, limit: int
    ) -> Sequence[Said]:
        assert (workspace, bool(channel), bool(thread), bool(before)) == (TEAM, True, True, True)
        return self.said_before[-limit:]

    async def profile(self, tenant_id: TenantId, *, account: Account) -> Profile | None:
        del tenant_id
        if not account.user.startswith("U0"):
            return None
        return Profile(
            user=account.user,
            team="T0ELSEWHERE" if account.user == STRANGER else TEAM,
            enterprise=None,
            teams=frozenset(),
            name=account.user.removeprefix("U0").title(),
            email=None,
            is_bot=account.user == BOT,
            is_deleted=False,
            is_guest=account.user == GUEST,
            is_stranger=account.user == STRANGER,
        )


class Departed:
    """Takes note of an app that was removed."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    async def app_uninstalled(self, workspace: str, *, at: object) -> bool:
        del at
        self.noted.append((workspace, "uninstalled"))
        return True

    async def tokens_revoked(self, workspace: str, *, tokens: JsonObject, at: object) -> bool:
        del at
        self.noted.append((workspace, canonical_json(tokens)))
        return True


class Desk:
    """A company with its workspace: Alice asks, Bob and Beth approve, Carol is the admin."""

    def __init__(self, world: World, acme: Company) -> None:
        self.world = world
        self.app = world.app
        self.acme = acme
        self.slack = Slack()
        self.outbox = Outbox()
        self.departed = Departed()
        assembly = world.assembly
        self.linking = assembly.linking
        self.inbox = StoredInbox(assembly.database)
        self.following = StoredFollowing(assembly.database)
        self.handling = self._handling(assembly)

    def _handling(self, assembly: Assembly) -> SlackHandling:
        rendering = SlackRendering()
        answering = Answering(
            self.app,
            following=self.following,
            outbox=self.outbox,
            screens=self.slack,
            rendering=rendering,
        )
        switching = Switching(
            toolbox=assembly.toolbox,
            theirs=assembly.stored_upstreams,
            settings=assembly.people,
            auditor=assembly.journal,
            clock=assembly.clock,
            renew=assembly.tokens.renew,
        )
        homes = Homes(self.app, tools=switching, pages_url=PAGES, clock=assembly.clock)
        profiles = RememberedProfiles(self.slack, clock=assembly.clock)
        people = SlackPeople(profiles, linking=self.linking)
        handling = Handling(
            answering,
            asking=Asking(answering, threads=self.slack),
            questions=Questions(
                answering, schemas=switching, pages_url=PAGES, clock=assembly.clock
            ),
            clicks=Clicks(answering, switches=switching, links=self.linking),
            commands=Commands(answering, homes=homes, kept=self.inbox),
            homes=homes,
            page=rendering,
            placing=SlackPlacing(),
            people=people,
            offers=self.linking,
            companies=assembly.people,
            outbox=self.outbox,
            pages_url=PAGES,
        )
        return SlackHandling(handling, departures=self.departed, members=people)

    async def link(self, user: str, person: Principal) -> None:
        """Make an account somebody's."""
        await self.linking.bind(person, account=account_of(user), actor="operator")

    async def arrives(self, happening: Happening, *, external_id: str | None = None) -> Arrival:
        """Have something arrive, be kept, and be handled."""
        arrival = Arrival(
            id=uuid4(),
            tenant_id=self.acme.tenant.id,
            surface="slack",
            workspace=TEAM,
            conversation="c",
            position="1",
            external_id=external_id or f"event:{uuid4()}",
            urgent=False,
            payload=kept(happening),
            attempts=1,
            received_at=self.world.assembly.clock.now(),
        )
        await self.inbox.take(arrival.tenant_id, arrival=arrival)
        await self.handling(arrival)
        return arrival

    async def says(
        self,
        text: str,
        *,
        by: str = ALICE,
        channel: str = CHANNEL,
        ts: str = THREAD,
        thread: str = THREAD,
    ) -> Arrival:
        message = Message(user=by, user_team=TEAM, channel=channel, ts=ts, thread=thread, text=text)
        return await self.arrives(message)

    async def clicks(
        self, action: str, carried: Mapping[str, str], *, by: str, at_home: bool = False
    ) -> Arrival:
        click = Click(
            user=by,
            user_team=TEAM,
            action=action,
            value=actions.carried(carried),
            channel="" if at_home else CHANNEL,
            thread="" if at_home else THREAD,
            trigger="trigger",
        )
        return await self.arrives(click)

    async def sends(self, form: JsonObject, fields: Mapping[str, str], *, by: str) -> Arrival:
        """Send a form that was opened, with what is typed into it."""
        sent = Submission(
            user=by,
            user_team=TEAM,
            form=str(form["callback_id"]),
            carried=str(form["private_metadata"]),
            fields=fields,
            trigger="trigger",
        )
        return await self.arrives(sent)

    async def commands(self, text: str, *, by: str = ALICE) -> Arrival:
        command = Command(user=by, user_team=TEAM, text=text, channel=CHANNEL, trigger="trigger")
        return await self.arrives(command)

    async def opens_home(self, *, by: str) -> str:
        """Return what somebody's page shows, as text."""
        await self.arrives(Home(user=by, tab="home"))
        wish = self.outbox.wishes[-1]
        assert wish.kind is Kind.HOME
        return canonical_json(wish.payload)

    async def asked(self, text: str = "Please delete the old draft") -> Approval:
        """Have Alice ask for a deletion, and return the question that comes of it."""
        await self.says(text)
        await self.world.drive()
        (question,) = await self.world.pending(self.acme.admin)
        self.outbox.wishes.clear()
        return question

    async def run(self, run_id: RunId) -> Run:
        """Return a run as an admin sees it, driven as far as it goes."""
        await self.world.drive()
        return await self.app.run(self.acme.admin, run_id=run_id)

    async def question(self, question: Approval) -> Approval:
        """Return the question as it is now."""
        return await self.app.approval(self.acme.admin, approval_id=question.id)

    async def runs_at(self, address: str = f"{CHANNEL}/{THREAD}") -> tuple[RunId, ...]:
        place = Place(surface="slack", workspace=TEAM, address=address)
        return await self.following.runs_at(self.acme.tenant.id, place=place, limit=100)

    def notes(self) -> list[tuple[str, str]]:
        """Return what people were told alone: to whom, and what."""
        return [
            (_reader(wish), str(wish.payload["text"]))
            for wish in self.outbox.wishes
            if wish.kind is Kind.PRIVATE
        ]

    @property
    def note(self) -> str:
        """The one private note that there is."""
        ((_, text),) = self.notes()
        return text


def on_card(question: Approval) -> dict[str, str]:
    """Return what the buttons of a question's card carry."""
    return actions.of_approval(question.id, digest=question.digest)


def texts_in(value: Json) -> list[str]:
    """Return every text in a payload, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in texts_in(one)]
    return [text for one in value for text in texts_in(one)] if isinstance(value, Sequence) else []


def forged(question: Approval, *, approval_id: UUID) -> dict[str, str]:
    """Return a card's ids with another question's id in them."""
    return {**on_card(question), "a": str(approval_id)}


@asynccontextmanager
async def desk_on(
    urls: Urls, folder: Path, *, script: str = SCRIPT, kind: type[Assembly] = Assembly
) -> AsyncGenerator[Desk]:
    """Put a desk together on a test's database."""
    async with world_on(urls, folder, script=script, kind=kind) as world:
        acme = await world.company()
        await make_workspace(world.assembly.database, acme.admin.principal, workspace=TEAM)
        desk = Desk(world, acme)
        people = {
            ALICE: acme.member,
            BOB: acme.approver,
            BETH: acme.second_approver,
            CAROL: acme.admin,
        }
        for user, caller in people.items():
            await desk.link(user, caller.principal)
        yield desk


def _reader(wish: Wish) -> str:
    """Return who alone reads a note: it goes to their own messages, or is whispered to them."""
    whispered = wish.payload.get("ephemeral_to")
    if isinstance(whispered, str):
        return whispered
    channel = wish.place.address.partition("/")[0]
    assert channel.startswith(("@", "D")), "a note that everybody reads"
    return channel.removeprefix("@")
