"""What a driven run brings to the door, and the question that its calls become for people."""

from dataclasses import dataclass, replace

from core.domain.run import CallRecord, Lease
from core.domain.tool import Preview, ToolCall
from core.domain.verdict import Allow, Approvers, Deny, RequireApproval
from core.errors import NotFound, RunStopped
from core.governance.budget import RunBudget
from core.governance.held import HeldWrites
from core.governance.judgement import Judgement
from core.ports import People, Question, Standing


@dataclass(slots=True, kw_only=True)
class Passage:
    """What a driven run brings to the door. ``standing`` is renewed when it has gone stale."""

    lease: Lease
    journal: HeldWrites
    standing: Standing
    scopes: frozenset[str]
    budget: RunBudget
    approval_days: int

    def as_now(self, call: ToolCall) -> ToolCall:
        """Return the call as made by its requester as they stand now."""
        requester = self.standing.principal
        return call if call.requester == requester else replace(call, requester=requester)

    async def renew(self, people: People) -> None:
        """Look at how the requester stands now.

        Raises:
            RunStopped: ``requester_gone``.
        """
        requester = self.standing.principal
        try:
            self.standing = await people.standing(requester.tenant_id, principal_id=requester.id)
        except NotFound as error:
            raise RunStopped("requester_gone") from error


def question_about(judgement: Judgement, *, record: CallRecord, passage: Passage) -> Question:
    """Return what people are asked about a judged call."""
    match judgement.verdict:
        case RequireApproval() as verdict:
            pass
        case Allow() | Deny():
            # What became of a call is asked of people even where making it needs nobody.
            approvers = Approvers(role=judgement.tool.approver)
            verdict = RequireApproval(reason="", approvers=approvers)
    return Question(
        call=judgement.call,
        tool=judgement.tool,
        preview=judgement.preview or Preview(summary=judgement.tool.name),
        digest=judgement.digest or "",
        verdict=verdict,
        lease=passage.lease,
        attempt=record.attempts,
        expires_after_days=passage.approval_days,
    )
