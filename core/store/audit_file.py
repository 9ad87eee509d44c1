"""An audit as a file: written from the database, verified without it."""

import csv
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.domain.audit import AuditBlock
from core.domain.audit_chain import (
    NO_HEAD,
    Flaw,
    KeptRecord,
    Keys,
    Problem,
    Verification,
    block_problems,
    record_problem,
)
from core.domain.canonical import JsonObject
from core.domain.ids import TenantId
from core.errors import InvalidInput
from core.store.audit import Exported, ExportedDigest, ExportedRecord

_PROBLEMS: Final = 1000
_COLUMNS: Final = (
    "id",
    "at",
    "action",
    "actor",
    "run_id",
    "call_id",
    "tool",
    "content",
    "digest",
    "block",
)
# What a spreadsheet would take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _BlockLine(_Line):
    kind: Literal["block"]
    tenant_id: UUID
    number: int
    record_ids: tuple[UUID, ...]
    previous: str
    head: str
    key_id: str
    signature: str
    sealed_at: AwareDatetime


class _RecordLine(_Line):
    kind: Literal["record"]
    id: UUID
    tenant_id: UUID
    at: AwareDatetime
    action: str
    actor: str
    run_id: UUID | None
    call_id: UUID | None
    tool: str | None
    content: str
    digest: str
    block: int | None


class _DigestLine(_Line):
    kind: Literal["digest"]
    id: UUID
    digest: str


_LINES: TypeAdapter[_BlockLine | _RecordLine | _DigestLine] = TypeAdapter(
    Annotated[_BlockLine | _RecordLine | _DigestLine, Field(discriminator="kind")]
)


async def jsonl_lines(exported: AsyncIterator[Exported]) -> AsyncGenerator[str]:
    """Yield an export as lines of JSON, blocks included, for ``verify_file``."""
    async for part in exported:
        match part:
            case AuditBlock():
                line = _block_line(part)
            case ExportedRecord():
                line = {"kind": "record", **_record_line(part)}
            case ExportedDigest():
                line = {"kind": "digest", "id": str(part.id), "digest": part.digest}
        yield json.dumps(line, ensure_ascii=False) + "\n"


async def csv_lines(exported: AsyncIterator[Exported]) -> AsyncGenerator[str]:
    """Yield an export's records as CSV (RFC 4180) with a header; to read, not to verify.

    A text that a spreadsheet would calculate is quoted with an apostrophe.
    """
    yield _csv_line(_COLUMNS)
    async for part in exported:
        if isinstance(part, ExportedRecord):
            line = _record_line(part)
            yield _csv_line(line[column] for column in _COLUMNS)


def verify_file(path: Path, *, keys: Keys) -> Verification:
    """Check an export in JSON lines: every record's content, every block, and their chain.

    The chain begins with the first block of the file. What is of another time than was exported is
    there as digests and counts as sealed.

    Raises:
        InvalidInput: ``nothing_to_verify``: a file with nothing in it proves nothing.
    """
    check = _FileCheck(keys=keys)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            check.take(line, number=number)
    found = check.done()
    if found.ok and not found.records and not found.blocks:
        raise InvalidInput("nothing_to_verify", file=str(path))
    return found


class _FileCheck:
    """Goes through a file line by line, holding one block at a time."""

    def __init__(self, *, keys: Keys) -> None:
        self._keys = keys
        self._problems: list[Problem] = []
        self._sealed = self._waiting = self._blocks = 0
        self._block: AuditBlock | None = None
        self._before: AuditBlock | None = None
        self._members: frozenset[UUID] = frozenset()
        self._digests: dict[UUID, str] = {}

    def take(self, line: bytes, *, number: int) -> None:
        try:
            parsed = _LINES.validate_json(line)
        except ValidationError:
            self._problems.append(Problem(flaw=Flaw.FILE_MALFORMED, line=number))
        else:
            match parsed:
                case _BlockLine():
                    self._close()
                    self._open(parsed)
                case _RecordLine():
                    self._record(parsed, number=number)
                case _DigestLine():
                    self._member(parsed.id, digest=parsed.digest, number=number)
        del self._problems[_PROBLEMS:]

    def done(self) -> Verification:
        self._close()
        return Verification(
            records=self._sealed + self._waiting,
            sealed=self._sealed,
            waiting=self._waiting,
            blocks=self._blocks,
            head=self._before.head if self._before else NO_HEAD,
            problems=tuple(self._problems[:_PROBLEMS]),
        )

    def _open(self, line: _BlockLine) -> None:
        self._block = AuditBlock(
            tenant_id=TenantId(line.tenant_id),
            number=line.number,
            record_ids=line.record_ids,
            previous=line.previous,
            head=line.head,
            key_id=line.key_id,
            signature=line.signature,
            sealed_at=line.sealed_at,
        )
        self._members = frozenset(line.record_ids)
        self._digests = {}

    def _close(self) -> None:
        block, before = self._block, self._before
        if block is None:
            return
        first = NO_HEAD if block.number == 1 else None
        self._problems += block_problems(
            block,
            number=before.number + 1 if before else block.number,
            previous=before.head if before else first,
            digests=self._digests,
            keys=self._keys,
        )
        self._blocks += 1
        self._before, self._block = block, None

    def _record(self, line: _RecordLine, *, number: int) -> None:
        record = KeptRecord(
            id=line.id,
            tenant_id=TenantId(line.tenant_id),
            at=line.at,
            action=line.action,
            actor=line.actor,
            run_id=line.run_id,
            call_id=line.call_id,
            tool=line.tool,
            content=line.content,
            digest=line.digest,
        )
        recomputed = record.recomputed()
        if problem := record_problem(record, recomputed=recomputed, block=line.block):
            self._problems.append(problem)
        if line.block is None:
            self._waiting += 1
        else:
            self._member(record.id, digest=recomputed, number=number)

    def _member(self, record_id: UUID, *, digest: str, number: int) -> None:
        if record_id not in self._members or record_id in self._digests:
            self._problems.append(Problem(flaw=Flaw.RECORD_BEHIND, record=record_id, line=number))
            return
        self._digests[record_id] = digest
        self._sealed += 1


def _block_line(block: AuditBlock) -> JsonObject:
    return {
        "kind": "block",
        "tenant_id": str(block.tenant_id),
        "number": block.number,
        "record_ids": [str(record_id) for record_id in block.record_ids],
        "previous": block.previous,
        "head": block.head,
        "key_id": block.key_id,
        "signature": block.signature,
        "sealed_at": block.sealed_at.isoformat(),
    }


def _record_line(exported: ExportedRecord) -> JsonObject:
    record = exported.record
    return {
        "id": str(record.id),
        "tenant_id": str(record.tenant_id),
        "at": record.at.isoformat(),
        "action": record.action,
        "actor": record.actor,
        "run_id": str(record.run_id) if record.run_id else None,
        "call_id": str(record.call_id) if record.call_id else None,
        "tool": record.tool,
        "content": record.content,
        "digest": record.digest,
        "block": exported.block,
    }


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(_harmless(value) for value in values)
    return line.getvalue()


def _harmless(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
