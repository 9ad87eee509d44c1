"""Views of one small story, as surfaces show them: Alice asks, Bob and Beth decide."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from bots.arguments import arguments_of
from bots.views import (
    Ability,
    ApprovalView,
    HomeView,
    Line,
    Mark,
    RunSummary,
    RunView,
    Source,
    Stage,
    Suggestion,
    Undoable,
    Voice,
)
from core.domain.approval import Answer, ApprovalState, Edit, GrantScope, Question
from core.domain.ids import ApprovalId, CallId, RunId
from core.domain.principal import Role
from core.domain.tool import Change, Preview, Risk
from core.domain.verdict import Approvers
from tests.nouns import NOON

ALICE, BETH, BOB = "alice@acme.test", "beth@acme.test", "bob@acme.test"
PAGE = "https://agents.acme.test/console/approvals/5a11f0e7"

_RUN = RunId(UUID(int=11))
_CALL = CallId(UUID(int=12))
_DIGEST = "3fa9c07d51be" + "0" * 52

WORKING = RunView(
    run_id=_RUN,
    task="Clean up the Website relaunch project: delete what nobody needs any more",
    stage=Stage.WORKING,
    lines=(
        Line(id="1", title="Looked for the project", mark=Mark.DONE, detail="Website relaunch"),
        Line(id="2", title="Read its tasks", mark=Mark.DONE, detail="14 tasks"),
        Line(id="3", title="Search the documents for “old banner”", mark=Mark.DOING),
    ),
    text="",
    cost_micros=4_200,
    budget_micros=500_000,
)

WAITING = replace(
    WORKING,
    stage=Stage.WAITING,
    lines=(
        *WORKING.lines[:2],
        Line(id="3", title="Searched the documents for “old banner”", mark=Mark.DONE),
        Line(id="4", title="Delete the task “Old banner”", mark=Mark.WAITING),
    ),
    text="The task *Old banner* is a leftover of last year; no document mentions it.",
    needs="An approver has to allow that the task “Old banner” is deleted. They have been asked.",
    cost_micros=6_900,
)

DONE = replace(
    WAITING,
    stage=Stage.DONE,
    lines=(
        *WAITING.lines[:3],
        Line(id="4", title="Deleted the task “Old banner”", mark=Mark.DONE, detail="Bob approved"),
        Line(id="5", title="Delete the task “Legal texts”", mark=Mark.REFUSED, detail="Bob denied"),
    ),
    text=(
        "I went through the 14 tasks of **Website relaunch**:\n\n"
        "- **Old banner** is deleted. It was a leftover of last year.\n"
        "- **Legal texts** stays: Bob says that the lawyers still need it.\n"
        "- The other 12 are in use.\n\n"
        "The next one due is *Choose a typeface*, on Friday."
    ),
    needs="",
    sources=(
        Source(title="Website relaunch: what is left", url="https://docs.acme.test/relaunch"),
        Source(title="Project “Website relaunch”, 14 tasks"),
    ),
    undoable=(Undoable(call_id=_CALL, summary="Bring the task “Old banner” back"),),
    cost_micros=11_300,
    asks_feedback=True,
)

STOPPED = replace(
    WORKING,
    stage=Stage.STOPPED,
    lines=(
        *WORKING.lines[:2],
        Line(id="3", title="Search the documents", mark=Mark.FAILED, detail="cannot be reached"),
    ),
    problem="The run has used its budget of $0.50 and was stopped.",
    cost_micros=500_000,
)

OPEN = ApprovalView(
    approval_id=ApprovalId(UUID(int=21)),
    run_id=_RUN,
    call_id=_CALL,
    question=Question.PERMIT,
    state=ApprovalState.PENDING,
    tool="delete_task",
    risk=Risk.DESTRUCTIVE,
    requester=ALICE,
    summary="Delete the task “Old banner”.",
    target="“Old banner” in Website relaunch",
    changes=(
        Change(field="title", before="Old banner", after=None),
        Change(field="status", before="todo", after=None),
        Change(field="assignee", before=BETH, after=None),
        Change(field="due_date", before="2025-03-01", after=None),
    ),
    reversible=True,
    why="It is a leftover of last year: no document mentions it, and nobody has touched it since.",
    reason="Deleting needs an approver.",
    approvers="2 different approvers",
    needed=2,
    voices=(Voice(by=BETH, answer=Answer.APPROVE, at=NOON),),
    digest=_DIGEST,
    cost_micros=0,
    expires_at=NOON + timedelta(days=7),
    url=PAGE,
    scopes=(GrantScope.ONCE, GrantScope.RUN),
    may_edit=True,
    mention=("U0BOB12345",),
    reminded=1,
)

FRESH = replace(
    OPEN,
    tool="update_task_status",
    risk=Risk.CAUTIOUS,
    summary="Set the task “Choose a typeface” to done.",
    target="“Choose a typeface” in Website relaunch",
    changes=(Change(field="status", before="doing", after="done"),),
    why="",
    reason="Alice is new here, so an approver looks over what she changes.",
    approvers="an approver",
    needed=1,
    voices=(),
    mention=(),
    reminded=0,
    may_edit=False,
    scopes=(GrantScope.ONCE,),
)

IRREVERSIBLE = replace(
    OPEN,
    tool="send_message_to_user",
    risk=Risk.IRREVERSIBLE,
    summary=f"Send a message to {BETH}.",
    target=BETH,
    changes=(Change(field="text", before=None, after="Hello Beth,\nmay *Old banner* go?\nAlice"),),
    reversible=False,
    voices=(),
    needed=1,
    approvers="an approver",
    escalated_to="an admin",
    reminded=2,
    edited_by=BOB,
)

APPROVED = replace(
    OPEN,
    state=ApprovalState.APPROVED,
    voices=(
        *OPEN.voices,
        Voice(
            by=BOB,
            answer=Answer.APPROVE,
            at=NOON + timedelta(minutes=9),
            reason="Agreed: we replaced it in spring.",
        ),
    ),
    closed_at=NOON + timedelta(minutes=9),
)

DENIED = replace(
    FRESH,
    state=ApprovalState.DENIED,
    voices=(Voice(by=BOB, answer=Answer.DENY, at=NOON, reason="The lawyers still need it."),),
    closed_at=NOON,
)

EXPIRED = replace(FRESH, state=ApprovalState.EXPIRED, closed_at=FRESH.expires_at)

WITHDRAWN = replace(FRESH, state=ApprovalState.WITHDRAWN, closed_at=NOON)

UNKNOWN = replace(OPEN, question=Question.OUTCOME, voices=(), needed=1, approvers="an approver")

HAPPENED = replace(
    UNKNOWN,
    state=ApprovalState.APPROVED,
    voices=(Voice(by=BOB, answer=Answer.HAPPENED, at=NOON, reason="It is gone, I looked."),),
    closed_at=NOON,
)

CREATE = replace(
    FRESH,
    tool="create_task",
    summary="Create the task “Choose a typeface” in Website relaunch.",
    target="Website relaunch",
    changes=(
        Change(field="title", before=None, after="Choose a typeface"),
        Change(field="priority", before=None, after="high"),
    ),
    may_edit=True,
)

SCHEMA = {
    "type": "object",
    "$defs": {"Priority": {"type": "string", "enum": ["low", "normal", "high", "urgent"]}},
    "properties": {
        "title": {"type": "string", "maxLength": 200, "description": "What is to be done."},
        "priority": {"$ref": "#/$defs/Priority", "description": "How much it presses."},
        "due_date": {
            "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
            "description": "The day it is due.",
        },
        "effort": {"type": "integer", "description": "In hours."},
        "share": {"type": ["number", "null"]},
        "urgent": {"type": "boolean"},
        "labels": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "labels"],
}
ARGUMENTS = {
    "title": "Choose a typeface",
    "priority": "high",
    "due_date": "2026-11-27",
    "effort": 3,
    "share": 0.5,
    "urgent": False,
    "labels": ["design", "web"],
}

_TOOLS = (
    Ability(tool="list_projects", what="List the projects you may see.", risk=Risk.SAFE),
    Ability(tool="search_documents", what="Search your company's documents.", risk=Risk.SAFE),
    Ability(tool="create_task", what="Create a task in a project.", risk=Risk.CAUTIOUS),
)

HOME = HomeView(
    person="carol@acme.test",
    company="acme",
    can=_TOOLS,
    asks=(
        Ability(
            tool="delete_task",
            what="Delete one task from its project.",
            risk=Risk.DESTRUCTIVE,
            asks="an approver",
        ),
        Ability(
            tool="send_message_to_user",
            what="Send a message to a colleague.",
            risk=Risk.IRREVERSIBLE,
            asks="an approver",
        ),
    ),
    cannot=(
        Ability(
            tool="delete_document",
            what="Delete a document.",
            risk=Risk.DESTRUCTIVE,
            enabled=False,
        ),
    ),
    runs=(
        RunSummary(
            run_id=_RUN,
            task="What is due this week?",
            status="completed",
            cost_micros=3_100,
            created_at=NOON,
        ),
        RunSummary(
            run_id=_RUN,
            task="Clean up the Website relaunch project",
            status="awaiting_approval",
            cost_micros=6_900,
            created_at=NOON,
        ),
    ),
    questions=(replace(FRESH, requester=ALICE),),
    spent_micros=48_200,
    suggestions=(
        Suggestion(title="What is due?", task="What is due this week, and who does it?"),
        Suggestion(title="Write a summary", task="Summarise the project Website relaunch."),
    ),
    switches=(
        *_TOOLS[:1],
        Ability(
            tool="delete_document",
            what="Delete a document.",
            risk=Risk.DESTRUCTIVE,
            enabled=False,
        ),
    ),
    url="https://agents.acme.test/console",
)

OFFERED = arguments_of(SCHEMA)

SAYING = replace(WORKING, text="I have read the 14 tasks of **Website relaunch**. Now I look at ")

EDITED = Edit(
    arguments={**ARGUMENTS, "priority": "urgent"},
    preview=Preview(
        summary="Create the task “Choose a typeface” in Website relaunch.",
        changes=(
            Change(field="title", before=None, after="Choose a typeface"),
            Change(field="priority", before=None, after="urgent"),
        ),
    ).as_json(),
    digest="77e0c2b1a9d4" + "0" * 52,
    tool_version=1,
    reason="Urgent tasks need an approver.",
    approvers=Approvers(role=Role.APPROVER),
    verdict={},
)
