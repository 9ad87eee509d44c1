"""Agents that act for people: runs, questions and the audit name all; rights stay theirs."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.approval import Answer
from core.errors import Forbidden
from tests.databases import Urls
from tests.workshop import use, workplace_on

ACTOR = "writer for planner on behalf of alice@acme.test"


async def test_the_audit_names_who_acted_for_whom(urls: Urls, tmp_path: Path) -> None:
    async with workplace_on(urls, tmp_path, [use("smash", name="a")], "Done.") as place:
        acme = await place.company()
        agent = replace(acme.member, actors=("writer", "planner"))
        run = await place.run(agent, "Smash it.")
        assert (run.actor, run.requester) == (ACTOR, acme.member.principal)
        (approval,) = await place.pending(acme.approver)
        await place.app.decide(
            acme.approver, approval_id=approval.id, answer=Answer.APPROVE, digest=approval.digest
        )
        await place.drive()
        await place.app.call_tool(agent, tool="look", arguments={"name": "b"})
        with pytest.raises(Forbidden):
            await place.app.decide(
                agent, approval_id=approval.id, answer=Answer.APPROVE, digest=approval.digest
            )
        told = {record["action"]: record["actor"] for record in await place.audit(acme.admin)}
        acted = ("run.started", "approval.asked", "call.executed")
        assert {action: told[action] for action in acted} == dict.fromkeys(acted, ACTOR)


async def test_who_acts_for_nobody_is_named_alone(urls: Urls, tmp_path: Path) -> None:
    async with workplace_on(urls, tmp_path, "Done.") as place:
        acme = await place.company()
        run = await place.run(acme.member, "Say hello.")
        assert run.actor == ""
        (started, *_) = await place.audit(acme.admin, "run.started")
        assert started["actor"] == "alice@acme.test"
