"""Pages out of templates: everything shown is escaped, and next to nothing on a page runs."""

import hashlib
import json
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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
    COME_AGAIN_SECONDS,
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
_FRAMED_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self' {library}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {within}"
)
# Not no-referrer: with that, browsers send "Origin: null" with our own forms.
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    """A file of ours; its address changes with what it says."""

    content: bytes
    path: str
    media_type: str

    @classmethod
    def read(cls, name: str, *, media_type: str) -> "_Asset":
        content = (_HERE / "static" / name).read_bytes()
        path = f"/assets/{hashlib.sha256(content).hexdigest()[:16]}/{name}"
        return cls(content=content, path=path, media_type=media_type)

    def route(self) -> Route:
        async def asset(_request: Request) -> Response:
            headers = {"cache-control": "public, max-age=31536000, immutable"}
            return Response(self.content, media_type=self.media_type, headers=headers)

        return Route(self.path, asset, methods=["GET"])


class Pages:
    """Renders the templates, each with the headers that keep it to itself."""

    def __init__(self) -> None:
        """Read style and script now, and templates when they are first asked for."""
        self._style = _Asset.read("pages.css", media_type="text/css")
        self._script = _Asset.read("teams_tab.js", media_type="text/javascript")
        self._templates = _templates()

    def page(
        self, template: str, *, status: int = 200, leads_away: bool = False, **values: object
    ) -> HTMLResponse:
        """Return a page.

        A form on it is sent to us alone, and so is wherever that leads; unless it ``leads_away``,
        where the answer to the form sends the browser on to somebody else.
        """
        # Browsers hold redirects that follow a form to form-action, too.
        policy = _POLICY.format(form_action="" if leads_away else "; form-action 'self'")
        headers = {"content-security-policy": policy, "x-frame-options": "DENY", **_HEADERS}
        return HTMLResponse(self._html(template, values), status_code=status, headers=headers)

    def framed(
        self, template: str, *, within: Sequence[str], library: str, **values: object
    ) -> HTMLResponse:
        """Return a page that the sites ``within`` may show in a frame, and nobody else.

        On it run ``library``, which is theirs, at that very address, and our own script, which may
        ask us. So it should say nothing of anybody: whatever it is told, it is told by a token.
        """
        policy = _FRAMED_POLICY.format(library=library, within=" ".join(within))
        html = self._html(template, {"library": library, "script": self._script.path, **values})
        return HTMLResponse(html, headers={"content-security-policy": policy, **_HEADERS})

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
        elif isinstance(error, Unavailable):
            page.headers["retry-after"] = str(COME_AGAIN_SECONDS)
        return page

    def showing(self, handler: Handler) -> Handler:
        """Have a handler's errors shown as a page."""

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except SallyportError as error:
                return self.error(error)

        return shown

    def assets(self) -> tuple[Route, ...]:
        """Return the routes of style and script."""
        return self._style.route(), self._script.route()

    def _html(self, template: str, values: Mapping[str, object]) -> str:
        shown = {"style": self._style.path, "signed_in": None, **values}
        return self._templates.get_template(template).render(shown)


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
