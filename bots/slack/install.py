"""How a workspace comes to belong to a company: an admin installs the app, in one browser."""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bots.slack.manifest import INSTALL_PATH, REDIRECT_PATH
from bots.slack.web import WebApi
from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.chat import Installation, InstallState, Surface, Workspace
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.sign_in import SignedIn
from core.errors import Forbidden, InvalidInput, SallyportError, Unauthenticated
from core.ports import Clock

_SEE_OTHER: Final = 303
_LIFE: Final = timedelta(minutes=10)
_COOKIE: Final = "sp_slack_install"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_CODE: Final = re.compile(r"[\x21-\x7e]{1,1000}", re.ASCII)
_WORD: Final = re.compile(r"[a-z_]{1,40}", re.ASCII)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class SignedInPeople(Protocol):
    """Who is at a browser, and where to send whoever is nobody yet."""

    async def who(self, request: Request) -> SignedIn | None:
        """Return who is signed in at this browser, as they stand now."""
        ...

    def start(self, return_to: str, *, tenant: str | None = None) -> str:
        """Return the path to send a browser to, so that it comes back signed in."""
        ...


class InstallationPages(Protocol):
    """What people see of an installation."""

    def page(
        self, template: str, *, status: int = 200, leads_away: bool = False, **values: object
    ) -> Response:
        """Return the page of that template."""
        ...

    def error(self, error: SallyportError, *, signed_in: SignedIn | None = None) -> Response:
        """Return the page that says what went wrong, with its stable code."""
        ...


class Here(Protocol):
    """Where we are to be found."""

    def origin(self, request: Request) -> str:
        """Return our address as this browser must use it."""
        ...


class InstallStates(Protocol):
    """Where installations under way are kept, by the SHA-256 of what tells them apart."""

    async def keep(self, state: InstallState, *, state_hash: bytes, now: datetime) -> None:
        """Keep an installation that leaves."""
        ...

    async def take(
        self,
        surface: Surface,
        *,
        state_hash: bytes,
        browser_hash: bytes,
        principal_id: PrincipalId,
        now: datetime,
    ) -> InstallState | None:
        """Return the installation that this person began in this browser, and forget it."""
        ...


class InstalledWorkspaces(Protocol):
    """Where workspaces are kept."""

    async def keep(
        self,
        tenant_id: TenantId,
        *,
        installation: Installation,
        installed_by: PrincipalId,
        at: datetime,
        audit: AuditRecord,
    ) -> Workspace:
        """Keep what was installed.

        Raises:
            Conflict: ``workspace_taken``: it is another tenant's.
        """
        ...


