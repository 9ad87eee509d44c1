"""Every way in which a run ends: its status, its code, its words, and what is left behind."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.approval import Answer, ApprovalState
from core.domain.event import EventKind
from core.domain.model import StopReason, ToolUse
from core.domain.principal import Caller
from core.domain.run import AgentVersion, Run, RunStatus, StopCause
from core.domain.tool import CallState, Failed
from core.errors import Conflict, Forbidden, ModelFailed, ModelOverloaded
from tests.databases import Urls
from tests.nouns import AGENT, an_answer
from tests.waiting import until
from tests.workshop import LOOK_COSTS, Workplace, never, use, workplace_on
from tests.world import Company


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path) as made:
        yield made


async def disable(place: Workplace, person: Caller) -> None:
    await place.assembly.enrolment.disable(
        person.tenant_id, email=person.principal.email, at=place.assembly.clock.now()
    )


def ended(run: Run) -> tuple[RunStatus, str | None]:
    return run.status, run.error.code if run.error else None


async def kinds(place: Workplace, company: Company, run: Run) -> list[EventKind]:
    events = await place.app.events(company.member, run_id=run.id, after=0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.kind for event in events]


async def test_an_answer_without_calls_completes_the_run(place: Workplace) -> None:
    place.lines.lines = ([use("look", name="a")], "Done.")
    acme = await place.company()
    run = await place.run(acme.member, "Look.")
    assert (run.status, run.result, run.error) == (RunStatus.COMPLETED, "Done.", None)
    assert run.cost_micros == LOOK_COSTS + 2
    assert [step.number for step in run.steps] == [1, 2]
    assert run.started_at is not None
    assert run.completed_at is not None
    assert await kinds(place, acme, run) == [
        EventKind.STARTED,
        EventKind.THOUGHT,
        EventKind.CALL_SUCCEEDED,
        EventKind.THOUGHT,
        EventKind.COMPLETED,
    ]
    audit = await place.audit(acme.admin)
    assert [one["action"] for one in audit] == ["run.started", "call.executed", "run.ended"]
    assert audit[1]["output"] == {"name": "a"}
    assert audit[2]["cost_micros"] == run.cost_micros


async def test_the_step_limit_stops_the_run(urls: Urls, tmp_path: Path) -> None:
    lines = [[use("look", name=str(number))] for number in range(5)]
    async with workplace_on(urls, tmp_path, *lines, agent=replace(AGENT, max_steps=2)) as place:
        acme = await place.company()
        run = await place.run(acme.member, "Look.")
        assert ended(run) == (RunStatus.FAILED, "max_steps")
        assert run.error is not None
        assert "2 steps" in run.error.message
        assert place.bench.names == ["0", "1"], "what was asked for before is done"


async def test_a_model_call_that_might_not_fit_is_not_made(urls: Urls, tmp_path: Path) -> None:
    async with workplace_on(
        urls, tmp_path, "Hello.", agent=replace(AGENT, budget_micros=4)
    ) as place:
        acme = await place.company()
        run = await place.run(acme.member, "Hello?")
        assert ended(run) == (RunStatus.BUDGET_EXCEEDED, "budget_exceeded")
        assert place.lines.prompts == []
        assert run.cost_micros == 0
        assert (await kinds(place, acme, run))[-1] is EventKind.STOPPED


async def test_a_tool_that_does_not_fit_is_not_called(urls: Urls, tmp_path: Path) -> None:
    line = [use("look", name="a")]
    async with workplace_on(
        urls, tmp_path, line, agent=replace(AGENT, budget_micros=LOOK_COSTS)
    ) as place:
        acme = await place.company()
        run = await place.run(acme.member, "Look.")
        assert ended(run) == (RunStatus.BUDGET_EXCEEDED, "budget_exceeded")
        assert place.bench.made == []
        (record,) = await place.calls(acme.member, run)
        assert record.state is CallState.CANCELLED
        assert run.cost_micros <= LOOK_COSTS


async def test_calls_side_by_side_never_pass_the_budget_together(
    urls: Urls, tmp_path: Path
) -> None:
    line = [use("look", name=str(number)) for number in range(9)]
    async with workplace_on(
        urls, tmp_path, line, agent=replace(AGENT, budget_micros=4 * LOOK_COSTS)
    ) as place:
        acme = await place.company()
        run = await place.run(acme.member, "Look.")
        assert run.status is RunStatus.BUDGET_EXCEEDED
        assert len(place.bench.made) == 3
        assert run.cost_micros == 1 + 3 * LOOK_COSTS


async def test_the_same_call_five_times_is_stuck(place: Workplace) -> None:
    place.lines.lines = tuple([use("look", name="again")] for _ in range(9))
    acme = await place.company()
    run = await place.run(acme.member, "Look.")
    assert ended(run) == (RunStatus.FAILED, "stuck")
    assert len(place.bench.made) == 5


async def test_an_unknown_tool_is_told_once_and_stops_the_run_the_second_time(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("make_coffee")], [use("make_tea")], "Never said.")
    acme = await place.company()
    run = await place.run(acme.member, "Coffee, please.")
    assert ended(run) == (RunStatus.FAILED, "unknown_tools")
    assert len(place.lines.prompts) == 2
    refused = await place.audit(acme.admin, "call.refused")
    assert [(one["tool"], one["code"]) for one in refused] == [
        ("make_coffee", "unknown_tool"),
        ("make_tea", "unknown_tool"),
    ]


async def test_a_tool_that_only_takes_back_is_unknown_to_the_model(place: Workplace) -> None:
    place.lines.lines = ([use("pull", name="a")], "Oh.")
    acme = await place.company()
    run = await place.run(acme.member, "Pull.")
    (record,) = await place.calls(acme.member, run)
    assert isinstance(record.result, Failed)
    assert record.result.code == "unknown_tool"
    assert "pull" not in [offer.name for offer in place.lines.prompts[0].tools]


@pytest.mark.parametrize(
    ("agent", "code"),
    [
        (replace(AGENT, segment_seconds=0), "segment_timeout"),
        (replace(AGENT, run_seconds=0), "run_timeout"),
    ],
    ids=["segment", "run"],
)
async def test_a_run_that_works_too_long_is_stopped(
    urls: Urls, tmp_path: Path, agent: AgentVersion, code: str
) -> None:
    async def think() -> str:
        await never()
        return ""

    async with workplace_on(urls, tmp_path, think, agent=agent) as place:
        acme = await place.company()
        assert ended(await place.run(acme.member, "Think.")) == (RunStatus.FAILED, code)


@pytest.mark.parametrize(
    "failure",
    [ModelFailed("model_failed", detail="no"), ModelOverloaded("model_overloaded", detail="429")],
    ids=lambda one: one.code,
)
async def test_a_model_that_cannot_answer_fails_the_run(
    place: Workplace, failure: ModelFailed
) -> None:
    place.lines.lines = (failure,)
    acme = await place.company()
    run = await place.run(acme.member, "Hello?")
    assert ended(run) == (RunStatus.FAILED, "model_failed")
    assert run.error is not None
    assert str(failure.facts["detail"]) in run.error.message


@pytest.mark.parametrize(
    ("stop", "code"),
    [(StopReason.REFUSED, "model_refused"), (StopReason.LENGTH, "model_truncated")],
)
async def test_an_answer_that_is_none_is_kept_and_is_no_result(
    place: Workplace, stop: StopReason, code: str
) -> None:
    place.lines.lines = (an_answer("I would rath", stop=stop),)
    acme = await place.company()
    run = await place.run(acme.member, "Hello?")
    assert ended(run) == (RunStatus.FAILED, code)
    assert run.result is None
    (step,) = run.steps
    assert step.answer is not None
    assert (step.answer.text, step.answer.cost_micros) == ("I would rath", 1)
    assert run.cost_micros == 1, "what was paid for is charged"


async def test_a_refused_answer_has_none_of_its_calls_made(place: Workplace) -> None:
    place.lines.lines = (an_answer("No.", use("push", name="a"), stop=StopReason.REFUSED),)
    acme = await place.company()
    run = await place.run(acme.member, "Push.")
    assert ended(run) == (RunStatus.FAILED, "model_refused")
    (record,) = await place.calls(acme.member, run)
    assert (record.state, place.bench.made) == (CallState.CANCELLED, [])


async def test_a_requester_who_is_gone_stops_the_run_before_anything(place: Workplace) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Hello?")
    await disable(place, acme.member)
    await place.drive()
    assert ended(await place.app.run(acme.admin, run_id=run_id)) == (
        RunStatus.FAILED,
        "requester_gone",
    )
    assert place.lines.prompts == []


@pytest.mark.parametrize(
    "lines",
    [
        ([use("look", name="the thing")], [use("look", name="another thing")]),
        ([use("look", name="the thing")], [use("push", name="another thing")]),
        ([use("look", name="the thing"), use("push", name="the thing", times=2)],),
    ],
    ids=["look-in-the-next-step", "push-in-the-next-step", "push-in-the-same-step"],
)
async def test_a_requester_who_goes_meanwhile_stops_the_run_at_its_next_word(
    place: Workplace, lines: tuple[list[ToolUse], ...]
) -> None:
    acme = await place.company()
    place.bench.hooks["the thing"] = lambda: disable(place, acme.member)
    place.lines.lines = lines
    run_id = await place.app.start_run(acme.member, task="Work.")
    await place.drive()
    run = await place.app.run(acme.admin, run_id=run_id)
    assert ended(run) == (RunStatus.FAILED, "requester_gone")
    assert place.bench.names == ["the thing"]


async def test_a_parked_run_is_cancelled_at_once_and_its_question_withdrawn(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("smash", name="a")], "Never said.")
    acme = await place.company()
    run = await place.run(acme.member, "Smash it.")
    (question,) = await place.pending(acme.approver)
    await place.app.cancel(acme.member, run_id=run.id)
    run = await place.app.run(acme.member, run_id=run.id)
    assert ended(run) == (RunStatus.CANCELLED, "cancelled")
    closed = await place.app.approval(acme.approver, approval_id=question.id)
    assert closed.state is ApprovalState.WITHDRAWN
    (record,) = await place.calls(acme.member, run)
    assert record.state is CallState.CANCELLED
    asked = await place.audit(acme.admin, "run.cancel_requested")
    assert [one["actor"] for one in asked] == ["alice@acme.test"]


async def test_a_queued_run_is_cancelled_before_it_begins(place: Workplace) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Hello?")
    await place.app.cancel(acme.admin, run_id=run_id)
    await place.drive()
    assert ended(await place.app.run(acme.member, run_id=run_id))[0] is RunStatus.CANCELLED
    assert place.lines.prompts == []


async def test_a_run_is_cancelled_from_another_process_while_the_model_thinks(
    urls: Urls, tmp_path: Path, place: Workplace
) -> None:
    asked = asyncio.Event()

    async def think() -> str:
        asked.set()
        await never()
        return ""

    place.lines.lines = (think,)
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Think.")
    async with workplace_on(urls, tmp_path) as elsewhere, asyncio.TaskGroup() as group:
        group.create_task(place.drive())
        await asked.wait()
        await elsewhere.app.cancel(acme.member, run_id=run_id)
    assert ended(await place.app.run(acme.member, run_id=run_id))[0] is RunStatus.CANCELLED


async def test_cancelling_while_calls_are_made_stops_before_the_next_ones(
    place: Workplace,
) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Work.")
    place.bench.hooks["the thing"] = lambda: place.app.cancel(acme.member, run_id=run_id)
    place.lines.lines = (
        [use("push", name="the thing"), use("push", name="the thing", times=2)],
        "Never said.",
    )
    await place.drive()
    run = await place.app.run(acme.member, run_id=run_id)
    assert ended(run) == (RunStatus.CANCELLED, "cancelled")
    assert place.bench.names == ["the thing"], "what was under way is finished, and no more begun"
    states = [record.state for record in await place.calls(acme.member, run)]
    assert states == [CallState.SUCCEEDED, CallState.CANCELLED]
    assert len(place.lines.prompts) == 1


async def test_cancelling_during_the_last_calls_asks_the_model_nothing_more(
    place: Workplace,
) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Work.")
    place.bench.hooks["a"] = lambda: place.app.cancel(acme.member, run_id=run_id)
    place.lines.lines = ([use("push", name="a")], "Never said.")
    await place.drive()
    assert len(place.lines.prompts) == 1
    assert ended(await place.app.run(acme.member, run_id=run_id))[0] is RunStatus.CANCELLED


async def test_a_run_that_has_ended_cannot_be_cancelled(place: Workplace) -> None:
    place.lines.lines = ("Done.",)
    acme = await place.company()
    run = await place.run(acme.member, "Hello?")
    with pytest.raises(Conflict) as refusal:
        await place.app.cancel(acme.member, run_id=run.id)
    assert (refusal.value.code, refusal.value.facts["status"]) == ("run_ended", "completed")


async def test_who_may_only_see_a_run_may_not_cancel_it(place: Workplace) -> None:
    place.lines.lines = ([use("smash", name="a")],)
    acme = await place.company()
    run = await place.run(acme.member, "Smash it.")
    with pytest.raises(Forbidden) as refusal:
        await place.app.cancel(acme.approver, run_id=run.id)
    assert refusal.value.code == "not_yours"


async def test_a_crashed_driver_s_run_fails_with_the_words_it_was_given(place: Workplace) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Hello?")
    driven = place.assembly.driven_runs
    cause = StopCause(code="internal_error", message="Something went wrong on our side.")
    tenant_id = acme.tenant.id
    await driven.fail(tenant_id, run_id=run_id, segment=2, cause=cause)
    assert not (await place.app.run(acme.member, run_id=run_id)).status.is_final
    await driven.fail(tenant_id, run_id=run_id, segment=1, cause=cause)
    await driven.fail(tenant_id, run_id=run_id, segment=1, cause=cause)
    run = await place.app.run(acme.member, run_id=run_id)
    assert (run.status, run.error) == (RunStatus.FAILED, cause)
    assert (await kinds(place, acme, run)).count(EventKind.STOPPED) == 1


async def test_a_segment_that_is_not_due_is_not_driven(place: Workplace) -> None:
    place.lines.lines = ("Done.",)
    acme = await place.company()
    run = await place.run(acme.member, "Hello?")
    for segment in (1, 2):
        await place.loop.drive(acme.tenant.id, run.id, segment)
    assert len(place.lines.prompts) == 1


async def test_whatever_the_model_says_is_kept_and_the_run_goes_on(place: Workplace) -> None:
    deep: list[object] = [{"k\x00": "\udc00"}]
    for _ in range(2000):
        deep = [deep]
    odd = use("push", name="a\x00b\ud83d", times=float("nan"), deep=deep)
    place.lines.lines = (
        an_answer("I think\x00 so\ud800.", odd, use("pu\x00sh")),
        "Sorry\x00.",
    )
    acme = await place.company()
    run = await place.run(acme.member, "Hello?")
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Sorry\ufffd.")
    first, second = (record.result for record in await place.calls(acme.member, run))
    assert isinstance(first, Failed)
    assert isinstance(second, Failed)
    assert (first.code, second.code) == ("invalid_arguments", "unknown_tool")


async def test_an_answer_that_comes_after_the_cancelling_is_kept_and_not_acted_on(
    place: Workplace,
) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Work.")

    async def think() -> list[ToolUse]:
        await place.app.cancel(acme.member, run_id=run_id)
        return [use("push", name="a")]

    place.lines.lines = (think,)
    await place.drive()
    run = await place.app.run(acme.member, run_id=run_id)
    assert (run.status, len(run.steps), place.bench.made) == (RunStatus.CANCELLED, 1, [])


async def test_a_run_that_was_cancelled_under_a_worker_that_died_is_not_gone_on_with(
    place: Workplace,
) -> None:
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Work.")
    driven = place.assembly.driven_runs
    assert await driven.take(acme.tenant.id, run_id=run_id, segment=1)
    await place.app.cancel(acme.member, run_id=run_id)
    assert await driven.requeue(acme.tenant.id, run_id=run_id, segment=1) == 2
    await place.loop.drive(acme.tenant.id, run_id, 2)
    assert ended(await place.app.run(acme.member, run_id=run_id))[0] is RunStatus.CANCELLED
    assert place.lines.prompts == []


async def test_a_question_that_is_answered_before_the_run_is_parked_does_not_park_it(
    place: Workplace,
) -> None:
    acme = await place.company()

    async def decide() -> None:
        (question,) = await place.pending(acme.approver)
        await place.app.decide(
            acme.approver, approval_id=question.id, answer=Answer.DENY, digest=question.digest
        )

    async def there() -> bool:
        return bool(await place.pending(acme.approver))

    async def decide_once_asked() -> None:
        await until(there)
        await decide()

    place.bench.hooks["b"] = decide_once_asked
    place.lines.lines = ([use("smash", name="a"), use("push", name="b")], "Done.")
    run_id = await place.app.start_run(acme.member, task="Work.")
    await place.loop.drive(*place.dispatcher.due.popleft())
    run = await place.app.run(acme.member, run_id=run_id)
    assert (run.status, run.segment) == (RunStatus.COMPLETED, 1)


async def test_the_agent_is_offered_its_own_tools_only(urls: Urls, tmp_path: Path) -> None:
    agent = replace(AGENT, tools=("look", "no_such_tool"))
    async with workplace_on(urls, tmp_path, "Done.", agent=agent) as place:
        acme = await place.company()
        await place.run(acme.member, "Look.")
        assert [offer.name for offer in place.lines.prompts[0].tools] == ["look"]


async def test_text_is_shown_as_it_comes_and_a_stream_ends_with_the_run(place: Workplace) -> None:
    shown = asyncio.Event()

    async def speak() -> str:
        await asyncio.wait_for(shown.wait(), 10)
        return "Done."

    place.lines.lines = (speak,)
    acme = await place.company()
    run_id = await place.app.start_run(acme.member, task="Hello?")
    seen: list[str] = []

    async def follow(after: int) -> None:
        stream = place.app.follow(acme.member, run_id=run_id, after=after, poll_seconds=0.01)
        async for one in stream:
            seen.append(type(one).__name__)
            shown.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow(0))
        group.create_task(place.drive())
    assert seen.count("RunEvent") == 3
    last = (await place.app.events(acme.member, run_id=run_id, after=0))[-1].seq
    seen.clear()
    async with asyncio.timeout(20):
        await follow(last)
    assert seen == [], "whoever comes back after the end is not kept waiting"
