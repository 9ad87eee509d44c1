"""Where browsers come: a client's request, and the page on which a person answers it."""

import hmac
import html
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from core.domain.sign_in import SignedIn
from core.errors import AuthorizationRefused, Forbidden, LimitReached, SallyportError
from core.identity.attempts import Attempts
from core.identity.authorization import ORDINARY_SCOPES, Asked, Authorization
from core.identity.redirects import redirect_host
from core.ports import Clock
from core.words import sentence_of
from mcp_server.auth.metadata import CONSENT_PATH
from mcp_server.auth.sign_in import ConsentPages, SignIn
from mcp_server.auth.wire import Parameters, address_of, form_of, parameters_of

_REQUESTS_A_MINUTE: Final = 120
_REQUESTS_IN_ALL: Final = 1200
_CONTENT: Final = "default-src 'none'; style-src 'self'"

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class BrowserPages:
    """Takes a request, has the person sign in and answer, and sends the browser back.

    Nobody is sent to an address that the client has not registered: what is wrong until that is
    known is told here.
    """

    def __init__(
        self,
        authorization: Authorization,
        *,
        sign_in: SignIn,
        pages: ConsentPages,
        clock: Clock,
    ) -> None:
        """Take who decides, who knows people, and who asks them."""
        self._authorization = authorization
        self._sign_in = sign_in
        self._pages = pages
        self._attempts = Attempts(
            most=_REQUESTS_A_MINUTE, in_all=_REQUESTS_IN_ALL, seconds=60.0, clock=clock
        )

    async def authorize(self, request: Request) -> Response:
        """Take a client's request (RFC 6749 section 4.1.1), and go on to the page."""
        try:
            self._attempts.take(address_of(request))
            given = parameters_of(request.url.query)
            client, redirect_uri = await self._authorization.target(
                given.wanted("client_id"), redirect_uri=given.get("redirect_uri")
            )
        except SallyportError as error:
            return _trouble(error)
        try:
            handle = await self._authorization.ask(
                client, redirect_uri=redirect_uri, asked=_asked(given)
            )
        except AuthorizationRefused as error:
            _log.info("client.request_refused", code=error.code)
            return _sent_on(
                self._authorization.refusal(
                    error,
                    redirect_uri=redirect_uri,
                    state=given.get("state"),
                    told=sentence_of(error),
                )
            )
        except SallyportError as error:
            return _trouble(error)
        page = _page_of(handle)
        if await self._sign_in.who(request) is None:
            return _sent_on(self._sign_in.start(page))
        return _sent_on(page)

    async def consent(self, request: Request) -> Response:
        """Ask the person, or take their answer."""
        try:
            return await self._consent(request)
        except SallyportError as error:
            _log.info("client.answer_refused", code=error.code)
            return _trouble(error)

    async def _consent(self, request: Request) -> Response:
        handle = parameters_of(request.url.query).wanted("request")
        signed_in = await self._sign_in.who(request)
        if request.method == "POST":
            return await self._answer(request, handle=handle, signed_in=signed_in)
        if signed_in is None:
            return _sent_on(self._sign_in.start(_page_of(handle)))
        asked = await self._authorization.shown(handle, signed_in=signed_in)
        person = signed_in.principal
        if not asked.scopes or await self._authorization.is_remembered(asked, person=person):
            return _sent_on(await self._authorization.allow(handle, signed_in=signed_in))
        page = await self._pages.render(
            request,
            signed_in,
            client_name=asked.client_name,
            redirect_host=redirect_host(asked.redirect_uri),
            scopes=_in_order(asked.scopes),
            resource=asked.resource,
            form_token=signed_in.csrf,
            action=_page_of(handle),
        )
        return _guarded(page, going_to=asked.redirect_uri)

    async def _answer(
        self, request: Request, *, handle: str, signed_in: SignedIn | None
    ) -> Response:
        """Take the person's answer, from our own page and from nowhere else."""
        # Compared whole: a page of a neighbouring port or name is another origin.
        is_ours = request.headers.getlist("origin") == [self._authorization.issuer]
        form = await form_of(request)
        token = form.get("form_token") or ""
        if (
            signed_in is None
            or not is_ours
            or not hmac.compare_digest(token.encode(), signed_in.csrf.encode())
        ):
            raise Forbidden("form_not_ours")
        match form.get("answer"):
            case "allow":
                going_to = await self._authorization.allow(handle, signed_in=signed_in)
            case "deny":
                going_to = await self._authorization.deny(handle, signed_in=signed_in)
            case _:
                raise Forbidden("form_not_ours")
        return _sent_on(going_to, status=303)


def _asked(given: Parameters) -> Asked:
    return Asked(
        response_type=given.get("response_type"),
        state=given.get("state"),
        challenge=given.get("code_challenge"),
        challenge_method=given.get("code_challenge_method"),
        scope=given.get("scope"),
        resources=given.resources,
        prompt=given.get("prompt"),
    )


def _page_of(handle: str) -> str:
    return f"{CONSENT_PATH}?{urlencode({'request': handle})}"


def _in_order(scopes: frozenset[str]) -> tuple[str, ...]:
    first = tuple(scope for scope in ORDINARY_SCOPES if scope in scopes)
    return (*first, *sorted(scopes - frozenset(first)))


def _sent_on(location: str, *, status: int = 302) -> Response:
    headers = {"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"}
    return Response(status_code=status, headers=headers)


def _guarded(page: Response, *, going_to: str) -> Response:
    """Let nobody frame the page, keep it, or learn its address."""
    # Some browsers hold the redirect that answers the form to form-action as well.
    target = _source_of(going_to)
    page.headers["content-security-policy"] = (
        f"{_CONTENT}; form-action 'self' {target}; frame-ancestors 'none'; base-uri 'none'"
    )
    page.headers["x-frame-options"] = "DENY"
    page.headers["cache-control"] = "no-store"
    # With no-referrer a browser would send the form's Origin as null.
    page.headers["referrer-policy"] = "same-origin"
    return page


def _source_of(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return f"{parts.scheme}:"
    # A source of a policy has no way to name an IPv6 address.
    return f"{parts.scheme}://{parts.netloc}" if "[" not in parts.netloc else f"{parts.scheme}:"


def _trouble(error: SallyportError) -> Response:
    """Tell a person what is wrong, on a page that leads nowhere."""
    match error:
        case AuthorizationRefused():
            status = 400
        case Forbidden():
            status = 403
        case LimitReached():
            status = 429
        case _:
            status = 503
    page = HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sallyport</title>"
        f"<h1>This cannot go on</h1><p>{html.escape(sentence_of(error))}</p></html>",
        status_code=status,
        headers={
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "x-frame-options": "DENY",
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
        },
    )
    if isinstance(error, LimitReached):
        page.headers["retry-after"] = str(error.retry_after_seconds)
    return page
