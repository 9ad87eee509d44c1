import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.canonical import Json
from core.domain.model import AssistantTurn, ModelAnswer, ResultTurn, StopReason, ToolUse, UserText
from core.llm.prices import PriceTable
from core.llm.scripted import ScriptedModel
from tests.unit.llm.conversations import (
    Listener,
    SettableClock,
    error,
    names,
    prompt,
    result_of,
    turn_of,
)

CLEAN_UP = r"""
scripts:
  - name: clean up
    match: (?i)delete the task "(?P<title>[^"]+)"
    turns:
      - say: I look at the projects first.
        thinking: Which project?
        calls:
          - {tool: list_projects}
      - calls:
          - tool: list_tasks
            arguments: {project_id: "${{ results.list_projects.projects[0].id }}"}
          - tool: list_tasks
            arguments: {project_id: "${{ results.list_projects.projects[name=Web].id }}"}
      - say: Now "${{ match.title }}".
        calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks[0].tasks[title=@match.title].id }}"
      - when: {tool: delete_task, outcome: denied}
        say: They said no.
      - when: {tool: delete_task, outcome: expired}
        say: Nobody answered; I tell Bob.
        calls:
          - {tool: send_message, arguments: {to: bob}}
        then:
          - say: Bob knows.
      - when: {tool: delete_task, code: not_found}
        say: It was gone already.
      - when: {tool: delete_task, outcome: failed}
        say: "It failed: ${{ results.delete_task.error.code }}."
      - when: {tool: delete_task}
        say: Deleted ${{ results.delete_task.task_id }}.
  - contains: HELLO
    turns:
      - say: Hello yourself.
"""
TASK = 'Please delete the task "Old draft".'
PROJECTS: Json = {"projects": [{"id": "p1", "name": "Inbox"}, {"id": "p2", "name": "Web"}]}
TASKS: Json = {"tasks": [{"id": "t1", "title": "New"}, {"id": "t2", "title": "Old draft"}]}


def scripted(script: str = CLEAN_UP, *, clock: SettableClock | None = None) -> ScriptedModel:
    clock = clock or SettableClock()

    async def sleep(seconds: float) -> None:
        clock.passed += seconds
        await asyncio.sleep(0)

    return ScriptedModel(script, prices=PriceTable(), clock=clock, sleep=sleep)


async def play(
    model: ScriptedModel, *rounds: Sequence[Json], task: str = TASK
) -> list[ModelAnswer]:
    """Let ``model`` answer, feeding it the results of each round in turn."""
    messages: list[UserText | AssistantTurn | ResultTurn] = [UserText(text=task)]
    answers = [await model.answer(prompt(*messages), on_text=Listener())]
    for contents in rounds:
        messages += [turn_of(answers[-1]), result_of(answers[-1], *contents)]
        answers.append(await model.answer(prompt(*messages), on_text=Listener()))
    return answers


async def test_turns_follow_each_other_and_take_their_values_from_results() -> None:
    first, second, third, last = await play(
        scripted(), [PROJECTS], [TASKS, {"tasks": []}], [{"task_id": "t2", "deleted": True}]
    )
    assert (first.text, first.thinking, names(first)) == (
        "I look at the projects first.",
        "Which project?",
        ["list_projects"],
    )
    assert first.stop is StopReason.CALLS
    assert [call.arguments for call in second.calls] == [{"project_id": "p1"}, {"project_id": "p2"}]
    assert third.text == 'Now "Old draft".'
    assert third.calls[0].arguments == {"task_id": "t2"}
    assert (last.text, last.calls, last.stop) == ("Deleted t2.", (), StopReason.DONE)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("denied", "They said no."),
        ("policy_denied", "They said no."),
        ("changed_too_often", "They said no."),
        ("not_found", "It was gone already."),
        ("tool_timeout", "It failed: tool_timeout."),
    ],
)
async def test_a_script_reacts_to_how_a_call_ended(code: str, said: str) -> None:
    answers = await play(scripted(), [PROJECTS], [TASKS, TASKS], [error(code)])
    assert answers[-1].text == said


async def test_a_branch_has_turns_of_its_own_and_skips_the_others() -> None:
    answers = await play(
        scripted(), [PROJECTS], [TASKS, TASKS], [error("expired")], [{"message_id": "m"}]
    )
    assert names(answers[-2]) == ["send_message"]
    assert answers[-1].text == "Bob knows."


