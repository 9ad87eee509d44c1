"""Servers of others whose tools we offer: what they say of a tool, and what was accepted of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import cast

from core.domain.canonical import JsonObject, digest_of
from core.domain.ids import CredentialRef, TenantId
from core.domain.principal import Role
from core.domain.tool import Risk, Tool

PACK = "upstream:"
"""Begins the pack of every tool that comes from an upstream server; its name follows."""

GRACE_SECONDS = 1.0
"""How much later than the upstream's own time-out the door gives up, so that the cause is told."""

UPSTREAM_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")
_LONGEST_NAME = 64
_ILLEGAL = re.compile(r"[^a-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A tool as its server tells of it: all that a model or a person would go by, and be fooled by.

    ``annotations`` are the server's own word about risk; they are shown and never trusted.
    """

    name: str
    title: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None
    annotations: JsonObject

    @classmethod
    def of_json(cls, kept: JsonObject) -> "Definition":
        """Return the definition that ``as_json`` made ``kept`` of."""
        output = kept["output_schema"]
        return cls(
            name=str(kept["name"]),
            title=str(kept["title"]),
            description=str(kept["description"]),
            input_schema=cast("JsonObject", kept["input_schema"]),
            output_schema=cast("JsonObject", output) if output is not None else None,
            annotations=cast("JsonObject", kept["annotations"]),
        )

    def as_json(self) -> JsonObject:
        """Return the whole definition as plain JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "annotations": self.annotations,
        }

    @property
    def digest(self) -> str:
        """What the definition is pinned by."""
        return digest_of(self.as_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A tool as it was seen at its server just now, under the name that it would have here.

    ``fault`` is the code of what is wrong with it: such a tool cannot be accepted.
    """

    name: str
    definition: Definition
    fault: str | None = None


class PinState(StrEnum):
    """Where a tool of an upstream stands with a tenant."""

    NEW = "new"
    ACCEPTED = "accepted"
    HELD = "held"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an admin has said about a tool. Nothing said means the worst."""

    risk: Risk = Risk.DESTRUCTIVE
    approver: Role = Role.APPROVER
    needed: int = 1
    idempotent: bool = False
    timeout_seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedTool:
    """A tool of an upstream as a tenant's admins see it.

    ``accepted`` is what may be called; ``seen`` is what the server says now, where it differs.
    """

    name: str
    upstream: str
    state: PinState
    terms: Terms
    version: int
    accepted: Definition | None
    seen: Definition | None
    fault: str | None = None
    accepted_by: str | None = None
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """That a tenant uses an upstream, and with which credential; ``revision`` tells renewals.

    Where there is an ``entra_scope``, each call goes out with a token of that scope, got from Entra
    for the person it is made for, and the credential serves to look at the tools alone.
    """

    tenant_id: TenantId
    upstream: str
    credential: CredentialRef | None
    revision: int
    connected_by: str
    connected_at: datetime
    entra_scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActsAt:
    """A server at which the agent can act as somebody, and whether it may."""

    upstream: str
    may: bool


def tool_name(upstream: str, *, theirs: str) -> str | None:
    """Return the name that an upstream's tool has here; None where it can have none."""
    plain = _ILLEGAL.sub("_", theirs.lower())
    name = f"{upstream}__{plain}"
    return name if plain.strip("_-") and len(name) <= _LONGEST_NAME else None


def upstream_of(tool: Tool) -> str | None:
    """Return the upstream that a tool comes from; None for one of our own."""
    return tool.pack.removeprefix(PACK) if tool.pack.startswith(PACK) else None


UNSTRUCTURED: JsonObject = MappingProxyType(
    {
        "type": "object",
        "properties": {"content": {"type": "array", "items": {"type": "object"}}},
        "required": ["content"],
        "additionalProperties": False,
    }
)
"""What a tool without an output schema of its own returns: blocks of content."""


def tool_of(
    definition: Definition, *, name: str, upstream: str, terms: Terms, version: int, digest: str
) -> Tool:
    """Return the tool that a pinned definition is for the door."""
    return Tool(
        name=name,
        pack=f"{PACK}{upstream}",
        version=version,
        description=definition.description or definition.title or definition.name,
        input_schema=definition.input_schema,
        output_schema=definition.output_schema or dict(UNSTRUCTURED),
        risk=terms.risk,
        approver=terms.approver,
        needed=terms.needed,
        idempotent=terms.idempotent,
        reversible=False,
        cost_micros=0,
        timeout_seconds=terms.timeout_seconds + GRACE_SECONDS,
        per_minute=None,
        definition_digest=digest,
    )


def with_clashes_told(sightings: Mapping[str, Sighting]) -> dict[str, Sighting]:
    """Return what was seen by its server's names, where two would have one name here: neither."""
    taken: dict[str, int] = {}
    for one in sightings.values():
        taken[one.name] = taken.get(one.name, 0) + 1
    return {
        theirs: one
        if one.fault or taken[one.name] == 1
        else replace(one, fault="upstream_name_clash")
        for theirs, one in sightings.items()
    }
