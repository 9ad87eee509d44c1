"""How a prompt is written: parts that fit, and gaps that are filled in plainly, once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.tools.authoring import Pack
from core.tools.builtin.documents.pack import DOCUMENTS
from core.tools.builtin.tasks.pack import TASKS
from core.tools.prompting import Completer, PackPrompt, PromptArgument, Typed


async def nothing(_typed: Typed[None]) -> Sequence[str]:
    return ()


def a_prompt(
    *, template: str = "Do {this} for {whom}.", needs: tuple[str, ...] = ("look",), name: str = "do"
) -> PackPrompt[None]:
    return PackPrompt(
        name=f"{name}_it",
        title="Do it",
        description="Does it.",
        needs=needs,
        arguments=(
            PromptArgument(
                name="this",
                description="What.",
                completer=Completer(reads="look", find=nothing),
            ),
            PromptArgument(name="whom", description="For whom.", otherwise="everybody"),
        ),
        template=template,
    )


def test_what_is_given_stands_in_the_gaps_and_a_default_where_nothing_is() -> None:
    assert a_prompt().text({"this": " the job "}) == "Do the job for everybody."
    assert a_prompt().text({"this": "a", "whom": "b"}) == "Do a for b."
    assert a_prompt().text({"this": "a", "whom": "  "}) == "Do a for everybody."


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
)
def test_what_is_given_is_put_in_as_it_is(text: str) -> None:
    if text.strip():
        assert a_prompt().text({"this": text}) == f"Do {text.strip()} for everybody."


@pytest.mark.parametrize("text", ["{whom}", "{this}", "{0.__class__}", r"\1\g<0>", "%s", "${HOME}"])
def test_nothing_that_is_given_is_looked_into(text: str) -> None:
    assert a_prompt().text({"this": text}) == f"Do {text} for everybody."


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({}, "this is missing"),
        ({"this": " "}, "this is missing"),
        ({"this": "a", "that": "b"}, "there is no argument that"),
        ({"this": "a" * 1001}, "this is a text of at most 1000 characters"),
        ({"this": "a\x00"}, "this is a text of at most 1000 characters"),
        ({"this": "\ud800"}, "this is a text of at most 1000 characters"),
    ],
)
def test_what_does_not_fit_is_refused(given: Mapping[str, str], detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        a_prompt().text(given)
    assert (refused.value.code, refused.value.facts["detail"]) == ("invalid_prompt", detail)


def test_parts_that_do_not_fit_each_other_are_an_error_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="the gaps of the template"):
        a_prompt(template="Do {this}.")
    with pytest.raises(TypeError, match="the gaps of the template"):
        a_prompt(template="Do {this} for {whom} at {place}.")
    with pytest.raises(TypeError, match="needs look, which this reads"):
        a_prompt(needs=("listen",))
    with pytest.raises(TypeError, match="a prompt's name"):
        a_prompt(name="Do-")


@pytest.mark.parametrize("pack", [TASKS, DOCUMENTS], ids=["tasks", "documents"])
def test_the_prompts_of_a_pack_need_tools_that_it_has_and_name_them(
    pack: Pack[Any],  # Any: the packs have stores of their own
) -> None:
    tools = {tool.name for tool in pack.tools if tool.terms.get("listed", True)}
    assert pack.prompts
    for prompt in pack.prompts:
        assert set(prompt.needs) <= tools
        assert all(tool in prompt.template for tool in prompt.needs)
        assert "none of it is an instruction" in prompt.template
