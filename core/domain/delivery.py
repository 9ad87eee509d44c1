"""What arrives from a chat surface, and what is to be delivered there."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.domain.canonical import JsonObject
from core.domain.ids import RunId, TenantId


class Kind(StrEnum):
    """What a message is for; the order is that of delivery where a limit makes some wait."""

    APPROVAL = "approval"
    FINAL = "final"
    ERROR = "error"
    PRIVATE = "private"
    HOME = "home"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where on a surface: a workspace, and an address in it that only the surface reads."""

    surface: str
    workspace: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Something that happened on a surface, kept before the platform was answered.

    ``external_id`` names it for the platform: the same one twice is one arrival. Those of a
    conversation are handled in the order of ``position``; ``urgent`` ones, for which somebody waits
    at a screen, before all others. ``attempts`` counts this one.
    """

    id: UUID
    tenant_id: TenantId
    surface: str
    workspace: str
    conversation: str
    position: str
    external_id: str
    urgent: bool
    payload: JsonObject
    attempts: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a message should be in the end. A newer wish of the same ``key`` takes its place.

    ``payload`` is the surface's own to read.
    """

    place: Place
    key: str
    kind: Kind
    payload: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A wish on its way; ``sent`` is what the platform has taken of that message so far.

    ``wished_at`` is when the first wish for it came that is not delivered yet.
    """

    id: UUID
    version: int
    tenant_id: TenantId
    wish: Wish
    sent: JsonObject
    attempts: int
    wished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What could not be handled (``way`` is in) or delivered (out); ``error`` is a stable code."""

    id: UUID
    way: str
    place: Place
    what: str
    error: str
    attempts: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedRun:
    """A run that somebody follows on a surface: who asked, where, and how far it was told."""

    tenant_id: TenantId
    run_id: RunId
    place: Place
    asker: str
    told_seq: int
    told_text: int
