"""Opaque cursors: where a list goes on, without promising how."""

import base64
import binascii
import json
from datetime import UTC, datetime
from uuid import UUID

from core.errors import InvalidInput

LONGEST_CURSOR = 1000


def cursor_of(sort: str | datetime, *, last: UUID) -> str:
    """Return the cursor that goes on after the row with this sort value and id."""
    told = sort.isoformat() if isinstance(sort, datetime) else sort
    return base64.urlsafe_b64encode(json.dumps([told, str(last)]).encode()).decode().rstrip("=")


def after_text(cursor: str | None) -> tuple[str, UUID] | None:
    """Return sort value and id of the last row seen, None at the start.

    Raises:
        InvalidInput: ``invalid_cursor``.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        told: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        match told:
            case [str(sort), str(last)] if "\x00" not in sort:
                sort.encode()
                return sort, UUID(last)
            case _:
                raise InvalidInput("invalid_cursor")
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("invalid_cursor") from error


def after_moment(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return as :func:`after_text` does, for a list in order of time.

    Raises:
        InvalidInput: ``invalid_cursor``.
    """
    told = after_text(cursor)
    if told is None:
        return None
    sort, last = told
    try:
        return datetime.fromisoformat(sort).astimezone(UTC), last
    except (ValueError, OverflowError) as error:
        raise InvalidInput("invalid_cursor") from error
