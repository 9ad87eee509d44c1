"""The port to Teams: who sent what comes in, and what goes out. Only its adapters know an SDK."""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, cast

from core.domain.canonical import JsonObject

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_NOT_FOUND: Final = 404
_LONGEST_DETAIL: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a conversation is.

    ``service_url`` as an activity said it; ``conversation`` whole, with ``;messageid=…`` for a
    thread in a channel; ``tenant`` the Entra tenant's id.
    """

    service_url: str
    conversation: str
    tenant: str

    @property
    def roster(self) -> str:
        """The conversation without its thread, which is where members are."""
        return self.conversation.partition(";")[0]


class WireRefused(Exception):
    """Teams said no.

    ``code`` is Teams' own (``BotNotInConversationRoster``; ``unknown`` where it gives none),
    ``seconds`` how long it wants to be left alone, ``detail`` its words: some refusals of a stream
    differ in nothing else. 401 where Microsoft does not take our credentials.
    """

    def __init__(
        self, *, status: int, code: str, seconds: float | None = None, detail: str = ""
    ) -> None:
        """Take HTTP's status, Teams' code, the seconds of ``Retry-After``, and Teams' words."""
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.seconds = seconds
        self.detail = detail


class WireUnreachable(Exception):
    """Teams, or Microsoft's sign-in, gave no answer: it may have been done, or not."""


class Wire(Protocol):
    """Teams, as far as it is needed; activities are plain objects and arrive as they are.

    What goes out raises WireRefused and WireUnreachable, and reaches Microsoft's addresses only,
    whatever address an activity named.
    """

    async def parse(self, activity: JsonObject, *, authorization: str | None) -> None:
        """Check that Teams has sent an activity, to us, now.

        Raises:
            Unauthenticated: ``teams_not_signed``.
            Unavailable: ``teams_unavailable``: Microsoft's keys cannot be had now.
        """
        ...

    async def send(self, to: Reference, activity: JsonObject) -> str:
        """Send an activity; return its id, empty where Teams gives none (a stream that goes on)."""
        ...

    async def update(self, to: Reference, *, message: str, activity: JsonObject) -> None:
        """Put ``activity`` in the place of a message of ours."""
        ...

    async def create(self, *, service_url: str, tenant: str, user: str) -> str:
        """Return the personal conversation with a user, by Entra object id; the same each time."""
        ...

    async def member(self, to: Reference, *, user: str) -> JsonObject | None:
        """Return what Teams says of a member, by either id; None where they are none.

        ``id``, ``aadObjectId``, ``userRole``, ``userPrincipalName``, ``email``, ``tenantId``, as
        far as Teams tells them.
        """
        ...


@contextmanager
def answered() -> Generator[None]:
    """Raise WireUnreachable for whatever an SDK raises at an answer that it cannot read.

    An answer of that kind may be a proxy's: what was sent may have been taken, or not.
    """
    try:
        yield
    except (WireRefused, WireUnreachable):
        raise
    except Exception as error:
        # Each SDK lets through what its parsers raise, down to KeyError and RecursionError.
        raise WireUnreachable from error


def refusal(*, status: int, retry_after: str | None, body: bytes) -> WireRefused:
    """Return what an answer that is no success means."""
    try:
        told: object = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    error = _member(told, "error")
    code, detail = _member(error, "code"), _member(error, "message")
    seconds = retry_after if retry_after and _SECONDS.fullmatch(retry_after) else None
    return WireRefused(
        status=status,
        code=code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown",
        seconds=float(seconds) if seconds else None,
        detail=detail[:_LONGEST_DETAIL] if isinstance(detail, str) else "",
    )


def new_personal(*, tenant: str, user: str) -> JsonObject:
    """Return what the service is asked for the personal chat with a user, by Entra object id.

    It takes that id as ``id`` only: under ``aadObjectId`` it is a bad request.
    """
    return {
        "isGroup": False,
        "members": [{"id": user}],
        "tenantId": tenant,
        "channelData": {"tenant": {"id": tenant}},
    }


def member_of(told: JsonObject) -> JsonObject:
    """Return a member under one name for the Entra object id, of which the service has two."""
    return {"aadObjectId": told.get("objectId"), **told}


def is_nobody(error: WireRefused) -> bool:
    """Return whether a member was asked for who is none, in a conversation that is there."""
    return error.status == _NOT_FOUND and error.code != "ConversationNotFound"


def _member(told: object, name: str) -> object:
    return cast("JsonObject", told).get(name) if isinstance(told, dict) else None
