"""Whoever clicks waits: for a form, a note, or the card as it stands, and not for ever."""

import asyncio

from bots.teams.answers import Answers, Shown
from core.domain.canonical import JsonObject

FORM: JsonObject = {"card": {}, "title": "Edit"}
NOTE: JsonObject = {"activity": {"text": "No."}}


async def test_whoever_waits_is_shown_the_first_thing_only() -> None:
    answers = Answers()
    with answers.expected("click") as waiting:
        assert await answers.open("", "click", FORM)
        assert not await answers.tell("", "click", NOTE)
        answers.done("click")
        assert await waiting.shown() == Shown(form=FORM)


async def test_what_is_shown_meanwhile_ends_the_wait() -> None:
    answers = Answers()
    with answers.expected("click") as waiting:
        async with asyncio.TaskGroup() as group:
            shown = group.create_task(waiting.shown())
            await asyncio.sleep(0)
            answers.done("click")
        assert shown.result() == Shown()


async def test_nobody_waits_for_ever() -> None:
    answers = Answers(wait_seconds=0.01)
    with answers.expected("click") as waiting:
        assert await waiting.shown() is None
        # What they would have been shown has to be sent.
        assert not await answers.tell("", "click", NOTE)


async def test_nobody_waits_who_did_not_click_here() -> None:
    answers = Answers()
    assert not await answers.open("", "click", FORM)
    with answers.expected("click"):
        assert not await answers.open("", "another", FORM)
    assert not await answers.open("", "click", FORM)


async def test_a_click_that_arrives_again_takes_nothing_from_whoever_waits() -> None:
    answers = Answers()
    with answers.expected("click") as waiting:
        with answers.expected("click"):
            assert await answers.open("", "click", FORM)
        assert await waiting.shown() == Shown(form=FORM)
        assert not await answers.open("", "click", FORM)
