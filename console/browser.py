"""What a browser brings: cookies, forms, and the proof that a form came from a page of ours."""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from core.errors import Forbidden, InvalidInput
from core.identity.browser_sessions import SESSION_LIFE, form_token, own_path

_FORM: Final = "application/x-www-form-urlencoded"
_LARGEST_FORM: Final = 65_536
_MOST_FIELDS: Final = 20
_SESSION: Final = "sp_session"
_VISIT: Final = "sp_visit"
_BACK: Final = "sp_back"
_LONGEST_BACK: Final = 2048
_VISIT_SECONDS: Final = 1800
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Site:
    """Where we are to be found, and the cookies that we leave there.

    A visit is a browser before anybody has signed in: its forms, and the way to a provider and
    back, are bound to it by a cookie of its own.
    """

    def __init__(self, public_url: str | None) -> None:
        """Take our address; without one it is what the browser says, on this machine."""
        self._public_url = public_url

    def origin(self, request: Request) -> str:
        """Return our address as this browser must use it."""
        return self._public_url or f"{request.url.scheme}://{request.url.netloc}"

    def session_secret(self, request: Request) -> str | None:
        """Return the secret of the session that the browser claims to have."""
        return request.cookies.get(self._name(request, _SESSION))

    def keep_session(self, request: Request, response: Response, *, secret: str) -> None:
        """Have the browser keep a session; the visit that led to it is over."""
        seconds = int(SESSION_LIFE.total_seconds())
        self._keep(request, response, name=_SESSION, value=secret, seconds=seconds)
        self._keep(request, response, name=_VISIT, value="", seconds=0)
        self._keep(request, response, name=_BACK, value="", seconds=0)

    def forget_session(self, request: Request, response: Response) -> None:
        """Have the browser forget its session."""
        self._keep(request, response, name=_SESSION, value="", seconds=0)

    def visit(self, request: Request) -> str | None:
        """Return the secret of the browser's visit."""
        told = request.cookies.get(self._name(request, _VISIT), "")
        return told if _SECRET.fullmatch(told) else None

    def keep_visit(self, request: Request, response: Response, *, secret: str) -> None:
        """Have the browser keep a visit for half an hour more."""
        self._keep(request, response, name=_VISIT, value=secret, seconds=_VISIT_SECONDS)

    def back(self, request: Request) -> str | None:
        """Return the path that the visit came from, as the browser has kept it."""
        told = request.cookies.get(self._name(request, _BACK), "")
        try:
            return own_path(urlsafe_b64decode(told.encode()).decode())
        except (ValueError, InvalidInput):
            return None

    def keep_back(self, request: Request, response: Response, *, path: str) -> None:
        """Have the browser keep where a visit came from, for whoever signs in by a link."""
        told = urlsafe_b64encode(path.encode()).decode()
        if len(told) <= _LONGEST_BACK:
            self._keep(request, response, name=_BACK, value=told, seconds=_VISIT_SECONDS)

    async def form(self, request: Request, *, secret: str | None) -> Mapping[str, str]:
        """Return the fields of a form that a page of ours gave to this very browser.

        Raises:
            Forbidden: ``form_not_ours``: another site sent it, or the page is too old.
            InvalidInput: ``malformed_form``.
        """
        self._check_origin(request)
        fields = await _fields(request)
        given = fields.get("form_token", "")
        if secret is None or not hmac.compare_digest(given.encode(), form_token(secret).encode()):
            raise Forbidden("form_not_ours")
        return fields

    def _check_origin(self, request: Request) -> None:
        """Refuse what another site sends: browsers say so with every POST (RFC 6454 section 7)."""
        told = request.headers.get("origin")
        if told is None:
            return
        ours = {self._public_url, f"{request.url.scheme}://{request.url.netloc}"}
        # Behind a proxy that ends TLS, the scheme that we see is not the browser's.
        same_host = self._public_url is None and urlsplit(told).netloc == request.url.netloc
        if told not in ours and not same_host:
            raise Forbidden("form_not_ours")

    def _keep(
        self, request: Request, response: Response, *, name: str, value: str, seconds: int
    ) -> None:
        response.set_cookie(
            self._name(request, name),
            value,
            max_age=seconds,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def _name(self, request: Request, name: str) -> str:
        # A cookie of that prefix cannot have been set by a neighbouring host (RFC 6265bis 4.1.3).
        return f"__Host-{name}" if self._is_secure(request) else name

    def _is_secure(self, request: Request) -> bool:
        return self.origin(request).startswith("https://")


def new_visit() -> str:
    """Return the secret of a new visit."""
    return secrets.token_urlsafe(32)


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidInput("malformed_form", detail="it is no form")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise InvalidInput("malformed_form", detail="it is too large")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise InvalidInput("malformed_form", detail="it cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput("malformed_form", detail="a field is there twice")
    return fields