async def test_after_a_branch_comes_what_stands_behind_it() -> None:
    model = scripted("""
scripts:
  - contains: go
    turns:
      - calls: [{tool: a}]
      - when: {tool: a, outcome: failed}
        calls: [{tool: b}]
        then:
          - calls: [{tool: c}]
          - when: {tool: c, outcome: failed}
            say: c failed
            calls: [{tool: d}]
      - say: The end.
""")
    ok: Json = {}
    bad = error("broken")
    straight = await play(model, [ok], task="go")
    assert straight[-1].text == "The end."
    around = await play(model, [bad], [ok], [ok], task="go")
    assert [names(answer) for answer in around] == [["a"], ["b"], ["c"], []]
    deep = await play(model, [bad], [ok], [bad], [ok], task="go")
    assert [names(answer) for answer in deep] == [["a"], ["b"], ["c"], ["d"], []]
    assert deep[-1].text == "The end."


async def test_a_call_that_was_never_made_fits_no_when() -> None:
    model = scripted("""
scripts:
  - contains: go
    turns:
      - when: {tool: a}
        say: a was called
      - say: a was not
""")
    assert (await play(model, task="go"))[-1].text == "a was not"


async def test_the_same_prompt_has_the_same_answer_in_any_process() -> None:
    once = await play(scripted(), [PROJECTS], [TASKS, TASKS])
    again = await play(scripted(), [PROJECTS], [TASKS, TASKS])
    assert once == again


async def test_the_place_is_found_when_older_turns_were_pruned() -> None:
    answers = await play(scripted(), [PROJECTS], [TASKS, TASKS])
    pruned = prompt(TASK, turn_of(answers[1]), result_of(answers[1], TASKS, TASKS))
    answer = await scripted().answer(pruned, on_text=Listener())
    assert (answer.text, answer.calls) == (answers[2].text, answers[2].calls)


async def test_turns_of_another_model_count_as_turns() -> None:
    foreign = AssistantTurn(
        text="", calls=(ToolUse(handle="toolu_9", name="list_projects", arguments={}),)
    )
    answered = replace(
        (await play(scripted()))[0], calls=foreign.calls
    )  # so that the result bears the other's handle
    asked = prompt(TASK, foreign, result_of(answered, PROJECTS))
    answer = await scripted().answer(asked, on_text=Listener())
    assert [call.arguments for call in answer.calls] == [{"project_id": "p1"}, {"project_id": "p2"}]


async def test_a_turn_without_calls_is_followed_by_the_next() -> None:
    model = scripted("""
scripts:
  - contains: go
    turns: [{say: one}, {say: two}]
""")
    asked = prompt("go", AssistantTurn(text="one"), "and then?")
    assert (await model.answer(asked, on_text=Listener())).text == "two"
    asked = prompt("go", AssistantTurn(text="one"), "?", AssistantTurn(text="two"), "?")
    assert "all that my script holds" in (await model.answer(asked, on_text=Listener())).text


async def test_a_handle_of_a_longer_script_that_was_replaced_ends_the_script() -> None:
    made = AssistantTurn(text="", calls=(ToolUse(handle="call_99_0", name="a", arguments={}),))
    answer = await scripted().answer(prompt(TASK, made), on_text=Listener())
    assert answer.stop is StopReason.DONE
    assert "all that my script holds" in answer.text


async def test_an_unknown_task_is_told_what_the_script_knows() -> None:
    answer = (await play(scripted(), task="Book a flight"))[0]
    assert answer.stop is StopReason.DONE
    assert "clean up, HELLO" in answer.text


async def test_contains_ignores_case_and_regex_signs() -> None:
    model = scripted("scripts: [{contains: 'A.B?', turns: [{say: Aye}]}]")
    assert (await play(model, task="so a.b? then"))[0].text == "Aye"
    assert (await play(model, task="so aXb then"))[0].text != "Aye"


async def test_a_value_that_is_not_there_ends_the_run_politely() -> None:
    answers = await play(scripted(), [{"projects": []}])
    assert answers[-1].stop is StopReason.DONE
    assert "results.list_projects.projects[0].id" in answers[-1].text


