"""What makes a tenant's audit believable: every check of records and blocks, without I/O."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, cast
from uuid import UUID

from core.domain.audit import AuditBlock, head_of, record_digest
from core.domain.canonical import JsonObject, canonical_json
from core.domain.ids import TenantId

NO_HEAD = ""
"""What the first block of a tenant has for its previous head."""


class Flaw(StrEnum):
    """What can be wrong with an audit."""

    RECORD_ALTERED = "record_altered"
    RECORD_MISSING = "record_missing"
    RECORD_SEALED_TWICE = "record_sealed_twice"
    RECORD_BEHIND = "record_behind"
    BLOCK_MISSING = "block_missing"
    CHAIN_BROKEN = "chain_broken"
    HEAD_WRONG = "head_wrong"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE_WRONG = "signature_wrong"
    FILE_MALFORMED = "file_malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One flaw, and the block and record that have it, or the line of a file."""

    flaw: Flaw
    block: int | None = None
    record: UUID | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What an audit was found to be; ``problems`` names the first thousand.

    ``head`` is the last block's: written down elsewhere, it shows later that no end was cut off.
    """

    records: int
    sealed: int
    waiting: int
    blocks: int
    head: str
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; records that wait for their block are not wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """A record exactly as it is kept: ``content`` is the text that its digest is over."""

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

    def says(self) -> JsonObject:
        """Return the content as JSON."""
        return cast("JsonObject", json.loads(self.content))

    def recomputed(self) -> str:
        """Return the digest of what is kept, whatever digest is kept with it."""
        return record_digest(
            self.id,
            tenant_id=self.tenant_id,
            at=self.at,
            action=self.action,
            actor=self.actor,
            run_id=self.run_id,
            call_id=self.call_id,
            tool=self.tool,
            content=self.content,
        )


class Keys(Protocol):
    """The keys that are believed."""

    def knows(self, key_id: str) -> bool:
        """Return whether this key is believed at all."""
        ...

    def verifies(self, message: bytes, *, key_id: str, signature: str) -> bool:
        """Return whether the key made this signature."""
        ...


def signed_bytes(
    tenant_id: TenantId, *, number: int, previous: str, head: str, sealed_at: datetime
) -> bytes:
    """Return what a block's signature is over; ``head`` stands for its records."""
    moment = sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
    return canonical_json([str(tenant_id), number, previous, head, moment]).encode()


def record_problem(record: KeptRecord, *, recomputed: str, block: int | None) -> Problem | None:
    """Return the problem where a record's content is not what its digest says."""
    if recomputed == record.digest:
        return None
    return Problem(flaw=Flaw.RECORD_ALTERED, block=block, record=record.id)


def block_problems(
    block: AuditBlock,
    *,
    number: int,
    previous: str | None,
    digests: Mapping[UUID, str],
    keys: Keys,
) -> Iterator[Problem]:
    """Yield what is wrong with a block that ought to be the one of that number.

    ``previous`` is the head before it, None where that is not known; ``digests`` are those of its
    records as far as they are there, recomputed.
    """
    if block.number != number:
        yield Problem(flaw=Flaw.BLOCK_MISSING, block=number)
    elif previous is not None and block.previous != previous:
        yield Problem(flaw=Flaw.CHAIN_BROKEN, block=block.number)
    missing = [record for record in block.record_ids if record not in digests]
    for record in missing:
        yield Problem(flaw=Flaw.RECORD_MISSING, block=block.number, record=record)
    if not missing:
        head = head_of(block.previous, [digests[record] for record in block.record_ids])
        if head != block.head:
            yield Problem(flaw=Flaw.HEAD_WRONG, block=block.number)
    message = signed_bytes(
        block.tenant_id,
        number=block.number,
        previous=block.previous,
        head=block.head,
        sealed_at=block.sealed_at,
    )
    if not keys.knows(block.key_id):
        yield Problem(flaw=Flaw.KEY_UNKNOWN, block=block.number)
    elif not keys.verifies(message, key_id=block.key_id, signature=block.signature):
        yield Problem(flaw=Flaw.SIGNATURE_WRONG, block=block.number)
