"""The seams: what the logic asks of the world, one Protocol each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from core.domain.approval import Answer, Approval, Edit, GrantScope
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, PrincipalId, RunId, TenantId, TokenId
from core.domain.journal import Entry
from core.domain.model import ModelAnswer, Prompt
from core.domain.permit import PermittedCall
from core.domain.policy import PolicyRule
from core.domain.principal import Caller, Principal, Tenant
from core.domain.run import CallRecord, Lease, Run, RunStatus, StopCause
from core.domain.tool import Preview, Tool, ToolCall, ToolResult
from core.domain.verdict import RequireApproval, Verdict


class Clock(Protocol):
    """Time. Both run on while the process is stopped."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


OnText = Callable[[str], Awaitable[None]]


class LanguageModel(Protocol):
    """One provider, or a chain of them."""

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Ask once, retrying within; ``on_text`` is awaited with text as it comes.

        Raises:
            ModelOverloaded: 429, 5xx or no connection after the retries; another may be asked.
            ModelFailed: the provider refuses this request for good.
        """
        ...

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most, for the reservation. Never too low."""
        ...


class ToolBox(Protocol):
    """Finds tools and calls them."""

    def tools(self) -> Sequence[Tool]:
        """Return every registered tool, by name."""
        ...

    def find(self, name: str) -> Tool | None:
        """Return the registered tool of that name. Anything unregistered is blocked."""
        ...

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return ``arguments`` as the tool takes them: schema-checked, defaults filled in.

        Raises:
            InvalidInput: ``invalid_arguments`` with the path and what is wrong.
        """
        ...

    async def preview(self, call: ToolCall) -> Preview | None:
        """Return what ``call`` would change, None for a safe tool; checks that its targets exist.

        Raises:
            NotFound: an argument names something that is not there, or is another tenant's.
            Forbidden: the requester may not touch it.
        """
        ...

    async def call(self, permitted: PermittedCall) -> ToolResult:
        """Make the call. Failures are results, never exceptions, but for those below.

        Whoever is cancelled in it must expect that the effect happened.

        Raises:
            LeaseLost: another worker drives the run now.
            Unavailable: ``database_unavailable``: our own; the effect may have happened.
            TimeoutError: no answer came, and none will: the effect may have happened.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a verdict is made of; ``resource_tenant`` is whose tool is called."""

    tenant: Tenant
    principal: Principal
    scopes: frozenset[str]
    resource_tenant: TenantId
    tool: Tool
    enabled: bool
    arguments: JsonObject
    via: str
    now: datetime


class Policy(Protocol):
    """The first gate."""

    def judge(self, facts: Facts) -> Verdict:
        """Return the verdict. Default deny; an error in a policy is a Deny, never an Allow."""
        ...

    def rules(self) -> Sequence[PolicyRule]:
        """Return what the policies say, in words and in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who somebody is right now: tenant with epoch, roles, what is switched off.

    A verdict made from it holds only while the tenant's epoch is the same. ``tools`` are those that
    the tenant has beside the registered ones, by name; ``held_tools`` those of them that are not
    what was accepted any more.
    """

    tenant: Tenant
    principal: Principal
    disabled_tools: frozenset[str]
    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    held_tools: frozenset[str] = frozenset()


class People(Protocol):
    """Who is who, as the database knows it now."""

    async def standing(self, tenant_id: TenantId, *, principal_id: PrincipalId) -> Standing:
        """Return how the person stands now.

        Raises:
            NotFound: no such person in this tenant, or disabled.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a driver learns with each write: to cancel, and under which configuration to judge."""

    cancel_requested: bool
    epoch: int


class Journal(Protocol):
    """The only way to write about a run that is being driven."""

    async def write(self, lease: Lease, *, entry: Entry, epoch: int | None = None) -> Written:
        """Keep the whole entry or nothing; return how things stand now.

        Raises:
            LeaseLost: another worker drives the run now.
            StaleEpoch: ``epoch`` was given and the tenant's configuration is another one.
        """
        ...

    async def record_call(self, record: CallRecord, *, audit: AuditRecord, epoch: int) -> None:
        """Keep a safe call without a run, metered and audited, in one commit.

        Raises:
            StaleEpoch: judged under an older configuration; nothing is kept.
        """
        ...

    async def record(self, *records: AuditRecord) -> None:
        """Keep audit records of one tenant that belong to no run, refusals for the most part."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """People have answered: go on. ``by`` are their emails, ``how`` approval or grant."""

    by: tuple[str, ...]
    how: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """People have answered: do not. ``code`` is denied, expired or changed_too_often."""

    code: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """People have been asked and have not answered."""

    approval_id: ApprovalId


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """People have said what became of a call that was under way when its worker died."""

    answer: Answer
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One exact call, put to people: what was judged, what they see, and by when they answer.

    ``attempt`` counts how often the call was begun: a person's word on what became of it holds for
    that attempt only.
    """

    call: ToolCall
    tool: Tool
    preview: Preview
    digest: str
    verdict: RequireApproval
    lease: Lease
    attempt: int
    expires_after_days: int


