"""The story, acted through real front doors; a step is true only where it was seen to happen."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from uuid import UUID

from core.domain.approval import Answer
from core.domain.audit_chain import Verification
from core.domain.event import EventKind, RunEvent, TextChunk
from core.domain.ids import RunId
from core.domain.run import RunStatus
from sallyport.demo.people import DUPLICATE, PROJECT
from sallyport.demo.stage import Stage, Word
from sallyport.demo.visitor import Body, Visitor
from sallyport.terminal import dollars, preview_of

STEPS = (
    "alice_asked",
    "safe_calls_passed",
    "cautious_call_passed",
    "delete_stopped_at_the_door",
    "preview_shown",
    "other_company_sees_nothing",
    "self_approval_refused",
    "bob_approved",
    "task_deleted",
    "result_with_cost",
    "decision_in_the_audit",
    "audit_verified",
    "undo_brought_it_back",
    "mcp_answers",
)

_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
_SETTLED = frozenset({EventKind.CALL_SUCCEEDED, EventKind.CALL_FAILED, EventKind.CALL_DENIED})
_STILL_OPEN = frozenset({"pending_approval", "running"})
_READS = frozenset({"list_projects", "search_documents", "list_tasks_in_project"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is at the front door; ``model`` is the client that Alice has connected over MCP."""

    alice: Visitor
    bob: Visitor
    carol: Visitor
    dave: Visitor
    model: Visitor


