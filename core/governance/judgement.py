"""The first gate's whole answer about one call, before anything is done about it."""

from dataclasses import dataclass

from core.domain.canonical import JsonObject
from core.domain.run import CallRecord
from core.domain.tool import Preview, Tool, ToolCall
from core.domain.verdict import Allow, Deny, RequireApproval, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A call with checked arguments, the verdict on it, and what people would be shown.

    The verdict holds only while the tenant's epoch is ``epoch``.
    """

    call: ToolCall
    tool: Tool
    verdict: Verdict
    preview: Preview | None
    digest: str | None
    epoch: int

    def repeats(self, record: CallRecord) -> bool:
        """Return whether making the call again has the effect of ``record`` and no second one."""
        return self.tool.idempotent and self.tool.version == record.tool_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A tool that somebody may call, and whether people are asked; arguments may change that."""

    tool: Tool
    verdict: Allow | RequireApproval


def told(verdict: Verdict) -> JsonObject:
    """Return the verdict as the journal and the audit keep it."""
    match verdict:
        case Allow():
            return {"verdict": "allow", "rules": list(verdict.rules), "reasons": []}
        case Deny():
            return {
                "verdict": "deny",
                "rules": list(verdict.rules),
                "reasons": [verdict.reason],
                "code": verdict.code,
            }
        case RequireApproval():
            return {
                "verdict": "require_approval",
                "rules": list(verdict.rules),
                "reasons": [verdict.reason],
                "approvers": verdict.approvers.as_json(),
            }