class InstallPages:
    """Sends an admin to Slack, and takes what they bring back: once, from the same browser."""

    def __init__(
        self,
        web: WebApi,
        *,
        workspaces: InstalledWorkspaces,
        states: InstallStates,
        people: SignedInPeople,
        pages: InstallationPages,
        here: Here,
        clock: Clock,
    ) -> None:
        """Take who asks Slack, where things are kept, and who is at the browser."""
        self._web = web
        self._workspaces = workspaces
        self._states = states
        self._people = people
        self._pages = pages
        self._here = here
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of the installation."""
        return (
            Route(INSTALL_PATH, self._shown(self._leave), methods=["GET"]),
            Route(REDIRECT_PATH, self._shown(self._arrive), methods=["GET"]),
        )

    def _shown(
        self, answering: Callable[[Request, SignedIn], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Have an admin answered, and whatever goes wrong shown as a page."""

        async def shown(request: Request) -> Response:
            signed_in = await self._people.who(request)
            if signed_in is None:
                # Whoever comes back without a session begins again: what they bring is not kept.
                return RedirectResponse(self._people.start(INSTALL_PATH), status_code=_SEE_OTHER)
            try:
                if Role.ADMIN not in signed_in.principal.roles:
                    raise Forbidden("install_needs_admin")
                return await answering(request, signed_in)
            except SallyportError as error:
                _log.info("slack.install_refused", code=error.code)
                return self._pages.error(error, signed_in=signed_in)

        return shown

    async def _leave(self, request: Request, signed_in: SignedIn) -> Response:
        """Send the admin to Slack, with a state that only this browser can bring back."""
        state, browser, now = secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._now()
        admin = signed_in.principal
        await self._states.keep(
            InstallState(
                tenant_id=admin.tenant_id,
                surface=Surface.SLACK,
                principal_id=admin.id,
                browser_hash=_hash(browser),
                expires_at=now + _LIFE,
            ),
            state_hash=_hash(state),
            now=now,
        )
        there = self._web.authorize_url(state=state, redirect_uri=self._redirect_uri(request))
        response = RedirectResponse(there, status_code=_SEE_OTHER)
        self._keep_browser(request, response, secret=browser, seconds=int(_LIFE.total_seconds()))
        return response

    async def _arrive(self, request: Request, signed_in: SignedIn) -> Response:
        """Take Slack's answer; nothing is kept unless all of it is right."""
        if request.method != "GET":
            # A look at the address must not use up what it carries.
            raise Unauthenticated("install_expired")
        await self._take(request, signed_in)
        told = request.query_params
        if refusal := told.get("error"):
            detail = refusal if _WORD.fullmatch(refusal) else "it was refused"
            raise Forbidden("install_denied", detail=detail)
        code = told.get("code", "")
        if _CODE.fullmatch(code) is None:
            raise InvalidInput("install_failed", detail="Slack has sent no code")
        now, admin = self._now(), signed_in.principal
        installation = await self._web.installed(
            code, redirect_uri=self._redirect_uri(request), now=now
        )
        # Where this is refused, the token that was just made is left alone: revoking it would take
        # the app out of a workspace that is somebody else's.
        workspace = await self._workspaces.keep(
            admin.tenant_id,
            installation=installation,
            installed_by=admin.id,
            at=now,
            audit=installed_record(installation, by=admin, actor=admin.email, at=now),
        )
        response = self._pages.page(
            "slack_connected.html", signed_in=signed_in, name=workspace.name
        )
        self._keep_browser(request, response, secret="", seconds=0)
        return response

    async def _take(self, request: Request, signed_in: SignedIn) -> None:
        """Use up the installation that this person began in this browser.

        Raises:
            Unauthenticated: ``install_expired``: there is none.
        """
        state = request.query_params.get("state", "")
        browser = request.cookies.get(self._cookie(request), "")
        if _SECRET.fullmatch(state) is None or _SECRET.fullmatch(browser) is None:
            raise Unauthenticated("install_expired")
        taken = await self._states.take(
            Surface.SLACK,
            state_hash=_hash(state),
            browser_hash=_hash(browser),
            principal_id=signed_in.principal.id,
            now=self._now(),
        )
        if taken is None:
            raise Unauthenticated("install_expired")

    def _redirect_uri(self, request: Request) -> str:
        return f"{self._here.origin(request)}{REDIRECT_PATH}"

    def _keep_browser(
        self, request: Request, response: Response, *, secret: str, seconds: int
    ) -> None:
        response.set_cookie(
            self._cookie(request),
            secret,
            max_age=seconds,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def _cookie(self, request: Request) -> str:
        # A cookie of that prefix cannot have been set by a neighbouring host (RFC 6265bis 4.1.3).
        return f"__Host-{_COOKIE}" if self._is_secure(request) else _COOKIE

    def _is_secure(self, request: Request) -> bool:
        return self._here.origin(request).startswith("https://")

    def _now(self) -> datetime:
        return self._clock.now()


def installed_record(
    installation: Installation, *, by: Principal, actor: str, at: datetime
) -> AuditRecord:
    """Return what the auditor is told of an installation."""
    content: JsonObject = {
        "workspace": installation.workspace,
        "name": installation.name,
        "app": installation.app,
        "bot_user": installation.bot_user,
        "scopes": [*installation.scopes],
    }
    return audit_record(by.tenant_id, at=at, action="slack.installed", actor=actor, content=content)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
