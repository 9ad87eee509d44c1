"""Pages of lists that are sorted by a name, and the cursors between them."""

import base64
import binascii
from collections.abc import Iterable

from mcp import MCPError, types


def page_of(
    names: Iterable[str], *, cursor: str | None, size: int
) -> tuple[tuple[str, ...], str | None]:
    """Return the ``size`` names behind ``cursor``, in their order, and the cursor of what is left.

    Raises:
        MCPError: a cursor that is not ours.
    """
    after = _name_in(cursor)
    left = sorted(name for name in names if name > after)
    page = tuple(left[:size])
    return page, _cursor_after(page[-1]) if len(left) > len(page) else None


def _cursor_after(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _name_in(cursor: str | None) -> str:
    if cursor is None:
        return ""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise MCPError(types.INVALID_PARAMS, "This cursor is not one of ours.") from None
