"""One link of a tenant's hash chain, and what it says."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from core.domain.canonical import JsonObject, canonical_json, digest_of
from core.domain.ids import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One fact for the auditor: who did what, through which door, and what came of it.

    ``actor`` is an email, ``operator`` or ``system``; ``content`` is the canonical JSON of
    input, output, rules, approval state and approvers as far as they apply.
    """

    id: UUID
    tenant_id: TenantId
    at: datetime
    action: str
    actor: str
    run_id: UUID | None
    call_id: UUID | None
    tool: str | None
    content: str
    digest: str


def audit_record(
    tenant_id: TenantId,
    *,
    at: datetime,
    action: str,
    actor: str,
    content: JsonObject,
    run_id: UUID | None = None,
    call_id: UUID | None = None,
    tool: str | None = None,
    record_id: UUID | None = None,
) -> AuditRecord:
    """Return a new record with the digest of its content."""
    record_id = record_id or uuid4()
    told = canonical_json(content)
    digest = record_digest(
        record_id,
        tenant_id=tenant_id,
        at=at,
        action=action,
        actor=actor,
        run_id=run_id,
        call_id=call_id,
        tool=tool,
        content=told,
    )
    return AuditRecord(
        id=record_id,
        tenant_id=tenant_id,
        at=at,
        action=action,
        actor=actor,
        run_id=run_id,
        call_id=call_id,
        tool=tool,
        content=told,
        digest=digest,
    )


def record_digest(
    record_id: UUID,
    *,
    tenant_id: TenantId,
    at: datetime,
    action: str,
    actor: str,
    run_id: UUID | None,
    call_id: UUID | None,
    tool: str | None,
    content: str,
) -> str:
    """Return the digest of everything that a record says; ``content`` is its canonical text."""
    return digest_of(
        [
            str(record_id),
            str(tenant_id),
            at.astimezone(UTC).isoformat(timespec="microseconds"),
            action,
            actor,
            str(run_id) if run_id else None,
            str(call_id) if call_id else None,
            tool,
            content,
        ]
    )


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