class Story:
    """One telling. ``steps`` holds what has been seen so far."""

    def __init__(
        self,
        cast: Cast,
        *,
        stage: Stage,
        today: date,
        verify: Callable[[], Awaitable[Verification]],
    ) -> None:
        """Take who plays and where; ``verify`` checks the audit of Alice's company."""
        self._cast = cast
        self._stage = stage
        self._today = today
        self._verify = verify
        self._teller = stage.teller()
        self._settled: Counter[str] = Counter()
        self._asked: Body = {}
        self.steps: dict[str, bool] = dict.fromkeys(STEPS, False)
        self.run_id: RunId | None = None
        self.audit_records = 0

    async def tell(self) -> None:
        """Act it from the first act to the last; Undo has nothing to do where Bob says no."""
        run_id = await self._alice_asks()
        await self._stopped(run_id)
        await self._nobody_else(run_id)
        word = await self._bob_decides()
        await self._ends(run_id)
        await self._audit(run_id, word)
        if word.answer is Answer.APPROVE:
            await self._undo(run_id)
        await self._mcp()

    async def _alice_asks(self) -> RunId:
        task = (
            f'Clean up the project "{PROJECT}", as of {self._today}, '
            f'without the duplicate "{DUPLICATE}".'
        )
        self._stage.act("Alice asks, the agent plans")
        tools = (await self._cast.alice.get("/tools")).body["items"]
        ask = sum(tool["risk"] in {"destructive", "irreversible"} for tool in tools)
        self._stage.says(
            "can",
            f"use {len(tools)} tools as Alice: {len(tools) - ask} at once, "
            f"{ask} only if somebody else agrees",
            style="blue",
        )
        self._stage.says("alice", task, style="magenta")
        started = await self._cast.alice.post("/runs", {"task": task})
        self.steps["alice_asked"] = started.status == HTTPStatus.ACCEPTED
        self.run_id = run_id = RunId(UUID(started.body["run_id"]))
        return run_id

    async def _stopped(self, run_id: RunId) -> None:
        """Follow the run until it waits for people."""
        await self._follow(run_id, until=lambda: bool(self._asked))
        self.steps["safe_calls_passed"] = self._settled.keys() >= _READS
        self.steps["cautious_call_passed"] = self._settled["create_task"] > 0
        self.steps["delete_stopped_at_the_door"] = (
            self._asked.get("tool") == "delete_task" and DUPLICATE in await self._titles()
        )
        self._stage.act("The door shows what it would change")
        question = (await self._cast.bob.get(f"/approvals/{self._approval_id}")).body
        self._asked["digest"] = question["digest"]
        self.steps["preview_shown"] = any(
            change["before"] == DUPLICATE and change["after"] is None
            for change in question["preview"]["changes"]
        )
        self._stage.shows(preview_of(question["preview"]))
        self._stage.says("needs", "Bob or Carol of acme; Alice may not say yes to herself")
        self._stage.says("next", "the agent goes on by itself once somebody has decided")

    async def _nobody_else(self, run_id: RunId) -> None:
        """Have Dave and Alice try what they may not."""
        self._stage.act("Two who may not")
        digest = self._asked["digest"]
        decision = {"decision": "approve", "digest": digest}
        tries = (
            await self._cast.dave.get(f"/runs/{run_id}"),
            await self._cast.dave.get(f"/approvals/{self._approval_id}"),
            await self._cast.dave.post(f"/approvals/{self._approval_id}/decision", decision),
        )
        self.steps["other_company_sees_nothing"] = all(
            each.status == HTTPStatus.NOT_FOUND for each in tries
        )
        self._stage.says(
            "dave", "of globex, an admin there, looks for the run by its id", style="red"
        )
        self._stage.says("door", f"{tries[0].status}: {tries[0].body['detail']}", style="red")
        refused = await self._cast.alice.post(f"/approvals/{self._approval_id}/decision", decision)
        still = (await self._cast.bob.get(f"/approvals/{self._approval_id}")).body["state"]
        self.steps["self_approval_refused"] = (
            refused.status == HTTPStatus.FORBIDDEN and still == "pending"
        )
        self._stage.says("alice", "tries to approve it herself", style="red")
        self._stage.says("door", f"{refused.status}: {refused.body['detail']}", style="red")

    async def _bob_decides(self) -> Word:
        self._stage.act("Bob decides, the agent goes on")
        word = await self._stage.bob_decides()
        decided = await self._cast.bob.post(
            f"/approvals/{self._approval_id}/decision",
            {"decision": word.answer, "digest": self._asked["digest"], "reason": word.reason},
        )
        self.steps["bob_approved"] = decided.body.get("state") == "approved"
        return word

    async def _ends(self, run_id: RunId) -> None:
        await self._follow(run_id, until=lambda: False)
        run = (await self._cast.alice.get(f"/runs/{run_id}")).body
        self.steps["task_deleted"] = DUPLICATE not in await self._titles()
        spent = sum(step["cost_micros"] for step in run["steps"])
        self.steps["result_with_cost"] = (
            run["status"] == RunStatus.COMPLETED and bool(run["result"]) and spent > 0
        )
        left = dollars(run["budget_micros"] - run["cost_micros"])
        self._stage.says("cost", f"{dollars(run['cost_micros'])}, {left} of its budget unspent")

    async def _audit(self, run_id: RunId, word: Word) -> None:
        self._stage.act("Everything is in the audit")
        found = await self._sealed()
        self.audit_records = found.records
        self.steps["audit_verified"] = found.ok and found.sealed == found.records > 0
        records = (await self._cast.carol.get("/audit?limit=100")).body["items"]
        decisions = [
            record["content"]
            for record in records
            if record["run_id"] == str(run_id) and record["action"] == "approval.decided"
        ]
        self.steps["decision_in_the_audit"] = any(
            told["by"] == "bob@acme.test" and told["answer"] == word.answer for told in decisions
        )
        self._stage.says(
            "audit",
            f"{found.records} records in {found.blocks} signed blocks; "
            + ("nothing is wrong" if found.ok else f"{len(found.problems)} problems"),
            style="green" if found.ok else "red",
        )

    async def _undo(self, run_id: RunId) -> None:
        self._stage.act("Undo")
        run = (await self._cast.alice.get(f"/runs/{run_id}")).body
        calls = {call["tool"]: call["call_id"] for step in run["steps"] for call in step["calls"]}
        self._stage.says("alice", "takes the deletion back", style="magenta")
        undone = (await self._cast.alice.post(f"/calls/{calls['delete_task']}/undo", {})).body
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while undone.get("status") in _STILL_OPEN:
                await asyncio.sleep(_LOOK_SECONDS)
                undone = (await self._cast.alice.get(f"/calls/{undone['call_id']}")).body
        back = DUPLICATE in await self._titles()
        self.steps["undo_brought_it_back"] = undone.get("status") == "succeeded" and back
        there = "is there again" if back else "is still gone"
        self._stage.says("done", f'"{DUPLICATE}" {there}', style="green" if back else "red")

    async def _mcp(self) -> None:
        listed = (await self._cast.model.mcp("tools/list")).body
        names = {tool["name"] for tool in listed.get("result", {}).get("tools", ())}
        self.steps["mcp_answers"] = "delete_task" in names

    async def _follow(self, run_id: RunId, *, until: Callable[[], bool]) -> None:
        """Tell what happens in the run until it ends, or waits for people and ``until`` is true."""
        while True:
            events = self._cast.alice.events(run_id, after=self._teller.seq)
            async with aclosing(events) as following:
                async for event in following:
                    self._note(event)
                    if until() and await self._told_all(run_id):
                        return
            status = (await self._cast.alice.get(f"/runs/{run_id}")).body["status"]
            if RunStatus(status).is_final:
                return

    def _note(self, event: RunEvent | TextChunk) -> None:
        self._teller.tell(event)
        if isinstance(event, TextChunk):
            return
        if event.kind in _SETTLED:
            self._settled[str(event.data["tool"])] += event.kind is EventKind.CALL_SUCCEEDED
        if event.kind is EventKind.APPROVAL_ASKED:
            self._asked = dict(event.data)

    async def _told_all(self, run_id: RunId) -> bool:
        """Return whether every call is told of that was settled before the run came to rest."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                run = (await self._cast.alice.get(f"/runs/{run_id}")).body
                if RunStatus(run["status"]) is not RunStatus.RUNNING:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
        calls = [call for step in run["steps"] for call in step["calls"]]
        settled = sum(call["status"] not in _STILL_OPEN for call in calls)
        return self._settled.total() >= settled

    async def _titles(self) -> set[str]:
        """Return what is to do in the project, as Alice sees it now."""
        projects = await self._call("list_projects", {})
        ids = {project["name"]: project["id"] for project in projects["projects"]}
        found = await self._call("list_tasks_in_project", {"project_id": ids[PROJECT], "limit": 50})
        return {task["title"] for task in found["tasks"]}

    async def _call(self, tool: str, arguments: Body) -> Body:
        made = await self._cast.alice.post(f"/tools/{tool}/calls", {"arguments": arguments})
        result: Body = made.body["result"]
        return result

    async def _sealed(self) -> Verification:
        """Return how the audit is once all of it is sealed, or at the end of our patience."""
        found = await self._verify()
        for _ in range(int(_PATIENCE_SECONDS / _LOOK_SECONDS)):
            if not found.waiting:
                break
            await asyncio.sleep(_LOOK_SECONDS)
            found = await self._verify()
        return found

    @property
    def _approval_id(self) -> str:
        return str(self._asked["approval_id"])
