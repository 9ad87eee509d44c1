"""What the registry does with tools that fail, break, wait or lie."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.tool import Failed, Inverse, Risk, Succeeded
from core.errors import (
    Conflict,
    InvalidInput,
    LeaseLost,
    Misconfigured,
    NotFound,
    ToolFailed,
    Unavailable,
)
from core.tools.authoring import Context, Done, EffectContext, Pack, tool
from core.tools.registry import Registry
from tests.builders import SteadyClock
from tests.notes_pack import (
    NOTES,
    NoteStore,
    OneNote,
    Text,
    WriteNote,
    Written,
    what_it_writes,
    write_note,
)
from tests.permits import OpenDoor, a_call

ALICE = Principal(
    id=PrincipalId(uuid4()),
    tenant_id=TenantId(uuid4()),
    email="alice@acme.test",
    roles=frozenset({Role.MEMBER}),
    groups=frozenset(),
)


@dataclass(slots=True)
class Room:
    """The notes pack, with a store that can be made to fail and a sleep that only counts."""

    store: NoteStore
    door: OpenDoor
    slept: list[float] = field(default_factory=list[float])


@pytest.fixture
def room(clock: SteadyClock) -> Room:
    store = NoteStore(notes={(ALICE.tenant_id, "plan"): "rest"})
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    door = OpenDoor(Registry([NOTES.bound(store)], clock=clock, sleep=sleep))
    return Room(store=store, door=door, slept=slept)


def raising(*errors: BaseException | None) -> Callable[[], Awaitable[None]]:
    """Return trouble that raises each error in turn, and nothing for None."""
    left = iter(errors)

    async def trouble() -> None:
        error = next(left)
        if error is not None:
            raise error

    return trouble


async def test_a_tool_learns_who_acts_when_and_under_which_key(
    room: Room, clock: SteadyClock
) -> None:
    await room.door.under("one").call(ALICE, "write_note", name="new")
    await room.door.under("one").call(ALICE, "write_note", name="new")

    first, second = room.store.effects
    assert (first.tenant_id, first.principal, first.tool) == (ALICE.tenant_id, ALICE, "write_note")
    assert first.at == clock.now()
    assert first.lease is None
    assert first.key == second.key


async def test_a_part_that_comes_back_in_time_is_asked_again(room: Room) -> None:
    gone = Unavailable("ledger_unavailable")
    room.store.trouble = raising(gone, gone, None)

    result = await room.door.call(ALICE, "read_note", name="plan")

    assert result == Succeeded(output={"text": "rest"})
    assert room.slept == [0.1, 0.4]


async def test_a_part_that_stays_away_fails_after_three_attempts(room: Room) -> None:
    room.store.trouble = raising(*[Unavailable("ledger_unavailable")] * 3)

    result = await room.door.call(ALICE, "read_note", name="plan")

    assert isinstance(result, Failed)
    assert result.code == "tool_unavailable"
    assert "read_note" in result.message
    assert len(room.slept) == 2


async def test_what_may_not_be_repeated_is_tried_once(room: Room) -> None:
    room.store.trouble = raising(Unavailable("ledger_unavailable"))

    result = await room.door.call(ALICE, "erase_note", name="plan")

    assert isinstance(result, Failed)
    assert result.code == "tool_unavailable"
    assert room.slept == []


@pytest.mark.parametrize("name", ["read_note", "erase_note"])
async def test_a_call_is_not_over_while_our_own_database_is_away(room: Room, name: str) -> None:
    room.store.trouble = raising(*[Unavailable("database_unavailable")] * 3)

    with pytest.raises(Unavailable):
        await room.door.call(ALICE, name, name="plan")


@pytest.mark.parametrize(
    "error",
    [NotFound("not_found", noun="note"), Conflict("busy"), ToolFailed("full", notes=7)],
)
async def test_what_a_tool_says_of_its_failure_reaches_the_caller(
    room: Room, error: NotFound | Conflict | ToolFailed
) -> None:
    room.store.trouble = raising(error)

    result = await room.door.call(ALICE, "read_note", name="plan")

    assert isinstance(result, Failed)
    assert (result.code, result.facts) == (error.code, dict(error.facts))
    assert result.message


async def test_a_broken_tool_fails_without_telling_its_insides(room: Room) -> None:
    room.store.trouble = raising(ValueError("password=hunter2"))

    with capture_logs() as logs:
        result = await room.door.call(ALICE, "read_note", name="plan")

    assert isinstance(result, Failed)
    assert result.code == "tool_error"
    assert "hunter2" not in str(result)
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("tool.crashed", "ValueError"),
        ("tool.called", None),
    ]
    assert "hunter2" not in str(logs)


async def test_a_broken_preview_is_a_refusal_without_its_insides(room: Room) -> None:
    room.store.trouble = raising(ValueError("password=hunter2"))

    with capture_logs() as logs, pytest.raises(Conflict) as refusal:
        await room.door.preview(ALICE, "write_note", name="new")

    assert refusal.value.code == "tool_error"
    assert "hunter2" not in f"{refusal.value} {logs}"


async def test_what_a_preview_says_of_its_failure_is_a_refusal(room: Room) -> None:
    room.store.trouble = raising(ToolFailed("full", notes=7))

    with pytest.raises(Conflict) as refusal:
        await room.door.preview(ALICE, "write_note", name="new")

    assert (refusal.value.code, dict(refusal.value.facts)) == ("full", {"notes": 7})


async def test_a_preview_does_not_hide_that_a_part_is_gone(room: Room) -> None:
    room.store.trouble = raising(Unavailable("database_unavailable"))

    with pytest.raises(Unavailable):
        await room.door.preview(ALICE, "write_note", name="new")


async def test_a_preview_cannot_promise_an_undo_that_is_not_there(room: Room) -> None:
    preview = await room.door.preview(ALICE, "erase_note", name="plan")

    assert preview is not None
    assert not preview.reversible


@pytest.mark.parametrize("error", [LeaseLost("lease_lost"), asyncio.CancelledError()])
async def test_a_lost_lease_and_a_cancellation_are_never_results(
    room: Room, error: BaseException
) -> None:
    room.store.trouble = raising(error)

    with pytest.raises(type(error)):
        await room.door.call(ALICE, "read_note", name="plan")


async def test_a_call_is_logged_without_what_it_says(room: Room, clock: SteadyClock) -> None:
    async def slow() -> None:
        clock.move(seconds=1.5)

    room.store.trouble = slow
    with capture_logs() as logs:
        await room.door.call(ALICE, "write_note", name="secret-name", text="secret-text")

    (line,) = logs
    assert line["event"] == "tool.called"
    assert line["tool"] == "write_note"
    assert line["duration_ms"] == 1500.0
    assert line["tenant_id"] == str(ALICE.tenant_id)
    assert line["outcome"] == "succeeded"
    assert line.keys() >= {"run_id", "call_id"}
    assert "secret" not in str(line)


async def test_the_inverse_of_a_call_is_the_registered_undo(room: Room) -> None:
    result = await room.door.call(ALICE, "write_note", name="new")

    assert isinstance(result, Succeeded)
    assert result.inverse == Inverse(tool="erase_note", arguments={"name": "new"})
    await room.door.undo(ALICE, result)
    assert (ALICE.tenant_id, "new") not in room.store.notes


@tool(risk=Risk.SAFE)
async def return_nothing(arguments: OneNote, context: Context[NoteStore]) -> Text:
    """Return what is no text. Returns a lie."""
    await context.store.trouble()
    return Text.model_construct(name=arguments.name)


@tool(risk=Risk.SAFE)
async def return_a_nul(arguments: OneNote, context: Context[NoteStore]) -> Text:
    """Return what no database can hold. Returns a NUL."""
    await context.store.trouble()
    return Text(text=f"{arguments.name}\x00")


@tool(risk=Risk.CAUTIOUS, preview=what_it_writes, undo="undo_for_others")
async def undo_for_others(arguments: WriteNote, context: EffectContext[NoteStore]) -> Done[Written]:
    """Name an undo that takes something else. Returns the name."""
    await context.store.trouble()
    return Done(Written(name=arguments.name), undo=OneNote(name=arguments.name))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("return_nothing", "tool_result_invalid"),
        ("return_a_nul", "tool_result_invalid"),
        ("undo_for_others", "tool_error"),
    ],
)
async def test_a_tool_that_breaks_its_own_contract_fails(
    clock: SteadyClock, name: str, code: str
) -> None:
    pack = Pack(name="liars", tools=(return_nothing, return_a_nul, undo_for_others))
    door = OpenDoor(Registry([pack.bound(NoteStore())], clock=clock))

    result = await door.call(ALICE, name, name="x")

    assert isinstance(result, Failed)
    assert result.code == code


def test_two_tools_of_one_name_are_refused(clock: SteadyClock) -> None:
    packs = [NOTES.bound(NoteStore()), Pack(name="more", tools=(write_note,)).bound(NoteStore())]

    with pytest.raises(Misconfigured, match="two tools named write_note"):
        Registry(packs, clock=clock)


def test_an_undo_that_names_no_tool_is_refused(clock: SteadyClock) -> None:
    pack = Pack(name="half", tools=(write_note,)).bound(NoteStore())

    with pytest.raises(Misconfigured, match="undone by erase_note"):
        Registry([pack], clock=clock)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "plan\udc00"])
def test_text_that_no_database_can_hold_is_refused(room: Room, text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid_arguments"):
        room.door.toolbox.checked_arguments(
            room.door.tool("write_note"), a_call(ALICE, "write_note", name="x", text=text).arguments
        )


def test_a_refusal_says_what_is_wrong_without_repeating_what_was_sent(room: Room) -> None:
    sent = "s3cret" * 1000
    checked = room.door.toolbox.checked_arguments

    with pytest.raises(InvalidInput) as long_text:
        checked(room.door.tool("write_note"), {"name": "x", "text": sent})
    with pytest.raises(InvalidInput) as long_key:
        checked(room.door.tool("write_note"), {"name": "x", sent: 1})
    with pytest.raises(InvalidInput) as several:
        checked(room.door.tool("write_note"), {"name": 5, "text": None, "else": 1})

    assert long_text.value.facts == {
        "tool": "write_note",
        "path": "text",
        "detail": "text: the value is longer than 100 characters",
    }
    assert len(str(long_key.value.facts["detail"])) <= 200
    detail = str(several.value.facts["detail"])
    assert 'name: the value is not of type "string"' in detail
    assert 'text: the value is not of type "string"' in detail
    assert "'else' was unexpected" in detail
