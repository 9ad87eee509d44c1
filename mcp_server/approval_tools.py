"""Approvals over MCP: a model may see the questions and what came of them, never answer one."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mcp import types
from pydantic import Field

from core.app import App
from core.domain.approval import Approval, ApprovalState
from core.domain.canonical import Json, JsonObject
from core.domain.ids import ApprovalId, CallId
from core.domain.principal import Caller
from core.errors import Conflict, Forbidden, NotFound
from core.tools.authoring import Arguments, Output
from core.tools.builtin.paging import LONGEST_CURSOR, after_moment, cursor_of
from mcp_server.answers import answer, error_content, status_content
from mcp_server.own_tools import OwnTool
from mcp_server.peer import Answer, Peer
from mcp_server.run_views import approval_content
from mcp_server.waiting import Waiting, may_decide, summary_of


class WhichCall(Arguments):
    """One call, by either of its ids."""

    approval_id: UUID = Field(
        description="approval_id of a pending result; where it has none, its call_id."
    )


class CallStatus(Output):
    """Where a call stands."""

    status: Literal[
        "pending_approval", "running", "unknown", "succeeded", "denied", "expired", "failed"
    ]
    call_id: UUID
    tool: str
    run_id: UUID | None = None
    approval_id: UUID | None = None
    message: str | None = None
    # Any: whatever the tool that was called returns
    result: dict[str, Any] | None = Field(None, description="What the tool returned.")
    error: "CallError | None" = Field(None, description="Why there is no result.")
    decided_by: list[str] | None = Field(None, description="Email addresses of who decided.")


class CallError(Output):
    """Why a call has no result."""

    code: str
    message: str


class WhichApprovals(Arguments):
    """Which approvals, and from where."""

    state: Literal["pending", "approved", "denied", "expired", "withdrawn"] | None = Field(
        None, description="Only those in this state; leave it out for all."
    )
    limit: int = Field(20, ge=1, le=50, description="How many to look at; at most 50.")
    cursor: str | None = Field(
        None,
        max_length=LONGEST_CURSOR,
        description="next_cursor of the page before; leave it out for the first page.",
    )


class Decided(Output):
    """What one person answered."""

    by: str
    answer: str
    reason: str


class ApprovalView(Output):
    """A question as a model may see it."""

    id: UUID
    run_id: UUID
    call_id: UUID
    tool: str
    risk: str
    arguments: dict[str, Any]  # Any: whatever the tool takes
    preview: dict[str, Any]  # Any: JSON for people to see
    reason: str
    requester: str
    approvers: str
    needed: int
    state: str
    created_at: datetime
    expires_at: datetime
    decisions: list[Decided]


class ApprovalPage(Output):
    """Approvals, newest first; a page may be shorter than asked for and not be the last."""

    approvals: list[ApprovalView]
    next_cursor: str | None


class WhichDecision(Arguments):
    """What somebody wants decided."""

    approval_id: UUID = Field(description="The approval that is to be decided.")


class Ways(Output):
    """Where a person decides."""

    page: str | None = None
    command: str
    rest: str


class DecisionView(Output):
    """How a question stands after the person was shown where to decide.

    Where nobody has decided, ``error`` says so and ``ways`` where they can.
    """

    approval_id: UUID
    tool: str
    summary: str
    state: Literal["pending", "approved", "denied", "expired", "withdrawn"]
    decided_by: list[str] | None = Field(None, description="Email addresses of who decided.")
    error: CallError | None = None
    ways: Ways | None = None


class ApprovalTools:
    """``approval_status``, ``list_approvals`` and ``decide_approval``."""

    def __init__(self, app: App, *, waiting: Waiting, public_url: str | None = None) -> None:
        """Take the core; ``public_url`` is where its HTTP is, for people who decide."""
        self._app = app
        self._waiting = waiting
        self._public_url = public_url or ""

    def tools(self) -> tuple[OwnTool[Any], ...]:  # Any: each takes arguments of its own
        """Return the tools."""
        return (
            OwnTool(
                name="approval_status",
                description=(
                    "Look at what became of a call that was pending.\n\n"
                    "Returns status pending_approval, running, unknown, succeeded, denied, expired"
                    " or failed, with the result once it has succeeded. It changes nothing, so ask"
                    " again later while the call is pending; people may take hours."
                ),
                scope="tools:call",
                takes=WhichCall,
                gives=CallStatus,
                body=self._status,
            ),
            OwnTool(
                name="list_approvals",
                description=(
                    "List the approvals that concern the person: those for their own calls, and"
                    " those that they may decide.\n\n"
                    "Returns what would be done, for whom and why, newest first. Use it to tell the"
                    " person what is waiting."
                ),
                scope="approvals:read",
                takes=WhichApprovals,
                gives=ApprovalPage,
                body=self._list,
            ),
            OwnTool(
                name="decide_approval",
                description=(
                    "Take the person to where they approve or deny an approval.\n\n"
                    "It decides nothing: only a person can, on their own. Opens the page for them"
                    " where the client can, and returns how the approval stands then; otherwise"
                    " returns where they decide: pass that on to them word for word."
                ),
                scope="approvals:read",
                takes=WhichDecision,
                gives=DecisionView,
                body=self._decide,
            ),
        )

    async def _status(self, caller: Caller, which: WhichCall, _peer: Peer) -> types.CallToolResult:
        try:
            view = await self._app.call(caller, call_id=CallId(which.approval_id))
        except NotFound:
            view, approval = await self._app.asked_about(
                caller, approval_id=ApprovalId(which.approval_id)
            )
            people = tuple(decision.by for decision in approval.voices)
            return answer(status_content(view, decided_by=people))
        return answer(status_content(view, decided_by=()))

    async def _list(
        self, caller: Caller, which: WhichApprovals, _peer: Peer
    ) -> types.CallToolResult:
        before = after_moment(which.cursor)
        shown, more = await self._app.approvals(
            caller,
            state=ApprovalState(which.state) if which.state else None,
            before=(before[0], ApprovalId(before[1])) if before else None,
            limit=which.limit,
        )
        return answer(
            {
                "approvals": [approval_content(approval) for approval in shown],
                "next_cursor": cursor_of(more[0], last=more[1]) if more else None,
            }
        )

    async def _decide(self, caller: Caller, which: WhichDecision, peer: Peer) -> Answer:
        """Decide nothing, whatever scopes the caller has: a model holds the other end."""
        approval_id = ApprovalId(which.approval_id)
        approval = await self._app.approval(caller, approval_id=approval_id)
        if approval.state is not ApprovalState.PENDING and peer.state is None:
            raise Conflict("approval_closed", state=approval.state.value)
        has_looked = peer.state is not None
        if not has_looked:
            page = await self._waiting.page(caller, approval, peer=peer, state=str(approval_id))
            if page is not None:
                return page
            has_looked = peer.open_page is not None and may_decide(caller, approval)
        if has_looked:
            approval = await self._waiting.decided(caller, approval, peer=peer)
        content = _stands(approval)
        if approval.state is not ApprovalState.PENDING:
            return answer(content)
        undecided = error_content(Forbidden("decision_needs_page"))
        return answer(content | undecided | {"ways": self._ways(approval)}, is_error=True)

    def _ways(self, approval: Approval) -> JsonObject:
        there = f"{self._public_url}/api/v1/approvals/{approval.id}"
        page = self._waiting.page_for(approval)
        ways: dict[str, Json] = {"page": page} if page else {}
        return ways | {
            "command": (
                f"sallyport approvals decide {approval.id}"
                " --tenant TENANT --as EMAIL approve (or deny)"
            ),
            "rest": f"GET {there}, then POST its digest and a decision to {there}/decision",
        }


def _stands(approval: Approval) -> dict[str, Json]:
    content: dict[str, Json] = {
        "approval_id": str(approval.id),
        "tool": approval.tool,
        "summary": summary_of(approval),
        "state": approval.state.value,
    }
    people: list[Json] = [decision.by for decision in approval.voices]
    return content | ({"decided_by": people} if people else {})
