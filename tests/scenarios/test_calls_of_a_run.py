"""What becomes of a run's calls: made, refused, failed, unknown, side by side and in order."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.domain.approval import Answer, Approval, ApprovalState, Question
from core.domain.event import EventKind
from core.domain.model import ResultTurn
from core.domain.principal import Role
from core.domain.run import Run, RunStatus
from core.domain.tool import CallState, Failed, Succeeded
from core.errors import InvalidInput, LeaseLost, NotFound, ToolFailed, Unavailable
from core.tools.authoring import Pack
from tests.databases import Urls
from tests.waiting import until
from tests.workshop import (
    HASTY,
    LOOK_COSTS,
    TOOLS,
    Bench,
    Workplace,
    look,
    never,
    pull,
    push,
    use,
    workplace_on,
)
from tests.world import Company

ASK_TO_LOOK = """
@id("looking-is-watched")
@reason("Looking is watched here.")
@approval
permit (principal is User, action == Action::"call", resource is Tool)
when { resource.name == "look" };
"""


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def hasty(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path, tools=HASTY) as made:
        yield made


def failing(*errors: Exception) -> Callable[[], Awaitable[None]]:
    left = list(errors)

    async def fail() -> None:
        if left:
            raise left.pop(0)

    return fail


def codes(run: Run) -> list[str]:
    results = [record.result for step in run.steps for record in step.calls]
    return [one.code if isinstance(one, Failed) else "" for one in results]


def told_to_the_model(place: Workplace) -> list[Any]:  # Any: JSON as the model reads it
    """The results in the last prompt, as the model reads them."""
    turns = [one for one in place.lines.prompts[-1].messages if isinstance(one, ResultTurn)]
    return [json.loads(block.content) for block in turns[-1].results]


async def answer(
    place: Workplace, company: Company, answer: Answer, *, by: str = "approver"
) -> Approval:
    """Have somebody answer the only question there is, and drive on."""
    caller = getattr(company, by)
    (question,) = await place.pending(caller)
    closed = await place.app.decide(
        caller, approval_id=question.id, answer=answer, digest=question.digest
    )
    await place.drive()
    return closed


async def test_invalid_arguments_are_told_to_the_model_and_the_run_goes_on(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("push", name="a", times=99), use("push", what="b")], "Sorry.")
    acme = await place.company()
    run = await place.run(acme.member, "Push.")
    assert run.status is RunStatus.COMPLETED
    assert codes(run) == ["invalid_arguments", "invalid_arguments"]
    first, _ = told_to_the_model(place)
    assert first["error"]["path"] == "times"
    assert "9" in first["error"]["message"]
    assert place.bench.made == []
    assert len(await place.audit(acme.admin, "call.refused")) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ToolFailed("project_archived", project="Inbox"), "project_archived"),
        (InvalidInput("invalid_cursor"), "invalid_cursor"),
        (ValueError("secret"), "tool_error"),
    ],
    ids=["a tool's no", "a refusal", "a bug"],
)
@pytest.mark.parametrize("name", ["look", "push", "fire"])
async def test_a_tool_that_fails_is_a_result_and_the_run_goes_on(
    place: Workplace, name: str, error: Exception, code: str
) -> None:
    place.bench.hooks["a"] = failing(error)
    place.lines.lines = ([use(name, name="a")], "It failed.")
    acme = await place.company()
    run = await place.run(acme.member, "Try.")
    assert (run.status, codes(run)) == (RunStatus.COMPLETED, [code])
    (record,) = await place.calls(acme.member, run)
    assert record.state is CallState.FAILED
    (executed,) = await place.audit(acme.admin, "call.executed")
    assert executed["code"] == code
    assert "secret" not in json.dumps(executed["content"])


async def test_a_part_that_is_missing_for_a_moment_is_tried_again(place: Workplace) -> None:
    place.bench.hooks["a"] = failing(Unavailable("database_unavailable"))
    place.lines.lines = ([use("look", name="a")], "Seen.")
    acme = await place.company()
    assert codes(await place.run(acme.member, "Look.")) == [""]


async def test_a_safe_tool_that_does_not_answer_has_failed(hasty: Workplace) -> None:
    hasty.bench.hooks["a"] = never
    hasty.lines.lines = ([use("look", name="a")], "Too slow.")
    acme = await hasty.company()
    run = await hasty.run(acme.member, "Look.")
    assert codes(run) == ["tool_timeout"]
    assert run.cost_micros == LOOK_COSTS + 2


async def test_an_idempotent_effect_is_tried_three_times_with_one_key_and_then_asked_about(
    hasty: Workplace,
) -> None:
    tried: list[str] = []

    async def hang() -> None:
        tried.append("again")
        await never()

    hasty.bench.hooks["a"] = hang
    hasty.lines.lines = ([use("push", name="a")], "Well.")
    acme = await hasty.company()
    run = await hasty.run(acme.member, "Push.")
    assert run.status is RunStatus.AWAITING_APPROVAL
    assert len(tried) == 3
    (record,) = await hasty.calls(acme.member, run)
    assert (record.state, record.attempts) == (CallState.UNKNOWN, 3)
    (question,) = await hasty.pending(acme.approver)
    assert question.question is Question.OUTCOME
    assert [one["tool"] for one in await hasty.audit(acme.admin, "call.unknown")] == ["push"]
    await answer(hasty, acme, Answer.HAPPENED)
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert run.status is RunStatus.COMPLETED
    (record,) = await hasty.calls(acme.member, run)
    assert isinstance(record.result, Succeeded)
    assert record.result.output["confirmed_by"] == "bob@acme.test"


async def _fire_that_hangs(place: Workplace, name: str = "fire") -> tuple[Company, Run]:
    place.bench.hooks["a"] = never
    place.lines.lines = ([use(name, name="a")], "Well.")
    acme = await place.company()
    return acme, await place.run(acme.member, "Fire.")


async def test_what_may_not_be_repeated_is_asked_about_at_once(hasty: Workplace) -> None:
    acme, run = await _fire_that_hangs(hasty)
    (record,) = await hasty.calls(acme.member, run)
    assert (record.state, record.attempts) == (CallState.UNKNOWN, 1)
    await answer(hasty, acme, Answer.DID_NOT)
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert codes(run) == ["did_not_happen"]
    assert "bob@acme.test" in str(told_to_the_model(hasty))


async def test_a_retry_is_a_new_attempt_and_a_new_question_where_it_hangs_again(
    hasty: Workplace,
) -> None:
    acme, run = await _fire_that_hangs(hasty)
    await answer(hasty, acme, Answer.RETRY)
    (record,) = await hasty.calls(acme.member, run)
    assert (record.state, record.attempts) == (CallState.UNKNOWN, 2)
    del hasty.bench.hooks["a"]
    await answer(hasty, acme, Answer.RETRY)
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert (run.status, hasty.bench.names) == (RunStatus.COMPLETED, ["a"])
    (executed,) = await hasty.audit(acme.admin, "call.executed")
    assert executed["approval"]["how"] == "retry"


IMPATIENT: Pack[Bench] = Pack(
    name="bench",
    tools=tuple(
        replace(one, terms={**one.terms, "timeout_seconds": 0.1}) if one is push else one
        for one in TOOLS.tools
    ),
)


async def test_what_people_say_before_the_run_is_parked_is_about_the_call_as_it_is(
    urls: Urls, tmp_path: Path
) -> None:
    async with workplace_on(urls, tmp_path, tools=IMPATIENT) as place:
        acme = await place.company()

        async def refuse() -> None:
            raise NotFound("not_found", noun="thing")

        async def hang() -> None:
            place.bench.hooks["preview"] = refuse
            await never()

        async def is_asked() -> bool:
            return bool(await place.pending(acme.approver))

        async def retry_once_asked() -> None:
            await until(is_asked)
            del place.bench.hooks["a"]
            (question,) = await place.pending(acme.approver)
            await place.app.decide(
                acme.approver,
                approval_id=question.id,
                answer=Answer.RETRY,
                digest=question.digest,
            )

        place.bench.hooks.update({"a": hang, "b": retry_once_asked})
        place.lines.lines = ([use("push", name="a"), use("look", name="b")], "Done.")
        run = await place.run(acme.member, "Work.")
        assert (run.status, run.segment) == (RunStatus.COMPLETED, 1)
        pushed, _ = await place.calls(acme.member, run)
        assert (pushed.state, pushed.attempts) == (CallState.SUCCEEDED, 4)
        assert len(await place.audit(acme.admin, "call.unknown")) == 1


async def test_a_retry_never_outvotes_the_policy(hasty: Workplace) -> None:
    acme, run = await _fire_that_hangs(hasty)
    del hasty.bench.hooks["a"]
    await hasty.assembly.people.set_tool(acme.tenant.id, tool="fire", enabled=False)
    await answer(hasty, acme, Answer.RETRY)
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert (hasty.bench.made, codes(run)) == ([], ["tool_disabled"])


async def test_a_retry_of_what_needed_approval_is_covered_by_it(hasty: Workplace) -> None:
    acme, run = await _fire_that_hangs(hasty, "smash")
    await answer(hasty, acme, Answer.APPROVE)
    del hasty.bench.hooks["a"]
    await answer(hasty, acme, Answer.RETRY)
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert (run.status, hasty.bench.names) == (RunStatus.COMPLETED, ["a"])


async def test_an_approver_who_is_none_any_more_is_not_enough_for_a_retry(
    hasty: Workplace,
) -> None:
    acme, run = await _fire_that_hangs(hasty, "smash")
    await answer(hasty, acme, Answer.APPROVE)
    del hasty.bench.hooks["a"]
    await hasty.assembly.people.change_roles(
        acme.tenant.id, principal_id=acme.approver.principal.id, roles=[Role.MEMBER]
    )
    await answer(hasty, acme, Answer.RETRY, by="second_approver")
    assert hasty.bench.made == []
    await answer(hasty, acme, Answer.APPROVE, by="second_approver")
    run = await hasty.app.run(acme.member, run_id=run.id)
    assert (run.status, hasty.bench.names) == (RunStatus.COMPLETED, ["a"])


async def test_an_outcome_that_nobody_tells_stays_unknown(hasty: Workplace) -> None:
    acme, run = await _fire_that_hangs(hasty)
    await hasty.app.cancel(acme.member, run_id=run.id)
    (record,) = await hasty.calls(acme.member, run)
    assert isinstance(record.result, Failed)
    assert (record.state, record.result.code) == (CallState.FAILED, "outcome_unknown")
    assert record.settled_at is not None


async def test_a_direct_call_whose_outcome_is_unknown_can_be_made_again_once_its_run_has_ended(
    hasty: Workplace,
) -> None:
    hasty.bench.hooks["a"] = never
    acme = await hasty.company()
    first = await hasty.app.call_tool(acme.member, tool="fire", arguments={"name": "a"})
    await hasty.drive()
    run_id = first.record.call.run_id
    assert run_id is not None
    joined = await hasty.app.call_tool(acme.member, tool="fire", arguments={"name": "a"})
    assert joined.record.call.id == first.record.call.id
    await hasty.app.cancel(acme.member, run_id=run_id)
    del hasty.bench.hooks["a"]
    again = await hasty.app.call_tool(acme.member, tool="fire", arguments={"name": "a"})
    assert again.record.call.id != first.record.call.id
    await hasty.drive()
    assert hasty.bench.names == ["a"]


async def test_a_tool_that_is_switched_off_meanwhile_is_denied(place: Workplace) -> None:
    acme = await place.company()

    async def switch_off() -> None:
        await place.assembly.people.set_tool(acme.tenant.id, tool="push", enabled=False)

    place.bench.hooks["first"] = switch_off
    place.lines.lines = (
        [use("push", name="first")],
        [use("push", name="second"), use("look", name="second")],
        "Well.",
    )
    run = await place.run(acme.member, "Push.")
    assert run.status is RunStatus.COMPLETED
    assert codes(run) == ["", "tool_disabled", ""]
    states = [record.state for record in await place.calls(acme.member, run)]
    assert states[1] is CallState.DENIED
    assert "push" not in [offer.name for offer in place.lines.prompts[-1].tools]
    (refused,) = await place.audit(acme.admin, "call.refused")
    assert (refused["code"], refused["verdict"]) == ("tool_disabled", "deny")


async def test_an_effect_is_judged_again_where_the_configuration_changed_just_before_it(
    place: Workplace,
) -> None:
    acme = await place.company()
    place.lines.lines = ([use("look", name="the thing"), use("push", name="the thing")], "Well.")

    async def switch_off() -> None:
        await place.assembly.people.set_tool(acme.tenant.id, tool="push", enabled=False)

    place.bench.hooks["the thing"] = switch_off
    run = await place.run(acme.member, "Look, then push.")
    assert codes(run) == ["", "tool_disabled"]
    assert place.bench.names == ["the thing"]


async def test_a_configuration_that_never_stands_still_fails_the_drive(place: Workplace) -> None:
    acme = await place.company()
    flips = 0

    async def flip() -> None:
        nonlocal flips
        flips += 1
        on = bool(flips % 2)
        await place.assembly.people.set_tool(acme.tenant.id, tool="other", enabled=on)

    place.bench.hooks["preview"] = flip
    place.lines.lines = ([use("push", name="a")], "Well.")
    run_id = await place.app.start_run(acme.member, task="Push.")
    with pytest.raises(Unavailable) as failure:
        await place.drive()
    assert failure.value.code == "configuration_changing"
    assert (await place.app.run(acme.member, run_id=run_id)).status is RunStatus.RUNNING
    assert place.bench.made == []


async def test_independent_calls_are_made_side_by_side(place: Workplace) -> None:
    barrier = asyncio.Barrier(4)

    async def meet() -> None:
        async with asyncio.timeout(10):
            await barrier.wait()

    names = ["a", "b", "c", "d"]
    place.bench.hooks.update(dict.fromkeys(names, meet))
    uses = [use("push" if name in "ab" else "look", name=name) for name in names]
    place.lines.lines = (uses, "All at once.")
    acme = await place.company()
    run = await place.run(acme.member, "Work.")
    assert (run.status, codes(run)) == (RunStatus.COMPLETED, [""] * 4)
    assert [one["name"] for one in told_to_the_model(place)] == names


async def test_calls_about_the_same_thing_are_made_in_order(place: Workplace) -> None:
    order: list[str] = []

    async def slow() -> None:
        order.append("begin")
        await asyncio.sleep(0.01)
        order.append("end")

    place.bench.hooks["task-0001"] = slow
    place.lines.lines = ([use("push", name="task-0001", times=n) for n in (1, 2, 3)], "Done.")
    acme = await place.company()
    await place.run(acme.member, "Work.")
    assert order == ["begin", "end"] * 3


async def test_what_depends_on_a_question_waits_for_its_answer(place: Workplace) -> None:
    place.lines.lines = (
        [use("smash", name="the thing"), use("push", name="the thing"), use("push", name="b")],
        "Done.",
    )
    acme = await place.company()
    run = await place.run(acme.member, "Work.")
    assert place.bench.names == ["b"]
    await answer(place, acme, Answer.DENY)
    assert place.bench.names == ["b", "the thing"], "what was denied stands in nobody's way"
    run = await place.app.run(acme.member, run_id=run.id)
    assert codes(run) == ["denied", "", ""]


async def test_one_worker_s_error_does_not_break_off_the_others(place: Workplace) -> None:
    both = asyncio.Event()

    async def lose() -> None:
        both.set()
        raise LeaseLost("lease_lost")

    async def finish() -> None:
        await both.wait()
        await asyncio.sleep(0.02)

    place.bench.hooks.update({"a": lose, "b": finish})
    place.lines.lines = ([use("push", name="a"), use("push", name="b")], "Never said.")
    acme = await place.company()
    await place.app.start_run(acme.member, task="Work.")
    with pytest.raises(LeaseLost):
        await place.drive()
    assert place.bench.names == ["b"]


async def test_a_rule_that_asks_about_a_safe_tool_is_obeyed_everywhere(
    urls: Urls, tmp_path: Path
) -> None:
    line = [use("look", name="a")]
    async with workplace_on(urls, tmp_path, line, "Seen.", rules=ASK_TO_LOOK) as place:
        acme = await place.company()
        run = await place.run(acme.member, "Look.")
        assert run.status is RunStatus.AWAITING_APPROVAL
        (question,) = await place.pending(acme.approver)
        assert len(question.digest) == 64, "an answer is bound to this call and no other"
        with pytest.raises(Exception, match="needs_approval"):
            await place.app.call_tool(acme.member, tool="look", arguments={"name": "a"})
        assert place.bench.made == []
        await answer(place, acme, Answer.APPROVE)
        assert place.bench.names == ["a"]
        (refused,) = await place.audit(acme.admin, "call.refused")
        assert refused["code"] == "needs_approval"


async def _die_in(place: Workplace, name: str, company: Company) -> Run:
    """Have the worker die in the middle of the call, and another take the run over."""
    begun = asyncio.Event()

    async def die() -> None:
        begun.set()
        await never()

    place.bench.hooks[name] = die
    run_id = await place.app.start_run(company.member, task="Work.")
    driving = asyncio.ensure_future(place.drive())
    await begun.wait()
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving
    del place.bench.hooks[name]
    segment = await place.assembly.driven_runs.requeue(company.tenant.id, run_id=run_id, segment=1)
    assert segment == 2
    await place.dispatcher.enqueue(company.tenant.id, run_id=run_id, segment=segment)
    return await place.app.run(company.member, run_id=run_id)


async def test_a_call_under_way_in_a_crash_is_repeated_with_its_key_where_that_is_harmless(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("push", name="a")], "Done.")
    acme = await place.company()
    run = await _die_in(place, "a", acme)
    await place.drive()
    run = await place.app.run(acme.member, run_id=run.id)
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Done.")
    (record,) = await place.calls(acme.member, run)
    assert (record.attempts, len(place.bench.made)) == (2, 1)
    assert len(place.lines.prompts) == 2, "the answer that was stored is not asked for again"


async def test_a_call_under_way_in_a_crash_is_asked_about_where_it_is_not(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("fire", name="a")], "Done.")
    acme = await place.company()
    run = await _die_in(place, "a", acme)
    await place.drive()
    assert (await place.app.run(acme.member, run_id=run.id)).status is RunStatus.AWAITING_APPROVAL
    events = await place.app.events(acme.member, run_id=run.id, after=0)
    assert [one.kind for one in events].count(EventKind.CALL_UNKNOWN) == 1
    await answer(place, acme, Answer.HAPPENED)
    assert place.bench.made == []


@pytest.mark.parametrize("enabled", [True, False])
async def test_after_a_crash_the_policy_is_asked_again_before_anything_is_repeated(
    place: Workplace, *, enabled: bool
) -> None:
    place.lines.lines = ([use("push", name="a")], "Done.")
    acme = await place.company()
    run = await _die_in(place, "a", acme)
    await place.assembly.people.set_tool(acme.tenant.id, tool="push", enabled=enabled)
    await place.drive()
    run = await place.app.run(acme.member, run_id=run.id)
    assert (run.status is RunStatus.COMPLETED) is enabled
    assert bool(place.bench.made) is enabled


NONE_OF_IT: Pack[Bench] = Pack(name="bench", tools=(look,))


RENEWED: Pack[Bench] = Pack(
    name="bench", tools=(look, replace(push, terms={**push.terms, "version": 2}), pull)
)


async def test_a_call_under_way_whose_tool_means_something_else_now_is_asked_about(
    urls: Urls, tmp_path: Path, place: Workplace
) -> None:
    line = [use("push", name="a")]
    place.lines.lines = (line, "Done.")
    acme = await place.company()
    run = await _die_in(place, "a", acme)
    async with workplace_on(urls, tmp_path, line, "Done.", tools=RENEWED) as later:
        await later.loop.drive(acme.tenant.id, run.id, 2)
        (question,) = await later.pending(acme.approver)
        assert question.question is Question.OUTCOME
        assert later.bench.made == []


async def test_a_call_under_way_whose_tool_is_gone_is_never_known(
    urls: Urls, tmp_path: Path, place: Workplace
) -> None:
    line = [use("push", name="a")]
    place.lines.lines = (line, "Done.")
    acme = await place.company()
    run = await _die_in(place, "a", acme)
    async with workplace_on(urls, tmp_path, line, "Done.", tools=NONE_OF_IT) as later:
        await later.loop.drive(acme.tenant.id, run.id, 2)
        run = await later.app.run(acme.member, run_id=run.id)
        assert codes(run) == ["outcome_unknown"]
        assert await later.audit(acme.admin, "call.refused") == []
        (unknown,) = await later.audit(acme.admin, "call.unknown")
        assert unknown["code"] == "outcome_unknown"


async def test_an_approved_call_under_way_in_a_crash_is_asked_about_once_more(
    place: Workplace,
) -> None:
    place.lines.lines = ([use("smash", name="a")], "Done.")
    acme = await place.company()
    run = await place.run(acme.member, "Smash.")
    begun = asyncio.Event()

    async def die() -> None:
        begun.set()
        await never()

    place.bench.hooks["a"] = die
    (question,) = await place.pending(acme.approver)
    await place.app.decide(
        acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )
    driving = asyncio.ensure_future(place.drive())
    await begun.wait()
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving
    segment = await place.assembly.driven_runs.requeue(acme.tenant.id, run_id=run.id, segment=2)
    assert segment == 3
    await place.loop.drive(acme.tenant.id, run.id, segment)
    (outcome,) = await place.pending(acme.approver)
    assert outcome.question is Question.OUTCOME
    assert outcome.digest != question.digest
    closed = await answer(place, acme, Answer.HAPPENED)
    assert closed.state is ApprovalState.APPROVED
