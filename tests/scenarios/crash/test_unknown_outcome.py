"""A call that may or may not have happened is never repeated by itself: people say what became."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.domain.approval import Answer, Approval, ApprovalState, Question
from core.domain.run import RunStatus
from core.domain.tool import CallState
from core.errors import InvalidInput
from tests.databases import Urls
from tests.scenarios.crash.fate import Moment
from tests.scenarios.crash.processes import Journey, exit_of
from tests.scenarios.crash.receipts import SCRIPT, Ledger, PayingAssembly
from tests.scenarios.crash.scene import Scene, scene_on
from tests.waiting import until
from tests.world import Company


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """When the worker dies, what somebody says became of it, and what comes of that."""

    moment: Moment
    answer: Answer
    result: str
    payments: int
    state: CallState


AFTER = Moment(boundary="effect", when="after")
BEFORE = Moment(boundary="effect", when="before")

CASES = (
    Case(
        moment=AFTER,
        answer=Answer.HAPPENED,
        result="Paid.",
        payments=1,
        state=CallState.SUCCEEDED,
    ),
    Case(
        moment=BEFORE,
        answer=Answer.DID_NOT,
        result="Not paid: did_not_happen",
        payments=0,
        state=CallState.FAILED,
    ),
    Case(moment=BEFORE, answer=Answer.RETRY, result="Paid.", payments=1, state=CallState.SUCCEEDED),
)


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT, kind=PayingAssembly) as made:
        yield made


async def _asked(scene: Scene, company: Company) -> Approval:
    """Wait for the question what became of the call, and return it."""
    found: list[Approval] = []

    async def is_asked() -> bool:
        shown, _ = await scene.door.approvals(
            company.approver, state=ApprovalState.PENDING, before=None, limit=10
        )
        found.extend(shown)
        return bool(shown)

    await until(is_asked, seconds=60)
    return found[0]


async def test_a_payment_cut_off_is_settled_by_people_and_made_at_most_once(scene: Scene) -> None:
    await scene.processes.start_ready(scene.life)
    companies = [await scene.world.company(case.answer.value.replace("_", "-")) for case in CASES]
    for case, company in zip(CASES, companies, strict=True):
        await _die_paying(scene, company, moment=case.moment)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_asked(scene, company)) for company in companies]
    paid_before = len(_ledger(scene).payments())

    for case, company, asking in zip(CASES, companies, asked, strict=True):
        await _settle(scene, company, case=case, question=asking.result())

    assert paid_before == 1
    assert len(_ledger(scene).payments()) == sum(case.payments for case in CASES)
    for company in companies:
        assert await scene.audit_problems(company.tenant) == []


async def _die_paying(scene: Scene, company: Company, *, moment: Moment) -> None:
    tenant_id = company.tenant.id
    life = replace(
        scene.life,
        moment=moment,
        journey=Journey(
            tenant_id=tenant_id,
            member=company.member.principal.id,
            approver=company.approver.principal.id,
            task=f"Please pay for {tenant_id}",
        ),
    )
    assert await exit_of(scene.processes.start(life)) == -signal.SIGKILL


async def _settle(scene: Scene, company: Company, *, case: Case, question: Approval) -> None:
    """Have somebody say what became of it, and look at what comes of that."""
    door = scene.door
    assert question.question is Question.OUTCOME
    view = await door.call(company.member, call_id=question.call_id)
    assert view.record.state is CallState.UNKNOWN
    with pytest.raises(InvalidInput, match="wrong_answer"):
        await door.decide(
            company.approver,
            approval_id=question.id,
            answer=Answer.APPROVE,
            digest=question.digest,
        )
    await door.decide(
        company.approver, approval_id=question.id, answer=case.answer, digest=question.digest
    )
    await scene.approve_until_ended(company)
    run = await door.run(company.member, run_id=question.run_id)
    assert (run.status, run.result) == (RunStatus.COMPLETED, case.result)
    call = run.steps[0].calls[0]
    assert call.state is case.state
    assert call.attempts == (2 if case.answer is Answer.RETRY else 1)


def _ledger(scene: Scene) -> Ledger:
    return Ledger(scene.life.folder)