async def test_values_keep_their_json_type_alone_and_become_text_inside_text() -> None:
    model = scripted("""
scripts:
  - match: go (?P<who>\\w+)(?P<maybe>!)?
    turns:
      - calls: [{tool: a}]
      - say: "n=${{ results.a.n }} all=${{ results.a[0].list }} ${{ task }}"
        calls:
          - tool: b
            arguments:
              n: ${{ results.a.n }}
              list: ["${{ results.a.list[-1] }}", 7, 1.5, true, null, "x${{ match.who }}"]
              flagged: ${{ results.a.rows[flag=true].id }}
              day: 2026-03-01
              text: ${{ results.a.text }}
""")
    result: Json = {
        "n": 3,
        "list": [1, {"k": "v"}],
        "rows": [{"id": 1, "flag": False}, "odd", {"id": 2, "flag": True}],
        "text": "t",
    }
    answer = (await play(model, [result], task="go bob"))[-1]
    assert answer.text == 'n=3 all=[1,{"k":"v"}] go bob'
    assert answer.calls[0].arguments == {
        "n": 3,
        "list": [{"k": "v"}, 7, 1.5, True, None, "xbob"],
        "flagged": 2,
        "day": "2026-03-01",
        "text": "t",
    }


@pytest.mark.parametrize(
    "reference",
    [
        "results.b.x",
        "results.a[4].n",
        "results.a.n.deeper",
        "results.a.list[9]",
        "results.a.list.key",
        "results.a.list[title=x]",
        "results.a.missing",
        "results.a[0].n[0]",
        "match.maybe",
        "match.none",
    ],
)
async def test_whatever_a_reference_misses_it_is_named(reference: str) -> None:
    model = scripted(f"""
scripts:
  - match: go(?P<maybe>!)?
    turns:
      - calls: [{{tool: a}}]
      - say: ${{{{ {reference} }}}}
""")
    answer = (await play(model, [{"n": 1, "list": [{"title": "y"}]}], task="go"))[-1]
    assert reference in answer.text
    assert answer.stop is StopReason.DONE


async def test_a_result_that_is_no_json_is_text() -> None:
    model = scripted("""
scripts:
  - contains: go
    turns:
      - calls: [{tool: a}]
      - when: {tool: a, outcome: denied}
        say: denied
      - when: {tool: a, outcome: failed}
        say: "failed: ${{ results.a }}"
""")
    first = await model.answer(prompt("go"), on_text=Listener())
    turn = result_of(first, error("x"))
    for content in ("plain words", "[]"):
        block = replace(turn.results[0], content=content)
        asked = prompt("go", turn_of(first), ResultTurn(results=(block,)))
        answer = await model.answer(asked, on_text=Listener())
        assert answer.text == f"failed: {content}"


async def test_text_with_a_delay_comes_word_by_word_and_is_whole() -> None:
    listener = Listener()
    turn = "{say: ' One  two\n\nthree ', delay_ms: 30}"
    model = scripted(f"scripts: [{{contains: go, turns: [{turn}]}}]", clock=SettableClock())
    answer = await model.answer(prompt("go"), on_text=listener)
    assert len(listener.heard) == 3
    assert listener.text == answer.text


@pytest.mark.parametrize(
    "turn", ["say: one two, delay_ms: 500", "calls: [{tool: a}], delay_ms: 500"]
)
async def test_a_delay_is_spread_over_the_turn_and_counted(turn: str) -> None:
    clock = SettableClock()
    model = scripted(f"scripts: [{{contains: go, turns: [{{{turn}}}]}}]", clock=clock)
    answer = await model.answer(prompt("go"), on_text=Listener())
    assert (clock.passed, answer.duration_ms) == (0.5, 500)


async def test_an_answer_past_the_limit_is_cut_off_and_calls_nothing() -> None:
    model = scripted(
        "scripts: [{contains: go, turns: [{say: one two three four, calls: [{tool: a}]}]}]"
    )
    listener = Listener()
    answer = await model.answer(prompt("go", max_output_tokens=2), on_text=listener)
    assert (answer.text, answer.calls, answer.stop) == ("one two ", (), StopReason.LENGTH)
    assert answer.usage.output_tokens == 2
    assert listener.text == answer.text


async def test_it_costs_something_so_that_budgets_can_be_seen_at_work() -> None:
    answer = (await play(scripted()))[0]
    assert answer.cost_micros == answer.price.cost_micros(answer.usage) > 0
    assert (answer.provider, answer.model, answer.price.model) == ("scripted",) * 3


async def test_the_guides_example_runs() -> None:
    guide = Path(__file__).parents[3] / "docs" / "guides" / "scripted-model.md"
    example = guide.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    tasks: Json = {"tasks": [{"id": "t1", "title": "Old draft"}]}
    projects: Json = {"projects": [{"id": "p1", "name": "Inbox"}]}
    answers = await play(scripted(example), [projects], [tasks], [error("expired")], [{}])
    assert answers[2].calls[0].arguments == {"task_id": "t1"}
    assert answers[-1].text == "Bob knows."
