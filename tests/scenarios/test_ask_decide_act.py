"""The main job: a person asks, the door judges, another person decides, the agent goes on."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.domain.approval import Answer, ApprovalState
from core.domain.event import EventKind
from core.domain.run import RunStatus
from core.domain.tool import CallState, Failed, Succeeded
from tests.databases import Urls
from tests.world import World, world_on

SCRIPT = """
scripts:
  - match: (?i)delete "(?P<title>[^"]+)"
    turns:
      - say: I look for it.
        calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - say: It needs somebody's approval.
        calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=@match.title].id }}"
      - when: {tool: delete_task, outcome: denied}
        say: "It was not approved: ${{ results.delete_task.error.reason }}"
      - when: {tool: delete_task, outcome: expired}
        say: Nobody decided in time.
      - when: {tool: delete_task}
        say: Deleted.
"""


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def test_an_approved_delete_happens_once_and_the_run_goes_on(world: World) -> None:
    acme = await world.company()
    run = await world.run(acme.member, 'Please delete "Old draft"')
    assert run.status is RunStatus.AWAITING_APPROVAL
    (question,) = await world.pending(acme.approver)
    assert question.preview["target"]
    await world.app.decide(
        acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )
    await world.drive()
    run = await world.app.run(acme.member, run_id=run.id)
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    deleted = run.steps[2].calls[0]
    assert deleted.state is CallState.SUCCEEDED
    assert isinstance(deleted.result, Succeeded)
    listed = await world.app.call_tool(
        acme.member,
        tool="list_tasks_in_project",
        arguments={"project_id": str(acme.project_id)},
    )
    assert isinstance(listed.record.result, Succeeded)
    titles = [task["title"] for task in listed.record.result.output["tasks"]]  # type: ignore[index]
    assert titles == ["Write the report", "Call the customer"]
    kinds = [event.kind for event in await world.app.events(acme.member, run_id=run.id, after=0)]
    assert kinds[0] is EventKind.STARTED
    assert kinds[-1] is EventKind.COMPLETED
    assert kinds.count(EventKind.APPROVAL_ASKED) == 1


async def test_a_denial_reaches_the_model_with_its_reason_and_the_run_goes_on(
    world: World,
) -> None:
    acme = await world.company()
    run = await world.run(acme.member, 'Please delete "Old draft"')
    (question,) = await world.pending(acme.approver)
    closed = await world.app.decide(
        acme.approver,
        approval_id=question.id,
        answer=Answer.DENY,
        digest=question.digest,
        reason="we still need it",
    )
    assert closed.state is ApprovalState.DENIED
    await world.drive()
    run = await world.app.run(acme.member, run_id=run.id)
    assert run.result == "It was not approved: we still need it"
    refused = run.steps[2].calls[0]
    assert refused.state is CallState.DENIED
    assert isinstance(refused.result, Failed)


async def test_a_deleted_task_is_brought_back_by_undo_and_only_once(world: World) -> None:
    acme = await world.company()
    run = await world.run(acme.member, 'Please delete "Old draft"')
    (question,) = await world.pending(acme.approver)
    await world.app.decide(
        acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )
    await world.drive()
    run = await world.app.run(acme.member, run_id=run.id)
    call = run.steps[2].calls[0].call
    undone = await world.app.undo(acme.member, call_id=call.id)
    await world.drive()
    view = await world.app.call(acme.member, call_id=undone.record.call.id)
    assert view.record.state is CallState.SUCCEEDED
