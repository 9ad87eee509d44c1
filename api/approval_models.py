"""What this API takes and answers about approvals."""

from datetime import datetime
from uuid import UUID

from pydantic import Field, JsonValue

from api.models import NAME_LENGTH, REASON_LENGTH, Input, JsonDict, Output, PageQuery
from core.domain.approval import Answer, ApprovalState, GrantScope, Question
from core.domain.principal import Role
from core.domain.tool import Risk


class Decide(Input):
    """A person's answer to an approval."""

    decision: Answer = Field(
        description="approve or deny; of an outcome: happened, did_not, retry."
    )
    digest: str = Field(
        max_length=NAME_LENGTH, description="The digest of what you have looked at."
    )
    scope: GrantScope = Field(default=GrantScope.ONCE, description="How far an approval reaches.")
    reason: str = Field(default="", max_length=REASON_LENGTH, description="Why, for the requester.")
    arguments: dict[str, JsonValue] | None = Field(
        default=None, description="All arguments of the call as you approve it, if not as it is."
    )
    edited_digest: str | None = Field(
        default=None,
        max_length=NAME_LENGTH,
        description="The digest of the edit that you have looked at, with arguments.",
    )


class EditArguments(Input):
    """A call that is asked about, as it might be instead."""

    arguments: dict[str, JsonValue] = Field(description="All arguments, not only changed ones.")


class ApprovalsQuery(PageQuery):
    """Which approvals."""

    state: ApprovalState | None = None


class ApproversView(Output):
    """Who may answer: ``needed`` different holders of ``role``, or only those who are named."""

    role: Role
    needed: int
    groups: list[str]
    people: list[str]
    allow_requester: bool


class DecisionView(Output):
    """One person's answer."""

    by: str
    decision: Answer
    scope: GrantScope
    reason: str
    digest: str = Field(description="What it answers; it counts while that is the approval's own.")
    in_place_of: str | None = Field(description="Who was away, if a deputy answered for them.")
    via: str
    decided_at: datetime


class ApprovalView(Output):
    """A question to people about one exact call."""

    id: UUID
    run_id: UUID
    call_id: UUID
    question: Question
    tool: str
    tool_version: int
    risk: Risk
    arguments: JsonDict
    edited_by: str | None = Field(description="The approver who changed the arguments.")
    original_arguments: JsonDict | None = Field(description="As they were asked for, if changed.")
    preview: JsonDict
    digest: str
    reason: str
    requester: str
    approvers: ApproversView
    needed: int
    state: ApprovalState
    created_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    reminded: int = Field(description="How often people were reminded.")
    escalated_at: datetime | None
    escalated_to: str | None = Field(description="admins, or a group, who were told as well.")
    decisions: list[DecisionView]


class EditView(Output):
    """What a call would be with other arguments: what would be approved then."""

    arguments: JsonDict
    preview: JsonDict
    digest: str = Field(description="Send it as edited_digest, to approve exactly this.")
    reason: str
    approvers: ApproversView


class ApprovalsPage(Output):
    """Approvals that concern the caller, newest first. A page may be short and still go on."""

    items: list[ApprovalView]
    next_cursor: str | None
