"""Attempts of one company on another's things, through whichever front door."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

import psycopg
from hypothesis import strategies as st
from psycopg import sql

from core.domain.approval import Answer
from core.domain.ids import ApprovalId, CallId, RunId
from core.domain.principal import Caller
from core.errors import SallyportError
from core.words import sentence_of
from tests.databases import Urls
from tests.world import Company, World

THEIRS: Final = "<their id>"
"""Stands for an id of the other company's, wherever it is put."""

SCRIPT = """
scripts:
  - match: read (?P<id>[0-9a-f-]{36})
    turns:
      - calls: [{tool: read_document, arguments: {document_id: "${{ match.id }}"}}]
      - say: "It says: ${{ results.read_document }}"
  - match: list (?P<id>[0-9a-f-]{36})
    turns:
      - calls: [{tool: list_tasks_in_project, arguments: {project_id: "${{ match.id }}"}}]
      - say: "There are: ${{ results.list_tasks_in_project }}"
  - match: delete (?P<id>[0-9a-f-]{36})
    turns:
      - calls: [{tool: delete_task, arguments: {task_id: "${{ match.id }}"}}]
      - say: "It came to: ${{ results.delete_task }}"
"""


class Way(StrEnum):
    """What the attacker asks for."""

    CALL = "call a tool"
    DRY_RUN = "look what a tool would do"
    START_RUN = "have the agent do it"
    SEE_RUN = "see a run"
    SEE_EVENTS = "see what happened in a run"
    FOLLOW = "follow a run"
    CANCEL = "cancel a run"
    SEE_CALL = "see a call"
    UNDO = "undo a call"
    SEE_APPROVAL = "see an approval"
    APPROVE = "approve a call"
    DENY = "deny a call"
    LISTS = "list everything"


TOOL_CALLS: Sequence[tuple[str, Mapping[str, object]]] = (
    ("list_projects", {}),
    ("list_tasks_in_project", {"project_id": THEIRS}),
    ("create_task", {"project_id": THEIRS, "title": "Mine now"}),
    ("update_task_status", {"task_id": THEIRS, "status": "done"}),
    ("assign_task", {"task_id": THEIRS, "assignee": THEIRS}),
    ("delete_task", {"task_id": THEIRS}),
    ("send_message_to_user", {"recipient": THEIRS, "text": "Hello."}),
    ("search_documents", {"query": "secret"}),
    ("read_document", {"document_id": THEIRS}),
    ("write_document", {"document_id": THEIRS, "title": "Mine", "content": "Mine now"}),
    ("delete_document", {"document_id": THEIRS}),
    ("restore_task", {"task_id": THEIRS}),
)
OWN_TASK: Sequence[tuple[str, Mapping[str, object]]] = (
    ("assign_task", {"assignee": THEIRS}),
    ("create_task", {"title": "Mine", "assignee": THEIRS}),
    ("list_tasks_in_project", {"assignee": THEIRS}),
)
"""Calls on a thing of one's own that name a thing of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: ``place`` chooses which of the other company's ids stands in it."""

    way: Way
    role: str
    tool: int
    place: int
    is_nested: bool
    on_own: bool


