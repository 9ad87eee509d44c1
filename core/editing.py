"""What a call would be if it had other arguments: judged anew, as its requester's own."""

from dataclasses import replace

from core.domain.approval import Approval, Edit
from core.domain.canonical import JsonObject
from core.domain.tool import Edited, Preview
from core.domain.verdict import Deny, RequireApproval
from core.errors import Conflict, NotFound
from core.governance.judge import Judge
from core.governance.judgement import Judgement, told
from core.governance.record import refusal_of
from core.ports import People
from core.store.runs import StoredRuns


class Editing:
    """Takes an edited call through the first gate; what people say to it is not known here."""

    def __init__(self, *, judge: Judge, people: People, runs: StoredRuns) -> None:
        """Take the first gate, who is who, and where calls are kept."""
        self._judge = judge
        self._people = people
        self._runs = runs

    async def edited(self, approval: Approval, *, arguments: JsonObject, by: str) -> Edit:
        """Return the question as it would be with these arguments; nothing is changed.

        Raises:
            NotFound: ``unknown_tool``, or an argument names what is not there.
            InvalidInput: the arguments do not fit.
            Forbidden: the policy's no, or the tool's.
            Conflict: ``call_begun``: the call may have happened already, as it was;
                ``requester_left``; what the tool says.
        """
        record, scopes = await self._runs.call_with_scopes(
            approval.tenant_id, call_id=approval.call_id
        )
        if record.attempts:
            raise Conflict("call_begun")
        try:
            standing = await self._people.standing(
                approval.tenant_id, principal_id=approval.requester.id
            )
        except NotFound as error:
            raise Conflict("requester_left") from error
        call = replace(
            record.call,
            requester=standing.principal,
            arguments=arguments,
            edited=Edited(by=by, before=record.call.asked_for),
        )
        match await self._judge.judge(call, standing=standing, scopes=scopes):
            case Judgement(verdict=Deny() as deny):
                raise refusal_of(deny, tool=call.tool)
            case (
                Judgement(
                    verdict=RequireApproval() as verdict,
                    preview=Preview() as preview,
                    digest=str(digest),
                ) as judged
            ):
                return Edit(
                    arguments=judged.call.arguments,
                    preview=preview.as_json(),
                    digest=digest,
                    tool_version=judged.tool.version,
                    reason=verdict.reason,
                    approvers=verdict.approvers,
                    verdict=told(verdict),
                )
            case Judgement():
                message = "people are asked about every call that somebody has changed"
                raise ValueError(message)
