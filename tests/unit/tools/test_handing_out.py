"""What a call is handed: for as long as it lasts, and not to be found in what it leaves."""

from collections.abc import Mapping
from uuid import uuid4

import pytest
import structlog
from structlog.testing import capture_logs

from core.domain.eraser import ERASED, LOG_KEY
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.tool import Failed, Preview, Risk, Succeeded
from core.errors import (
    Conflict,
    LeaseLost,
    LimitReached,
    Misconfigured,
    NotFound,
    SallyportError,
    ToolFailed,
    Unavailable,
)
from core.telemetry.logs import redact
from core.tools.authoring import Arguments, Context, EffectContext, Output, Pack, tool
from core.tools.handing_out import HandingOut, NoCredentials
from core.tools.registry import Registry
from tests.builders import SteadyClock
from tests.permits import OpenDoor, a_call

SECRET = "12345678901234"
ALICE = Principal(
    id=PrincipalId(uuid4()),
    tenant_id=TenantId(uuid4()),
    email="alice@acme.test",
    roles=frozenset({Role.MEMBER}),
    groups=frozenset(),
)


class Drawer:
    """A source with one secret in it, or something wrong with it."""

    def __init__(self, *, wrong: SallyportError | None = None) -> None:
        self.wrong = wrong
        self.asked: list[tuple[TenantId, str, PrincipalId]] = []

    async def reveal_to(self, tenant_id: TenantId, *, name: str, person: PrincipalId) -> str:
        self.asked.append((tenant_id, name, person))
        if self.wrong is not None:
            raise self.wrong
        return SECRET


