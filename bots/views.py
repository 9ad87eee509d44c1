"""What a surface shows, as data: one model of run, question and home, whoever renders it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.approval import Answer, ApprovalState, GrantScope, Question
from core.domain.ids import ApprovalId, CallId, RunId
from core.domain.tool import Change, Risk


class Stage(StrEnum):
    """Where a run stands, as its asker sees it."""

    WORKING = "working"
    WAITING = "waiting"  # for people
    DONE = "done"
    STOPPED = "stopped"  # failed, cancelled, or out of budget


class Mark(StrEnum):
    """How one line of a run's progress stands."""

    DOING = "doing"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One call of a run, in words. ``id`` stays the same while ``mark`` moves on."""

    id: str
    title: str
    mark: Mark
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What an answer rests on; ``url`` where there is one to open."""

    title: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoable:
    """An effect that can be taken back."""

    call_id: CallId
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run told in four parts: what it has done, does now, needs from people, and what is next.

    ``text`` is what the agent says: as it comes while it works, the answer once it is done.
    ``needs`` is what people have to do, empty where nothing. ``problem`` says why it stopped.
    ``answered_below``: the answer is a message of its own, below this one.
    ``url`` is the run's page, if there is one. Money in micro-dollars.
    """

    run_id: RunId
    task: str
    stage: Stage
    lines: tuple[Line, ...]
    text: str
    needs: str = ""
    problem: str = ""
    cost_micros: int = 0
    budget_micros: int = 0
    sources: tuple[Source, ...] = ()
    undoable: tuple[Undoable, ...] = ()
    asks_feedback: bool = False
    answered_below: bool = False
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One person's answer to a question."""

    by: str
    answer: Answer
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A question as a card shows it.

    ``why`` is what the agent said it wants to do it for, ``reason`` why the policy asks people.
    ``digest`` is the whole digest: cards show its first twelve characters, decisions carry it.
    ``scopes`` are those that an answer may have; ``url`` is the question's page, for details.
    ``may_edit``: the arguments can be changed before they are approved. ``mention`` holds
    people's accounts on the surface whom the card is for. ``reminded`` counts reminders;
    ``escalated_to`` says who was asked on top when nobody answered, empty where nobody was.
    """

    approval_id: ApprovalId
    run_id: RunId
    call_id: CallId
    question: Question
    state: ApprovalState
    tool: str
    risk: Risk
    requester: str
    summary: str
    target: str
    changes: tuple[Change, ...]
    reversible: bool
    why: str
    reason: str
    approvers: str
    needed: int
    voices: tuple[Voice, ...]
    digest: str
    cost_micros: int
    expires_at: datetime
    url: str | None
    scopes: tuple[GrantScope, ...] = (GrantScope.ONCE,)
    may_edit: bool = False
    mention: tuple[str, ...] = ()
    reminded: int = 0
    escalated_to: str = ""
    edited_by: str = ""
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether anybody may still answer."""
        return self.state is ApprovalState.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """A tool as a person reads of it; ``asks`` is whom it asks, empty where nobody."""

    tool: str
    what: str
    risk: Risk
    asks: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Something that is often asked for: ``title`` on the button, ``task`` as it is sent."""

    title: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One of a person's runs, in a line."""

    run_id: RunId
    task: str
    status: str
    cost_micros: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """What somebody finds at the agent's own page: what it can do, and what is theirs.

    ``cannot`` are tools that are not for this person, or switched off. ``switches`` are the
    tenant's tools, for admins only. ``person`` is an email; ``url`` the control centre, if any.
    """

    person: str
    company: str
    can: tuple[Ability, ...]
    asks: tuple[Ability, ...]
    cannot: tuple[Ability, ...]
    runs: tuple[RunSummary, ...]
    questions: tuple[ApprovalView, ...]
    spent_micros: int
    suggestions: tuple[Suggestion, ...] = ()
    switches: tuple[Ability, ...] = ()
    url: str | None = None
