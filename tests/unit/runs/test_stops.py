"""When a run must stop, and what is said then."""

from dataclasses import replace

import pytest

from core.domain.model import StopReason, ToolUse
from core.domain.run import RunStatus, Step
from core.domain.tool import Failed, Succeeded
from core.errors import RunStopped
from core.runs.stops import cause_of, check_answer, check_before_asking, status_of
from tests.nouns import AGENT, a_run, a_step, an_answer

DONE = Succeeded(output={})
INVENTED = Failed(code="unknown_tool", message="There is no such tool.")


def stop_of(steps: list[Step], *, max_steps: int = 20) -> RunStopped | None:
    try:
        check_before_asking(a_run(agent=replace(AGENT, max_steps=max_steps)), steps=steps)
    except RunStopped as stop:
        return stop
    return None


def same(count: int, *, first: int = 1) -> list[Step]:
    return [a_step(first + at, DONE, arguments={"b": 1, "a": [1]}) for at in range(count)]


def test_five_identical_calls_in_a_row_are_stuck_and_four_are_not() -> None:
    assert stop_of(same(4)) is None
    stop = stop_of(same(5))
    assert stop is not None
    assert (stop.code, stop.facts["tool"], stop.facts["times"]) == ("stuck", "look", 5)


def test_five_identical_calls_at_once_are_stuck() -> None:
    stop = stop_of([a_step(1, *[DONE] * 5)])
    assert stop is not None
    assert stop.code == "stuck"


def test_anything_else_between_them_is_progress() -> None:
    other = a_step(5, DONE, arguments={"a": [2], "b": 1})
    assert stop_of([*same(4), other, *same(4, first=6)]) is None


def test_the_order_of_arguments_is_no_progress() -> None:
    turned = [a_step(at, DONE, arguments={"a": [1], "b": 1}) for at in (5, 6)]
    stop = stop_of([*same(3), *turned])
    assert stop is not None
    assert stop.code == "stuck"


def test_one_invented_tool_is_told_to_the_model_and_the_second_stops_the_run() -> None:
    once = a_step(1, INVENTED, tool="make_coffee")
    assert stop_of([once]) is None
    stop = stop_of([once, a_step(2, DONE), a_step(3, INVENTED, tool="make_tea")])
    assert stop is not None
    assert (stop.code, stop.facts["tool"]) == ("unknown_tools", "make_coffee, make_tea")


def test_the_step_limit_is_the_number_of_answers() -> None:
    steps = [a_step(at, DONE, arguments={"at": at}) for at in range(3)]
    assert stop_of(steps, max_steps=4) is None
    stop = stop_of(steps, max_steps=3)
    assert stop is not None
    assert (stop.code, stop.facts["max_steps"]) == ("max_steps", 3)


@pytest.mark.parametrize(
    ("stop", "has_calls", "code"),
    [
        (StopReason.DONE, False, None),
        (StopReason.CALLS, True, None),
        (StopReason.LENGTH, True, None),
        (StopReason.LENGTH, False, "model_truncated"),
        (StopReason.REFUSED, False, "model_refused"),
        (StopReason.REFUSED, True, "model_refused"),
    ],
)
def test_an_answer_that_is_no_result_stops_the_run(
    stop: StopReason, *, has_calls: bool, code: str | None
) -> None:
    calls = (ToolUse(handle="h", name="look", arguments={}),) if has_calls else ()
    answer = an_answer("Half a", *calls, stop=stop)
    if code is None:
        check_answer(answer, run=a_run())
        return
    with pytest.raises(RunStopped) as stopped:
        check_answer(answer, run=a_run())
    assert stopped.value.code == code


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("budget_exceeded", RunStatus.BUDGET_EXCEEDED),
        ("cancelled", RunStatus.CANCELLED),
        ("max_steps", RunStatus.FAILED),
        ("stuck", RunStatus.FAILED),
        ("model_refused", RunStatus.FAILED),
    ],
)
def test_each_stop_has_its_status_and_its_words(code: str, status: RunStatus) -> None:
    stop = RunStopped(code, budget="$0.50", max_steps=3, times=5)
    assert status_of(stop) is status
    cause = cause_of(stop)
    assert cause.code == code
    assert cause.message.endswith(".")
    assert "{" not in cause.message