class Plan:
    """What the tools do next, and whatever they have kept."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.kept: list[Context[Plan]] = []

    async def carry_out(self, context: Context["Plan"]) -> str:
        self.kept.append(context)
        secret = await context.credential("github")
        if self.error is not None:
            raise self.error
        return secret


class Nothing(Arguments):
    pass


class Number(Output):
    number: int | str


async def what_it_does(arguments: Nothing, context: Context[Plan]) -> Preview:
    """Show the secret."""
    del arguments
    return Preview(summary=await context.store.carry_out(context))


@tool(risk=Risk.SAFE)
async def count_up(arguments: Nothing, context: Context[Plan]) -> Number:
    """Return the secret as a number."""
    del arguments
    return Number(number=int(await context.store.carry_out(context)))


@tool(risk=Risk.CAUTIOUS, preview=what_it_does)
async def act(arguments: Nothing, context: EffectContext[Plan]) -> Number:
    """Return the secret as it is."""
    del arguments
    return Number(number=await context.store.carry_out(context))


PACK: Pack[Plan] = Pack(name="plans", tools=(count_up, act))


def door_of(plan: Plan, clock: SteadyClock, drawer: Drawer | None = None) -> OpenDoor:
    return OpenDoor(Registry([PACK.bound(plan)], clock=clock, credentials=drawer or Drawer()))


async def test_tenant_and_person_are_the_call_s(clock: SteadyClock) -> None:
    drawer = Drawer()
    result = await door_of(Plan(), clock, drawer).call(ALICE, "act")
    assert result == Succeeded(output={"number": ERASED})
    assert drawer.asked == [(ALICE.tenant_id, "github", ALICE.id)]


async def test_a_secret_is_handed_out_until_its_call_ends(clock: SteadyClock) -> None:
    plan = Plan()
    await door_of(plan, clock).call(ALICE, "act")
    (context,) = plan.kept
    with pytest.raises(SallyportError, match="credential_after_call"):
        await context.credential("github")
    assert SECRET not in repr(context)


async def test_a_number_that_is_the_secret_is_no_result(clock: SteadyClock) -> None:
    result = await door_of(Plan(), clock).call(ALICE, "count_up")
    assert isinstance(result, Failed)
    assert result.code == "tool_result_invalid"


async def test_without_a_vault_there_is_nothing_to_hand_out(clock: SteadyClock) -> None:
    door = OpenDoor(Registry([PACK.bound(Plan())], clock=clock))
    result = await door.call(ALICE, "act")
    assert isinstance(result, Failed)
    assert (result.code, dict(result.facts)) == ("credential_missing", {"name": "github"})


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (NotFound("credential_missing", name="github"), "credential_missing"),
        (Misconfigured("master_key_unknown", key_id="ab"), "credential_unreadable"),
        (Misconfigured("master_key_missing"), "credential_unreadable"),
    ],
)
async def test_what_cannot_be_had_fails_the_call_with_words(
    clock: SteadyClock, wrong: SallyportError, code: str
) -> None:
    with capture_logs() as logs:
        result = await door_of(Plan(), clock, Drawer(wrong=wrong)).call(ALICE, "act")
    assert isinstance(result, Failed)
    assert result.code == code
    assert "github" in result.message
    told = [entry["code"] for entry in logs if entry["event"] == "credential.unreadable"]
    assert told == ([wrong.code] if isinstance(wrong, Misconfigured) else [])


ERRORS: Mapping[str, Exception] = {
    "tool failed": ToolFailed(SECRET, why=SECRET, all=[SECRET, "x"], number=1),
    "refused": NotFound("not_found", noun=SECRET),
    "too much": LimitReached("rate_limited", retry_after_seconds=3, tool=SECRET),
    "crashed": ValueError(SECRET),
    "away": Unavailable("somewhere_else", where=SECRET),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_no_failure_repeats_it(clock: SteadyClock, name: str) -> None:
    plan = Plan()
    plan.error = ERRORS[name]
    result = await door_of(plan, clock).call(ALICE, "act")
    assert isinstance(result, Failed)
    assert SECRET not in repr(result)


@pytest.mark.parametrize(
    "error",
    [LeaseLost("lease_lost", by=SECRET), Unavailable("database_unavailable", where=SECRET)],
)
async def test_what_ends_a_drive_goes_on_without_it(
    clock: SteadyClock, error: SallyportError
) -> None:
    plan = Plan()
    plan.error = error
    with pytest.raises(type(error)) as raised:
        await door_of(plan, clock).call(ALICE, "act")
    assert raised.value.code == error.code
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("name", ERRORS)
async def test_no_refused_preview_repeats_it(clock: SteadyClock, name: str) -> None:
    plan = Plan()
    plan.error = ERRORS[name]
    with pytest.raises(SallyportError) as raised:
        await door_of(plan, clock).preview(ALICE, "act")
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__
    assert isinstance(raised.value, type(ERRORS[name]) | Conflict)


async def test_an_error_before_anything_was_handed_out_stays_as_it_was() -> None:
    handing_out = HandingOut(NoCredentials(), call=a_call(ALICE, "act"))
    error = Conflict("changed_since", noun="task")
    with pytest.raises(Conflict) as raised, handing_out.in_use():
        raise error
    assert raised.value is error


async def test_the_log_knows_the_secret_for_as_long_as_the_call_lasts(clock: SteadyClock) -> None:
    del clock
    handing_out = HandingOut(Drawer(), call=a_call(ALICE, "act"))
    with handing_out.in_use():
        await handing_out.reveal("github")
        bound = structlog.contextvars.get_contextvars()
        entry = redact(None, "info", {"event": f"sent {SECRET}", "n": 5, **bound})
    assert entry == {"event": f"sent {ERASED}", "n": 5}
    assert LOG_KEY not in structlog.contextvars.get_contextvars()
    assert SECRET not in repr(bound)


async def test_an_entry_of_a_call_that_was_handed_nothing_is_left_as_it_is() -> None:
    handing_out = HandingOut(Drawer(), call=a_call(ALICE, "act"))
    with handing_out.in_use():
        bound = structlog.contextvars.get_contextvars()
        assert redact(None, "info", {"event": "x", **bound}) == {"event": "x"}
