"""Opaque cursors of this API's lists: where one goes on, without promising how."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

from core.errors import InvalidInput

LONGEST_CURSOR = 200
_HIGHEST = 2**63 - 1


def cursor_of(at: datetime, *, last: UUID) -> str:
    """Return the cursor behind the row of that moment and id."""
    return _sealed(at, str(last))


def place_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return moment and id of the last row seen; None at the start.

    Raises:
        InvalidInput: ``invalid_cursor``.
    """
    if cursor is None:
        return None
    at, last = _opened(cursor)
    try:
        return at, UUID(last)
    except ValueError as error:
        raise InvalidInput("invalid_cursor") from error


def numbered_cursor_of(at: datetime, *, number: int) -> str:
    """Return the cursor behind the row of that moment and number."""
    return _sealed(at, str(number))


def numbered_place_of(cursor: str | None) -> tuple[datetime, int] | None:
    """Return moment and number of the last row seen; None at the start.

    Raises:
        InvalidInput: ``invalid_cursor``.
    """
    if cursor is None:
        return None
    at, last = _opened(cursor)
    if not (last.isascii() and last.isdecimal()) or int(last) > _HIGHEST:
        raise InvalidInput("invalid_cursor")
    return at, int(last)


def _sealed(at: datetime, last: str) -> str:
    told = json.dumps([at.isoformat(), last]).encode()
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _opened(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        told: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        match told:
            case [str(at), str(last)]:
                return datetime.fromisoformat(at).astimezone(UTC), last
            case _:
                raise InvalidInput("invalid_cursor")
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput("invalid_cursor") from error
