"""An effect that has happened is told as such, however often its answer was lost on the way."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from core.domain.approval import Answer, Approval, Question
from core.domain.canonical import JsonObject
from core.domain.permit import PermittedCall
from core.domain.principal import Caller, Role
from core.domain.run import CallRecord, Run, RunStatus
from core.domain.tool import Preview, Succeeded, Tool, ToolCall, ToolResult
from core.errors import Unavailable
from core.ports import ToolBox
from sallyport.assembly import Assembly
from tests.databases import Urls
from tests.scenarios.test_one_decision import SCRIPT
from tests.world import Company, World, world_on

_ATTEMPTS = 3
"""A call that is cut off so often is not repeated any more without people."""


class LossyToolBox:
    """The ToolBox port on a line that breaks just after a deletion, ``breaks`` times."""

    def __init__(self, toolbox: ToolBox) -> None:
        self._toolbox = toolbox
        self.breaks = 0

    def tools(self) -> Sequence[Tool]:
        return self._toolbox.tools()

    def find(self, name: str) -> Tool | None:
        return self._toolbox.find(name)

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        return self._toolbox.checked_arguments(tool, arguments)

    async def preview(self, call: ToolCall) -> Preview | None:
        return await self._toolbox.preview(call)

    async def call(self, permitted: PermittedCall) -> ToolResult:
        result = await self._toolbox.call(permitted)
        if permitted.tool.name == "delete_task" and self.breaks:
            self.breaks -= 1
            raise Unavailable("database_unavailable")
        return result


class Lossy(Assembly):
    """The application with tools whose answers get lost."""

    def build_toolbox(self) -> LossyToolBox:
        return LossyToolBox(super().build_toolbox())


class Deletion:
    """A run whose deletion is approved, and driven until it ends or people are asked."""

    def __init__(self, world: World, acme: Company, run: Run) -> None:
        self.world = world
        self.acme = acme
        self._run = run

    async def cut_off(self, times: int) -> Run:
        """Drive on as a worker does, on a line that breaks so often just after the effect."""
        toolbox = self.world.assembly.toolbox
        assert isinstance(toolbox, LossyToolBox)
        toolbox.breaks = times
        due = self.world.dispatcher.due.popleft()
        for _ in range(times):
            with pytest.raises(Unavailable):
                await self.world.loop.drive(*due)
        await self.world.loop.drive(*due)
        return await self.run()

    async def run(self) -> Run:
        return await self.world.app.run(self.acme.member, run_id=self._run.id)

    async def call(self) -> CallRecord:
        return (await self.run()).steps[2].calls[0]

    async def question(self) -> Approval:
        """Return the one question that is open."""
        (question,) = await self.world.pending(self.acme.admin)
        return question

    async def answer(self, by: Caller, answer: Answer) -> Run:
        """Have somebody answer the question that is open, and drive on."""
        question = await self.question()
        await self.world.app.decide(
            by, approval_id=question.id, answer=answer, digest=question.digest
        )
        await self.world.drive()
        return await self.run()

    async def demote_the_approver(self) -> None:
        await self.world.assembly.people.change_roles(
            self.acme.tenant.id,
            principal_id=self.acme.approver.principal.id,
            roles=[Role.MEMBER],
        )


@pytest.fixture
async def deletion(urls: Urls, tmp_path: Path) -> AsyncGenerator[Deletion]:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=Lossy) as world:
        acme = await world.company()
        made = Deletion(world, acme, await world.run(acme.member, "Please delete the old draft"))
        question = await made.question()
        await world.app.decide(
            acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
        )
        yield made


@pytest.mark.parametrize("times", range(_ATTEMPTS))
async def test_an_effect_cut_off_is_told_under_its_key_and_nobody_is_asked_again(
    deletion: Deletion, times: int
) -> None:
    run = await deletion.cut_off(times)

    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    call = await deletion.call()
    assert isinstance(call.result, Succeeded)
    assert call.attempts == times + 1


@pytest.mark.parametrize("times", range(_ATTEMPTS))
async def test_a_repeated_call_is_kept_with_the_preview_that_people_saw(
    deletion: Deletion, times: int
) -> None:
    before = await deletion.call()

    await deletion.cut_off(times)

    after = await deletion.call()
    assert (after.preview, after.digest) == (before.preview, before.digest)
    assert after.preview is not None
    assert after.preview["changes"]


async def test_an_effect_cut_off_too_often_is_told_once_somebody_lets_it_be_tried_again(
    deletion: Deletion,
) -> None:
    before = await deletion.call()
    run = await deletion.cut_off(_ATTEMPTS)
    assert run.status is RunStatus.AWAITING_APPROVAL
    question = await deletion.question()
    assert question.question is Question.OUTCOME
    assert question.preview == before.preview, "who is to say what became of it sees what it was"

    run = await deletion.answer(deletion.acme.approver, Answer.RETRY)

    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")


async def test_an_effect_that_happened_is_told_although_its_approval_has_to_be_given_anew(
    deletion: Deletion,
) -> None:
    await deletion.cut_off(_ATTEMPTS)
    await deletion.demote_the_approver()
    acme = deletion.acme

    run = await deletion.answer(acme.second_approver, Answer.RETRY)
    assert run.status is RunStatus.AWAITING_APPROVAL
    assert (await deletion.question()).question is Question.PERMIT
    run = await deletion.answer(acme.second_approver, Answer.APPROVE)

    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    assert isinstance((await deletion.call()).result, Succeeded)