class Approvals(Protocol):
    """The second gate, as the door sees it."""

    async def put(self, question: Question) -> Covered | Declined | Waiting:
        """Return what people have said about this exact call; ask them where nobody was asked.

        The same question twice is asked once. One whose digest differs from what was asked before
        is asked anew, twice at most.

        Raises:
            LeaseLost: another worker drives the run now; nobody is asked.
        """
        ...

    async def covers(self, question: Question) -> bool:
        """Return whether recorded answers still cover this exact call, asking nobody."""
        ...

    async def put_outcome(self, question: Question) -> Settled | Declined | Waiting:
        """Ask what became of a call whose outcome is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody who may answer; ``in_place_of`` is who is away, where they do as a deputy."""

    person: Principal
    in_place_of: Principal | None = None


class Decisions(Protocol):
    """Where people answer, whatever surface they come from."""

    async def decide(
        self,
        caller: Caller,
        *,
        approval_id: ApprovalId,
        answer: Answer,
        digest: str,
        scope: GrantScope = GrantScope.ONCE,
        reason: str = "",
        arguments: JsonObject | None = None,
        edited_digest: str | None = None,
    ) -> Approval:
        """Keep one person's answer to what they saw; return the question as it stands then.

        ``arguments`` change the call before it is approved.

        Raises:
            NotFound, Forbidden, Conflict, InvalidInput: see ``approvals.decide``.
        """
        ...

    async def preview_edit(
        self, caller: Caller, *, approval_id: ApprovalId, arguments: JsonObject
    ) -> Edit:
        """Return what the call would be with other arguments; nothing is changed.

        Raises:
            NotFound, Forbidden, Conflict, InvalidInput: see ``approvals.decide``.
        """
        ...

    async def absent(self, person: Principal) -> Sequence[Principal]:
        """Return who is away now and has named this person their deputy, by email."""
        ...

    async def asked(self, approval: Approval) -> tuple[Asked, ...]:
        """Return who may decide, by email, 50 at most: a deputy in the place of who is away."""
        ...

    def may_answer(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> bool:
        """Return whether this person's answer would count now, and was not given yet."""
        ...

    def concerns(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> bool:
        """Return whether this person may see the question.

        That is: theirs, one they may answer or have answered, by themselves or in the place of
        somebody ``absent``, or one that was escalated to a group of theirs.
        """
        ...


class Capabilities(Protocol):
    """How much is left of tokens that are for a few calls; exact, however many come at once."""

    async def spend(
        self, tenant_id: TenantId, *, token_id: TokenId, micros: int, at: datetime
    ) -> bool:
        """Take one use and ``micros`` micro-dollars from the token.

        False, and nothing is taken, where less is left, or the token is revoked or has expired.
        """
        ...

    async def give_back(self, tenant_id: TenantId, *, token_id: TokenId, micros: int) -> None:
        """Undo one ``spend``."""
        ...


class Renew(Protocol):
    """Says whether the caller's token is still good, when something about the tenant changed."""

    async def __call__(self, caller: Caller) -> Caller:
        """Return the caller as their token stands now.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenRun:
    """A run in the hands of its driver: with its whole journal, and its requester's standing.

    ``standing`` is None where the requester is gone.
    """

    lease: Lease
    run: Run
    scopes: frozenset[str]
    standing: Standing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: with a result or an error; ``cost_micros`` is what it has cost in all."""

    status: RunStatus
    cost_micros: int
    result: str | None = None
    error: StopCause | None = None


class Runs(Protocol):
    """Taking a run over, and letting go of it."""

    async def take(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> DrivenRun | None:
        """Take the run's lease for this driver; None where the segment is not due any more."""
        ...

    async def park(self, lease: Lease, *, active_ms: int) -> bool:
        """Leave the run waiting for people; False where nobody is being waited for any more.

        Raises:
            LeaseLost: another worker drives the run now.
        """
        ...

    async def finish(self, lease: Lease, *, ending: Ending, entry: Entry) -> None:
        """Keep the last entry and end the run for good, in one commit.

        Calls that wait are cancelled, open questions withdrawn.

        Raises:
            LeaseLost: another worker drives the run now.
        """
        ...

    async def pulse(self, lease: Lease) -> bool:
        """Return whether the run is asked to cancel.

        Raises:
            LeaseLost: another worker drives the run now.
        """
        ...


class TextSink(Protocol):
    """Where text goes as the model says it. What is lost here is not missed."""

    async def append(self, lease: Lease, *, step: int, text: str) -> None:
        """Take the next piece; never raises, never waits long."""
        ...

    async def flush(self, lease: Lease) -> None:
        """Send what is still held back."""
        ...


class Dispatcher(Protocol):
    """Drives segments somewhere, at least once each."""

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        """Have the segment driven soon. Twice is once; what is lost a sweep finds again."""
        ...
