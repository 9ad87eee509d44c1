"""Standing permissions: what a wider yes allows, and when it is used up. Pure but for the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid5

from approvals.routing import objection
from core.domain.approval import Approval, Decision, Grant, GrantScope
from core.domain.canonical import JsonObject, canonical_json
from core.domain.ids import GrantId, PrincipalId
from core.domain.principal import Principal
from core.domain.verdict import Approvers

_RUN_DAYS = 8
_ALWAYS_DAYS = 365
_WIDTH = {GrantScope.ONCE: 0, GrantScope.RUN: 1, GrantScope.ALWAYS: 2}


def granted_by(approval: Approval, *, decisions: Sequence[Decision], now: datetime) -> Grant | None:
    """Return the grant that these agreeing decisions make together: the narrowest of their scopes.

    A run's grant covers every call of the tool by the requester in the run; a lasting one covers
    the tool for the whole tenant, for a year.
    """
    scope = min((decision.scope for decision in decisions), key=_WIDTH.__getitem__)
    match scope:
        case GrantScope.ONCE:
            return None
        case GrantScope.RUN:
            run_id, requester_id, days = approval.run_id, approval.requester.id, _RUN_DAYS
        case GrantScope.ALWAYS:
            run_id, requester_id, days = None, None, _ALWAYS_DAYS
    return Grant(
        id=GrantId(uuid5(approval.id, "grant")),
        tenant_id=approval.tenant_id,
        requester_id=requester_id,
        run_id=run_id,
        tool=approval.tool,
        tool_version=approval.tool_version,
        pattern={},
        granted_by=tuple(decision.principal for decision in decisions),
        approvers=approval.approvers,
        expires_at=now + timedelta(days=days),
        uses_left=None,
    )


def fits(
    grant: Grant,
    *,
    requester: PrincipalId,
    tool_version: int,
    arguments: JsonObject,
    demanded: Approvers,
    people: Mapping[PrincipalId, Principal],
    now: datetime,
) -> bool:
    """Return whether the grant covers a call of which ``demanded`` is asked now.

    ``people`` are those who gave it, as they are now. A grant says what they would say if they
    were asked: it counts as far as they may still answer, and nobody's own covers their own call.
    """
    demanded = replace(demanded, allow_requester=False)
    voices = {
        giver.id
        for giver in grant.granted_by
        if (now_is := people.get(giver.id)) is not None
        and objection(now_is, approvers=demanded, requester=requester) is None
    }
    return (
        len(voices) >= demanded.needed
        and grant.expires_at > now
        and grant.uses_left != 0
        and grant.tool_version == tool_version
        and all(
            name in arguments and canonical_json(arguments[name]) == canonical_json(value)
            for name, value in grant.pattern.items()
        )
    )