ATTEMPTS = st.builds(
    Attempt,
    way=st.sampled_from(Way),
    role=st.sampled_from(["member", "approver", "admin"]),
    tool=st.integers(0, 11),
    place=st.integers(0, 40),
    is_nested=st.booleans(),
    on_own=st.booleans(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A company full of things that say its name, and the ids of all of them."""

    company: Company
    name: str
    ids: Mapping[str, tuple[UUID, ...]]
    digests: Mapping[UUID, str]

    @property
    def every_id(self) -> tuple[UUID, ...]:
        return tuple(one for kind in self.ids.values() for one in kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimed:
    """An attempt with everything filled in, for a front door to make."""

    way: Way
    caller: Caller
    tool: str
    arguments: Mapping[str, Any]  # Any: JSON that is to be wrong
    target: UUID
    digest: str


class FrontDoor(Protocol):
    """A way in. Whatever comes back is returned as text: answers, errors, headers."""

    async def make(self, attempt: Aimed) -> str:
        """Make the attempt, wait until nothing is under way any more, and return what came back."""
        ...


class AppDoor:
    """No front door at all: what they all stand before."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def make(self, attempt: Aimed) -> str:
        try:
            told = repr(await self._asked(attempt))
        except SallyportError as error:
            told = " ".join([repr(error), str(error), sentence_of(error), repr(error.__cause__)])
        await self._world.drive()
        runs = await self._world.app.runs(attempt.caller, before=None, limit=3)
        seen = [await self._world.app.run(attempt.caller, run_id=one.id) for one in runs]
        return told + repr(seen)

    async def _asked(self, attempt: Aimed) -> object:  # noqa: C901, PLR0911 - one line a way
        app, who, target = self._world.app, attempt.caller, attempt.target
        match attempt.way:
            case Way.CALL:
                return await app.call_tool(who, tool=attempt.tool, arguments=attempt.arguments)
            case Way.DRY_RUN:
                return await app.dry_run(who, tool=attempt.tool, arguments=attempt.arguments)
            case Way.START_RUN:
                return await app.start_run(who, task=task_of(attempt))
            case Way.SEE_RUN:
                return await app.run(who, run_id=RunId(target))
            case Way.SEE_EVENTS:
                return await app.events(who, run_id=RunId(target), after=0)
            case Way.FOLLOW:
                return await anext(app.follow(who, run_id=RunId(target)))
            case Way.CANCEL:
                return await app.cancel(who, run_id=RunId(target))
            case Way.SEE_CALL:
                return await app.call(who, call_id=CallId(target))
            case Way.UNDO:
                return await app.undo(who, call_id=CallId(target))
            case Way.SEE_APPROVAL:
                return await app.approval(who, approval_id=ApprovalId(target))
            case Way.APPROVE | Way.DENY as way:
                return await app.decide(
                    who,
                    approval_id=ApprovalId(target),
                    answer=Answer.APPROVE if way is Way.APPROVE else Answer.DENY,
                    digest=attempt.digest,
                )
            case Way.LISTS:
                return [
                    await app.runs(who, before=None, limit=50),
                    await app.approvals(who, state=None, before=None, limit=50),
                    await app.tools(who),
                    await app.reports.usage(who),
                    await app.reports.audit(who),
                ]


def task_of(attempt: Aimed) -> str:
    """Return a task that makes the scripted model name the target in a call."""
    verb = ("read", "list", "delete")[len(attempt.tool) % 3]
    return f"Please {verb} {attempt.target}."


def aim(attempt: Attempt, *, attacker: Planted, victim: Planted) -> Aimed:
    """Fill in an attempt."""
    target = victim.every_id[attempt.place % len(victim.every_id)]
    if attempt.on_own:
        tool, wanted = OWN_TASK[attempt.tool % len(OWN_TASK)]
        own: dict[str, object] = {"task_id": str(attacker.ids["task"][0])}
        if tool != "assign_task":
            own = {"project_id": str(attacker.ids["project"][0])}
        wanted = own | dict(wanted)
    else:
        tool, wanted = TOOL_CALLS[attempt.tool]
    arguments = {name: str(target) if value == THEIRS else value for name, value in wanted.items()}
    if attempt.is_nested:
        arguments["also"] = [{"ids": [str(one) for one in victim.every_id]}]
    return Aimed(
        way=attempt.way,
        caller=getattr(attacker.company, attempt.role),
        tool=tool,
        arguments=arguments,
        target=target,
        digest=victim.digests.get(target, "0" * 64),
    )


async def plant(world: World, name: str) -> Planted:
    """Make a company of that name with something of everything, each saying the name."""
    company = await world.company(name)
    app, member = world.app, company.member
    created = await app.call_tool(
        member,
        tool="create_task",
        arguments={"project_id": str(company.project_id), "title": f"secret of {name}"},
    )
    written = await app.call_tool(
        member,
        tool="write_document",
        arguments={"title": f"secret of {name}", "content": f"the secret of {name}"},
    )
    await world.drive()
    output: Any = (await app.call(member, call_id=written.record.call.id)).record.result
    document = UUID(output.output["document"]["id"])
    listed = await app.call_tool(
        member,
        tool="list_tasks_in_project",
        arguments={"project_id": str(company.project_id)},
    )
    task = company.task_ids[0]
    done = await world.run(member, f"For {name}: read {document}.")
    waiting = await world.run(member, f"For {name}: delete {task}.")
    denied = await world.run(member, f"For {name}: delete {company.task_ids[1]}.")
    for question in await world.pending(company.approver):
        if question.run_id == denied.id:
            await app.decide(
                company.approver,
                approval_id=question.id,
                answer=Answer.DENY,
                digest=question.digest,
                reason=f"because {name} needs it",
            )
    await world.drive()
    asked, _ = await app.approvals(company.admin, state=None, before=None, limit=50)
    people = (company.member, company.approver, company.second_approver, company.admin)
    calls = [created.record.call.id, written.record.call.id, listed.record.call.id]
    calls += [one.call_id for one in asked]
    return Planted(
        company=company,
        name=name,
        ids={
            "tenant": (company.tenant.id,),
            "run": (done.id, waiting.id, denied.id),
            "call": tuple(calls),
            "approval": tuple(one.id for one in asked),
            "project": (company.project_id,),
            "task": company.task_ids,
            "document": (document,),
            "person": tuple(one.principal.id for one in people),
        },
        digests={one.id: one.digest for one in asked},
    )


def everything_of(urls: Urls, company: Company) -> str:
    """Return every row that the company has, in every table, as text."""
    tenant_id = company.tenant.id
    kept: dict[str, object] = {}
    with psycopg.connect(urls.privileged) as connection:
        tables = connection.execute(
            """select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                 and a.attname = 'tenant_id' order by 1"""
        ).fetchall()
        for (table,) in tables:
            query = sql.SQL("select to_jsonb(t) from {} t where tenant_id = %s order by t::text")
            rows = connection.execute(query.format(sql.Identifier(table)), [tenant_id])
            kept[table] = rows.fetchall()
    return json.dumps(kept, ensure_ascii=False)
