"""Abilities, requests for them, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from core.domain.canonical import JsonObject
from core.domain.ids import CallId, RunId, TenantId
from core.domain.principal import Capability, Principal, Role


class Risk(StrEnum):
    """How much harm a call can do; decides whether people are asked."""

    SAFE = "safe"
    CAUTIOUS = "cautious"
    DESTRUCTIVE = "destructive"
    IRREVERSIBLE = "irreversible"

    @property
    def has_effect(self) -> bool:
        """Whether a call changes anything outside our journal."""
        return self is not Risk.SAFE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An ability, as the registry knows it. Schemas are JSON Schema 2020-12 objects.

    ``idempotent`` says that a repeated call with the same key has one effect, so that a call that
    was under way when a worker died may be made again. ``cost_micros`` is charged per call.
    ``per_minute`` limits calls of one tenant; None leaves it to the tier. A tool that is not
    ``listed`` only takes other calls back.
    """

    name: str
    pack: str
    version: int
    description: str
    input_schema: JsonObject
    output_schema: JsonObject
    risk: Risk
    approver: Role
    needed: int
    idempotent: bool
    reversible: bool
    cost_micros: int
    timeout_seconds: float
    per_minute: int | None
    definition_digest: str
    listed: bool = True


class CallState(StrEnum):
    """Where a call stands. ``REQUESTED`` and ``RUNNING`` both read as running from outside."""

    REQUESTED = "requested"
    PENDING_APPROVAL = "pending_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will happen to the call by itself."""
        return self not in _OPEN


_OPEN = frozenset(
    {CallState.REQUESTED, CallState.PENDING_APPROVAL, CallState.RUNNING, CallState.UNKNOWN}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """That an approver changed a call: ``before`` is what was asked for, ``by`` their email."""

    by: str
    before: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A request for a tool, by a person or by an agent acting for one; judged by the door.

    ``actor`` is who makes it for the requester, empty where they do themselves; ``capability`` all
    that it may be where it comes with a token for a few calls.
    ``run_id``, ``step`` and ``index`` place it in a run; a safe call straight from a front door has
    no run. ``asked`` counts the questions put to people about it so far. ``handle`` is the
    provider's id for the call, echoed back to the model with the result. ``edited`` where an
    approver changed ``arguments``; they are as they were approved, then.
    """

    id: CallId
    tenant_id: TenantId
    requester: Principal
    tool: str
    arguments: JsonObject
    run_id: RunId | None = None
    step: int = 0
    index: int = 0
    handle: str = ""
    agent: str = ""
    via: str = ""
    asked: int = 0
    state: CallState = CallState.REQUESTED
    actor: str = ""
    capability: Capability | None = None
    edited: Edited | None = None

    @property
    def asked_for(self) -> JsonObject:
        """The arguments that the requester, or their agent, asked for."""
        return self.edited.before if self.edited else self.arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that a call would change; values as they would be shown."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a call would change, as data; shown on the card, bound into the digest.

    ``summary`` is one sentence; ``target`` names the thing in words; ``volatile`` holds what may
    change between asking and doing without making it another question (counts, times).
    """

    summary: str
    target: str = ""
    changes: tuple[Change, ...] = ()
    reversible: bool = False
    volatile: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of_json(cls, kept: JsonObject) -> "Preview":
        """Return the preview that ``as_json`` made ``kept`` of."""
        changes = cast("Sequence[Mapping[str, str | None]]", kept["changes"])
        return cls(
            summary=str(kept["summary"]),
            target=str(kept["target"]),
            changes=tuple(
                Change(field=str(change["field"]), before=change["before"], after=change["after"])
                for change in changes
            ),
            reversible=bool(kept["reversible"]),
            volatile=cast("Mapping[str, str]", kept["volatile"]),
        )

    def as_json(self) -> JsonObject:
        """Return the whole preview as plain JSON, for journal and cards."""
        return {**self.bound(), "volatile": dict(self.volatile)}

    def bound(self) -> JsonObject:
        """Return the part that the digest binds: everything but what is volatile."""
        return {
            "summary": self.summary,
            "target": self.target,
            "changes": [
                {"field": c.field, "before": c.before, "after": c.after} for c in self.changes
            ],
            "reversible": self.reversible,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """The call that takes a call back: another tool of the same pack and its arguments."""

    tool: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """A tool did what was asked; ``output`` fits its output schema."""

    output: JsonObject
    inverse: Inverse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A tool could not, or was not let; ``code`` is stable, ``message`` is for model and person."""

    code: str
    message: str
    facts: JsonObject = field(default_factory=dict[str, "str | int"])


ToolResult = Succeeded | Failed
