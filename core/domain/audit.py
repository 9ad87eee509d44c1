"""One link of a tenant's hash chain, and what it says."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.domain.canonical import JsonObject, digest_of
from core.domain.ids import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One fact for the auditor: who did what, through which door, and what came of it.

    ``actor`` is an email, ``operator`` or ``system``; ``content`` holds tool, input, output, rules,
    approval state and approvers as far as they apply.
    """

    id: UUID
    tenant_id: TenantId
    at: datetime
    action: str
    actor: str
    run_id: UUID | None
    call_id: UUID | None
    tool: str | None
    content: JsonObject
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBlock:
    """A run of records chained together: ``head`` covers ``previous`` and every record digest."""

    tenant_id: TenantId
    number: int
    record_ids: tuple[UUID, ...]
    previous: str
    head: str
    key_id: str
    signature: str
    sealed_at: datetime


def head_of(previous: str, digests: list[str]) -> str:
    """Return a block's head: SHA-256 chained over the previous head and the digests in order."""
    head = previous
    for digest in digests:
        head = digest_of([head, digest])
    return head
