"""Standing permissions: what a wider yes allows, and when it is used up. Pure but for the clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid5

from core.domain.approval import Approval, Decision, Grant, GrantScope
from core.domain.canonical import JsonObject
from core.domain.ids import GrantId, PrincipalId
from core.domain.principal import Principal

_RUN_DAYS = 8
_ALWAYS_DAYS = 365
_WIDTH = {GrantScope.ONCE: 0, GrantScope.RUN: 1, GrantScope.ALWAYS: 2}


def granted_by(approval: Approval, *, decisions: Sequence[Decision], now: datetime) -> Grant | None:
    """Return the grant that these agreeing decisions make together: the narrowest of their scopes.

    A run's grant covers every call of the tool by the requester in the run; a lasting one covers
    the tool for the whole tenant, for a year.
    """
    scope = min((decision.scope for decision in decisions), key=_WIDTH.__getitem__)
    last = decisions[-1]
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
        granted_by=last.principal,
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
    grantor: Principal | None,
    now: datetime,
) -> bool:
    """Return whether the grant covers a call; ``grantor`` is who gave it, as they are now.

    Nobody's own grant covers their own call: that would be deciding for oneself in advance.
    """
    return (
        grantor is not None
        and grantor.may_approve
        and grantor.id != requester
        and grant.expires_at > now
        and grant.uses_left != 0
        and grant.tool_version == tool_version
        and all(arguments.get(name) == value for name, value in grant.pattern.items())
    )
