"""Pages out of templates: everything shown is escaped, and nothing on a page runs."""

import hashlib
import json
import unicodedata
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.domain.canonical import Json
from core.domain.sign_in import SignedIn
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    SallyportError,
    Unauthenticated,
    Unavailable,
)
from core.words import sentence_of

_HERE: Final = Path(__file__).parent
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'{form_action}"
)
_STATUS: Final[tuple[tuple[type[SallyportError], int], ...]] = (
    (InvalidInput, 422),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (LimitReached, 429),
    (Unavailable, 503),
)

Handler = Callable[[Request], Awaitable[Response]]

_LAID_OUT: Final = frozenset({"\n", "\t"})


class Pages:
    """Renders the templates, each with the headers that keep it to itself."""

    def __init__(self) -> None:
        """Read the style now, and templates when they are first asked for."""
        self._style = (_HERE / "static" / "pages.css").read_bytes()
        self._style_path = f"/assets/{hashlib.sha256(self._style).hexdigest()[:16]}/pages.css"
        self._templates = _templates()

    def page(
        self, template: str, *, status: int = 200, leads_away: bool = False, **values: object
    ) -> HTMLResponse:
        """Return a page.

        A form on it is sent to us alone, and so is wherever that leads; unless it ``leads_away``,
        where the answer to the form sends the browser on to somebody else.
        """
        html = self._templates.get_template(template).render(
            {"style": self._style_path, "signed_in": None, **values}
        )
        # Browsers hold redirects that follow a form to form-action, too.
        policy = _POLICY.format(form_action="" if leads_away else "; form-action 'self'")
        headers = {
            "content-security-policy": policy,
            "x-frame-options": "DENY",
            "cache-control": "no-store",
            # Not no-referrer: with that, browsers send "Origin: null" with our own forms.
            "referrer-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        return HTMLResponse(html, status_code=status, headers=headers)

    def error(self, error: SallyportError, *, signed_in: SignedIn | None = None) -> HTMLResponse:
        """Return the page that says what went wrong, with its stable code."""
        page = self.page(
            "error.html",
            status=status_of(error),
            code=error.code,
            sentence=sentence_of(error),
            signed_in=signed_in,
        )
        if isinstance(error, LimitReached):
            page.headers["retry-after"] = str(error.retry_after_seconds)
        return page

    def showing(self, handler: Handler) -> Handler:
        """Have a handler's errors shown as a page."""

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except SallyportError as error:
                return self.error(error)

        return shown

    def assets(self) -> Route:
        """Return the route of the style; its address changes with what it says."""

        async def style(_request: Request) -> Response:
            headers = {"cache-control": "public, max-age=31536000, immutable"}
            return Response(self._style, media_type="text/css", headers=headers)

        return Route(self._style_path, style, methods=["GET"])


def status_of(error: SallyportError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def plain(text: object) -> str:
    """Return a text with its invisible characters spelled out.

    One that turns the order of letters around, or hides some, would show another text than the one
    that is decided about.
    """
    return "".join(
        letter
        if letter in _LAID_OUT or unicodedata.category(letter)[0] != "C"
        else f"\N{LEFT-POINTING ANGLE BRACKET}U+{ord(letter):04X}\N{RIGHT-POINTING ANGLE BRACKET}"
        for letter in str(text)
    )


def moment(at: datetime) -> str:
    """Return a time for people: ``21 November 2026, 14:05 UTC``."""
    told = at.astimezone(UTC)
    return f"{told.day} {told:%B %Y, %H:%M} UTC"


def pretty(value: Json) -> str:
    """Return a value as people read it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


@cache
def _templates() -> Environment:
    """Return the templates, each compiled once in a process."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "moment": moment, "pretty": pretty}
    return environment
