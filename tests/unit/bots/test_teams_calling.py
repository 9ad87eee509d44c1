"""What Teams says of a call, in the outbox's words, and where a conversation is reached."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast
from uuid import uuid4

import pytest

from bots.outbox import ApiCall, Later, Never, Outcome, Took
from bots.teams.calling import Caller
from bots.teams.delivering import MESSAGE_GONE, STREAM_FULL, STREAM_OVER, next_call, sent_after
from bots.teams.wire import Reference, WireRefused, WireUnreachable
from core.domain.canonical import JsonObject
from core.domain.chat import ChatReference, Surface, Workspace, WorkspaceState
from core.domain.delivery import Kind, Parcel, Place, Wish
from core.domain.ids import PrincipalId, TenantId
from core.errors import Unavailable
from tests.builders import SteadyClock
from tests.nouns import NOON, TENANT
from tests.teams_in_memory import KeptReferences, KeptWire

ENTRA = "11111111-2222-3333-4444-555555555555"
ALICE = "0f8fad5b-d9cb-469f-a165-70867728950e"
CHANNEL = "19:general@thread.tacv2"
AMER = "https://amer.example/teams/"
EMEA = "https://emea.example/teams/"


@dataclass(slots=True)
class OneWorkspace:
    """Knows one workspace, or is not there itself."""

    workspace: Workspace | None
    is_down: bool = False

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        if self.is_down:
            raise Unavailable("database_unavailable")
        known = self.workspace
        asked = (tenant_id, surface, workspace)
        is_it = known and (known.tenant_id, known.surface, known.workspace) == asked
        return known if is_it else None


ACME = Workspace(
    tenant_id=TENANT,
    surface=Surface.TEAMS,
    workspace=ENTRA,
    name="Acme",
    app="app",
    bot_user="28:app",
    scopes=(),
    state=WorkspaceState.ACTIVE,
    approvals_channel=None,
    links_by_email=False,
    installed_by=PrincipalId(uuid4()),
    installed_at=NOON,
    changed_at=NOON,
    token_expires_at=None,
    sealed=None,
)


def a_reference(
    address: str, *, conversation: str, service_url: str = AMER, mri: str = ""
) -> ChatReference:
    return ChatReference(
        tenant_id=TENANT,
        surface=Surface.TEAMS,
        workspace=ENTRA,
        address=address,
        conversation=conversation,
        service_url=service_url,
        mri=mri,
        seen_at=NOON,
    )


class Desk:
    """A Caller, and all that it knows and reaches."""

    def __init__(self) -> None:
        self.wire, self.references, self.clock = KeptWire(), KeptReferences(), SteadyClock()
        self.workspaces = OneWorkspace(ACME)
        self.caller = Caller(
            self.wire,
            workspaces=self.workspaces,
            references=self.references,
            clock=self.clock,
        )

    async def perform(self, parcel: Parcel) -> Outcome:
        return await self.caller.perform(parcel, call_of(parcel))

    async def goes_on(self, parcel: Parcel) -> Parcel:
        """Make the next call, and return what is there after it."""
        call = call_of(parcel)
        outcome = await self.caller.perform(parcel, call)
        assert not isinstance(outcome, Later)
        sent = sent_after(parcel, call, outcome)
        assert sent is not None
        return replace(parcel, sent=sent)


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.references.kept["19:other/"] = a_reference("19:other/", conversation="19:other")
    return made


def a_parcel(
    text: str = "one",
    *,
    address: str = f"{CHANNEL}/1700",
    key: str = "run:1",
    streams: bool = False,
    sent: JsonObject | None = None,
) -> Parcel:
    stream: JsonObject = {"stream": {"informative": "Looking", "text": text}}
    payload: JsonObject = {
        "activity": {"text": text},
        "status": "processing",
        **(stream if streams else {}),
    }
    return Parcel(
        id=uuid4(),
        version=1,
        tenant_id=TENANT,
        wish=Wish(
            place=Place(surface="teams", workspace=ENTRA, address=address),
            key=key,
            kind=Kind.PROGRESS,
            payload=payload,
        ),
        sent=sent or {},
        attempts=0,
        wished_at=NOON,
    )


def a_stream(text: str = "I look", *, key: str = "run:1") -> Parcel:
    there: JsonObject = {"conversation": "a:1alice"}
    return a_parcel(text, address=f"@{ALICE}/", key=key, streams=True, sent=there)


def call_of(parcel: Parcel) -> ApiCall:
    call = next_call(parcel)
    assert call is not None
    return call


async def test_a_thread_is_reached_where_somebody_there_has_spoken(desk: Desk) -> None:
    parcel = a_parcel()
    address = parcel.wish.place.address
    desk.references.kept[address] = a_reference(
        address, conversation=f"{CHANNEL};messageid=1700", service_url=EMEA
    )
    assert isinstance(await desk.perform(parcel), Took)
    (told,) = desk.wire.told
    assert told[1] == Reference(
        service_url=EMEA, conversation=f"{CHANNEL};messageid=1700", tenant=ENTRA
    )


async def test_where_nobody_has_spoken_the_newest_known_service_of_the_tenant_is_used(
    desk: Desk,
) -> None:
    assert isinstance(await desk.perform(a_parcel()), Took)
    assert cast("Reference", desk.wire.told[0][1]).service_url == AMER
    desk.references.kept.clear()
    assert await desk.perform(a_parcel()) == Never(code="no_reference")


async def test_a_known_chat_is_not_asked_for_and_an_unknown_one_once(desk: Desk) -> None:
    parcel = a_parcel(address=f"@{ALICE}/")
    asked = Took(answer={"conversation": "a:1alice"})
    assert await desk.perform(parcel) == asked
    assert await desk.perform(parcel) == asked
    assert desk.wire.told == [("create", AMER, {"tenant": ENTRA, "user": ALICE})]


async def test_whoever_was_seen_elsewhere_only_is_asked_for_and_keeps_the_id_they_have(
    desk: Desk,
) -> None:
    address = f"@{ALICE}/"
    desk.references.kept[address] = a_reference(address, conversation="", mri="29:alice")
    asked = Took(answer={"conversation": "a:1alice"})
    assert await desk.perform(a_parcel(address=address)) == asked
    kept = desk.references.kept[address]
    assert (kept.conversation, kept.mri) == ("a:1alice", "29:alice")


async def test_who_has_not_installed_the_app_is_not_written_to(desk: Desk) -> None:
    desk.wire.says = [WireRefused(status=403, code="BotNotInConversationRoster")]
    assert await desk.perform(a_parcel(address=f"@{ALICE}/")) == Never(code="not_installed")


async def test_a_chat_that_is_no_more_is_forgotten_and_asked_for_again(desk: Desk) -> None:
    address = f"@{ALICE}/"
    old = a_reference(address, conversation="a:old", mri="29:alice")
    desk.references.kept[address] = old
    parcel = await desk.goes_on(a_parcel(address=address))
    desk.wire.says = [WireRefused(status=404, code="ConversationNotFound")]
    parcel = await desk.goes_on(parcel)
    kept = desk.references.kept[address]
    assert (kept.conversation, kept.mri) == ("", "29:alice")
    parcel = await desk.goes_on(await desk.goes_on(parcel))
    assert [told for told, *_ in desk.wire.told] == ["send", "create", "send"]
    assert parcel.sent["conversation"] == "a:1alice"


async def test_a_channel_that_is_no_more_is_forgotten_and_no_other(desk: Desk) -> None:
    parcel = a_parcel(address=f"{CHANNEL}/")
    gone = WireRefused(status=404, code="ConversationNotFound")
    desk.wire.says = [gone, gone]
    assert await desk.perform(parcel) == Never(code="ConversationNotFound")
    assert list(desk.references.kept) == ["19:other/"]
    desk.references.kept[f"{CHANNEL}/"] = a_reference(f"{CHANNEL}/", conversation=CHANNEL)
    await desk.perform(parcel)
    assert list(desk.references.kept) == ["19:other/"]


@pytest.mark.parametrize("state", [WorkspaceState.UNINSTALLED, WorkspaceState.TOKEN_REVOKED, None])
async def test_nothing_is_said_in_a_tenant_that_is_not_allowed_any_more(
    desk: Desk, state: WorkspaceState | None
) -> None:
    desk.workspaces.workspace = replace(ACME, state=state) if state else None
    assert await desk.perform(a_parcel()) == Never(code="workspace_left")
    assert desk.wire.told == []


async def test_a_database_that_is_away_is_waited_for(desk: Desk) -> None:
    desk.workspaces.is_down = True
    assert await desk.perform(a_parcel()) == Later(code="database_unavailable")


@pytest.mark.parametrize(
    ("status", "told", "seconds"), [(429, 7.0, 7.0), (412, None, 5.0), (429, 0.0, 1.0)]
)
async def test_what_teams_puts_off_was_not_taken_and_its_conversation_rests(
    desk: Desk, status: int, told: float | None, seconds: float
) -> None:
    desk.wire.says = [WireRefused(status=status, code="Throttled", seconds=told)]
    outcome = await desk.perform(a_parcel())
    assert outcome == Later(code="Throttled", seconds=seconds, rate=("conversation", CHANNEL))


@pytest.mark.parametrize("status", [401, 408, 500, 502, 503, 504])
async def test_what_may_have_been_taken_is_tried_again_and_counts_as_a_try(
    desk: Desk, status: int
) -> None:
    desk.wire.says = [
        WireRefused(status=status, code="unknown"),
        WireRefused(status=status, code="unknown", seconds=9.0),
    ]
    assert await desk.perform(a_parcel()) == Later(code=f"http_{status}")
    assert await desk.perform(a_parcel()) == Later(code=f"http_{status}", seconds=9.0)


async def test_teams_that_gives_no_answer_is_asked_again(desk: Desk) -> None:
    desk.wire.says = [WireUnreachable()]
    assert await desk.perform(a_parcel()) == Later(code="teams_unreachable")


@pytest.mark.parametrize(
    ("status", "code", "means"),
    [
        (404, "ActivityNotFoundInConversation", MESSAGE_GONE),
        (404, "unknown", MESSAGE_GONE),
        (403, "unknown", MESSAGE_GONE),
        (403, "BotNotInConversationRoster", "BotNotInConversationRoster"),
        (404, "ConversationNotFound", "ConversationNotFound"),
        (413, "MessageSizeTooBig", "MessageSizeTooBig"),
        (400, "unknown", "http_400"),
    ],
)
async def test_why_a_message_cannot_be_edited_is_told_apart(
    desk: Desk, status: int, code: str, means: str
) -> None:
    desk.wire.says = [WireRefused(status=status, code=code)]
    outcome = await desk.perform(a_parcel(sent={"id": "m1", "shown": "x"}))
    assert outcome == Never(code=means)
    assert desk.wire.told[0][0] == "update m1"


@pytest.mark.parametrize(
    ("detail", "means"),
    [
        ("Content stream finished due to exceeded streaming time.", STREAM_FULL),
        ("Content stream is not allowed on an already completed streamed message", STREAM_OVER),
        ("Content stream was canceled by user", "stream_stopped"),
        ("Content stream is not allowed", "ContentStreamNotAllowed"),
    ],
)
async def test_why_a_stream_does_not_go_on_is_read_from_teams_words(
    desk: Desk, detail: str, means: str
) -> None:
    parcel = await desk.goes_on(a_stream())
    parcel = replace(parcel, wish=a_stream("I look at").wish)
    desk.wire.says = [WireRefused(status=403, code="ContentStreamNotAllowed", detail=detail)]
    assert await desk.perform(parcel) == Never(code=means)


async def test_a_stream_is_ended_before_teams_ends_it(desk: Desk) -> None:
    parcel = await desk.goes_on(a_stream())
    more = replace(parcel, wish=a_stream("I look at").wish)
    desk.clock.move(seconds=99)
    assert isinstance(await desk.perform(more), Took)
    desk.clock.move(seconds=2)
    assert await desk.perform(more) == Never(code=STREAM_FULL)


async def test_one_message_streams_in_a_chat_at_a_time(desk: Desk) -> None:
    first = await desk.goes_on(a_stream(key="run:1"))
    assert await desk.perform(a_stream(key="run:2")) == Never(code="stream_busy")
    ended = replace(first.wish, payload={**first.wish.payload, "status": "active"})
    await desk.goes_on(replace(first, wish=ended))
    assert isinstance(await desk.perform(a_stream(key="run:2")), Took)


def surely_not(desk: Desk) -> None:
    desk.wire.says = [WireRefused(status=429, code="Throttled")]


def perhaps(desk: Desk) -> None:
    desk.wire.says = [WireUnreachable()]


@pytest.mark.parametrize(("goes", "is_open"), [(surely_not, False), (perhaps, True)])
async def test_a_stream_that_may_have_begun_is_open_until_teams_has_ended_it(
    desk: Desk, goes: Callable[[Desk], None], *, is_open: bool
) -> None:
    goes(desk)
    assert isinstance(await desk.perform(a_stream(key="run:1")), Later)
    after = await desk.perform(a_stream(key="run:2"))
    assert isinstance(after, Never) is is_open
    desk.clock.move(seconds=121)
    assert isinstance(await desk.perform(a_stream(key="run:3")), Took)
