"""Ids, each a type of its own, so that a run's can never be passed where a call's is wanted."""

from typing import NewType
from uuid import UUID, uuid5

TenantId = NewType("TenantId", UUID)
PrincipalId = NewType("PrincipalId", UUID)
RunId = NewType("RunId", UUID)
CallId = NewType("CallId", UUID)
ApprovalId = NewType("ApprovalId", UUID)
GrantId = NewType("GrantId", UUID)
TokenId = NewType("TokenId", UUID)
CredentialRef = NewType("CredentialRef", UUID)

_CALLS = UUID("5a11f0e7-0000-4000-8000-000000000001")
_APPROVALS = UUID("5a11f0e7-0000-4000-8000-000000000002")


def call_id_of(run_id: RunId, *, step: int, index: int) -> CallId:
    """Return the id of a run's call: the same step and index always give the same call."""
    return CallId(uuid5(_CALLS, f"{run_id}/{step}/{index}"))


def approval_id_of(call_id: CallId, *, asked: int) -> ApprovalId:
    """Return the id of the ``asked``-th question about a call, so that asking twice asks once."""
    return ApprovalId(uuid5(_APPROVALS, f"{call_id}/{asked}"))
