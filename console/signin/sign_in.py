"""The pages on which people sign in: through their company's provider, or by a one-time link."""

import re
from typing import Final, Protocol
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.browser import Site, new_visit
from console.rendering import Handler, Pages
from core.domain.ids import TenantId
from core.domain.sign_in import How, IdentityProvider, SignedIn
from core.errors import InvalidInput, Unauthenticated
from core.identity.attempts import Attempts
from core.identity.browser_sessions import Sessions, form_token, own_path
from core.identity.federation import Arrival, Federation
from core.ports import Clock

SIGN_IN_PATH: Final = "/signin"
CALLBACK_PATH: Final = "/signin/callback"

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@([a-z0-9.-]{1,253})", re.ASCII)
_SEE_OTHER: Final = 303
_ATTEMPTS_A_MINUTE: Final = 120
_ATTEMPTS_IN_ALL: Final = 1200


class Companies(Protocol):
    """Which company somebody means."""

    async def tenant_id(self, name: str) -> TenantId | None:
        """Return the id of the tenant of that name."""
        ...

    async def tenant_of_domain(self, domain: str) -> TenantId | None:
        """Return whose provider speaks for this email domain; None where that is not just one."""
        ...


class ProvidersOfTenants(Protocol):
    """Which provider a company signs in with."""

    async def provider(self, tenant_id: TenantId) -> IdentityProvider | None:
        """Return the tenant's provider, if it has one."""
        ...


class SignInPages:
    """Sign-in and sign-out. Other front doors ask it who somebody is, and send people here."""

    def __init__(
        self,
        *,
        site: Site,
        pages: Pages,
        sessions: Sessions,
        federation: Federation,
        companies: Companies,
        providers: ProvidersOfTenants,
        clock: Clock,
    ) -> None:
        """Take where we are, who renders, and who knows whom."""
        self._site = site
        self._pages = pages
        self._sessions = sessions
        self._federation = federation
        self._companies = companies
        self._providers = providers
        self._attempts = Attempts(
            most=_ATTEMPTS_A_MINUTE, in_all=_ATTEMPTS_IN_ALL, seconds=60.0, clock=clock
        )

    async def who(self, request: Request) -> SignedIn | None:
        """Return who is signed in at this browser, as they stand now."""
        secret = self._site.session_secret(request)
        return await self._sessions.who(secret) if secret else None

    def start(self, return_to: str, *, tenant: str | None = None) -> str:
        """Return the path to send a browser to, so that it comes back to ``return_to`` signed in.

        Raises:
            InvalidInput: ``invalid_return_to``: that is none of our own paths.
        """
        asked = {"return_to": own_path(return_to)} | ({"tenant": tenant} if tenant else {})
        return f"{SIGN_IN_PATH}?{urlencode(asked)}"

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of sign-in."""

        def route(path: str, handler: Handler, method: str) -> Route:
            return Route(path, self._pages.showing(handler), methods=[method])

        return (
            route(SIGN_IN_PATH, self._counted(self._form), "GET"),
            route(SIGN_IN_PATH, self._counted(self._leave), "POST"),
            route(CALLBACK_PATH, self._counted(self._arrive), "GET"),
            route("/signin/link/{secret}", self._counted(self._landing), "GET"),
            route("/signin/link/{secret}", self._counted(self._use), "POST"),
            route("/signin/out", self._sign_out, "POST"),
        )

    def _counted(self, handler: Handler) -> Handler:
        """Let an address, and all together, come to ``handler`` so often and no oftener."""

        async def counted(request: Request) -> Response:
            # The address of the connection: whatever a header says of another is anybody's word.
            self._attempts.take(request.client.host if request.client else "")
            return await handler(request)

        return counted

    async def _form(self, request: Request) -> Response:
        """Ask who it is; whoever is signed in already goes on."""
        return_to = own_path(request.query_params.get("return_to", SIGN_IN_PATH))
        tenant = _tenant_name(request.query_params.get("tenant", ""))
        signed_in = await self.who(request)
        if signed_in is not None and await self._is_of(signed_in, tenant=tenant):
            if return_to != SIGN_IN_PATH:
                return RedirectResponse(return_to, status_code=_SEE_OTHER)
            return self._pages.page("signed_in.html", signed_in=signed_in)
        return self._asking(request, return_to=return_to, tenant=tenant, signed_in=signed_in)

    async def _leave(self, request: Request) -> Response:
        """Find the company's provider, and send the browser there.

        Whoever has none is told the same, whether or not anybody knows the company or the address.
        """
        visit = self._site.visit(request)
        fields = await self._site.form(request, secret=visit)
        return_to = own_path(fields.get("return_to", SIGN_IN_PATH))
        email = fields.get("email", "").strip().lower()
        tenant = _tenant_name(fields.get("tenant", "").strip().lower())
        provider = await self._provider(email=email, tenant=tenant)
        if provider is None or visit is None:
            return self._pages.page("no_provider.html", email=email, tenant=tenant)
        there = await self._federation.begin(
            provider,
            browser=visit,
            redirect_uri=self._callback(request),
            return_to=return_to,
            login_hint=email if _EMAIL.fullmatch(email) else "",
        )
        response = self._pages.page("leaving.html", there=there, host=urlsplit(there).netloc)
        self._site.keep_visit(request, response, secret=visit)
        return response

    async def _arrive(self, request: Request) -> Response:
        """Take the provider's answer, in the browser that was sent there."""
        visit = self._site.visit(request)
        if visit is None or request.method != "GET":
            raise Unauthenticated("sign_in_expired")
        told = request.query_params
        person, return_to = await self._federation.finish(
            Arrival(
                state=told.get("state", ""),
                code=told.get("code", ""),
                issuer=told.get("iss", ""),
                error=told.get("error", ""),
            ),
            browser=visit,
            redirect_uri=self._callback(request),
        )
        secret = await self._sessions.begin(
            person, how=How.PROVIDER, instead_of=self._site.session_secret(request)
        )
        return self._gone_on(request, return_to=return_to, secret=secret)

    async def _landing(self, request: Request) -> Response:
        """Show whom a link signs in, and a button: looking at a link uses nothing up."""
        link = await self._sessions.peek(str(request.path_params["secret"]))
        visit = self._site.visit(request) or new_visit()
        response = self._pages.page(
            "link.html", email=link.principal.email, form_token=form_token(visit)
        )
        self._site.keep_visit(request, response, secret=visit)
        return response

    async def _use(self, request: Request) -> Response:
        """Sign in by a link, which is worth nothing from then on."""
        await self._site.form(request, secret=self._site.visit(request))
        link = await self._sessions.use(str(request.path_params["secret"]))
        secret = await self._sessions.begin(
            link.principal, how=How.LINK, instead_of=self._site.session_secret(request)
        )
        return_to = link.return_to
        if return_to == SIGN_IN_PATH:
            # The link came from elsewhere; what it was needed for may wait in this browser.
            return_to = self._site.back(request) or SIGN_IN_PATH
        return self._gone_on(request, return_to=return_to, secret=secret)

    async def _sign_out(self, request: Request) -> Response:
        """End the session, here and for whoever may have copied it."""
        secret = self._site.session_secret(request)
        await self._site.form(request, secret=secret)
        if secret is not None:
            await self._sessions.end(secret)
        response = self._pages.page("signed_out.html")
        self._site.forget_session(request, response)
        return response

    def _asking(
        self, request: Request, *, return_to: str, tenant: str, signed_in: SignedIn | None
    ) -> Response:
        visit = self._site.visit(request) or new_visit()
        response = self._pages.page(
            "sign_in.html",
            return_to=return_to,
            tenant=tenant,
            form_token=form_token(visit),
            signed_in=signed_in,
        )
        self._site.keep_visit(request, response, secret=visit)
        if return_to != SIGN_IN_PATH:
            self._site.keep_back(request, response, path=return_to)
        return response

    def _gone_on(self, request: Request, *, return_to: str, secret: str) -> Response:
        response = RedirectResponse(return_to, status_code=_SEE_OTHER)
        self._site.keep_session(request, response, secret=secret)
        return response

    async def _provider(self, *, email: str, tenant: str) -> IdentityProvider | None:
        shape = _EMAIL.fullmatch(email)
        found: TenantId | None = None
        if tenant:
            found = await self._companies.tenant_id(tenant)
        elif shape is not None:
            found = await self._companies.tenant_of_domain(shape[1])
        return await self._providers.provider(found) if found is not None else None

    async def _is_of(self, signed_in: SignedIn, *, tenant: str) -> bool:
        """Return whether this is the company that was asked for, where one was."""
        if not tenant:
            return True
        return await self._companies.tenant_id(tenant) == signed_in.principal.tenant_id

    def _callback(self, request: Request) -> str:
        return self._site.origin(request) + CALLBACK_PATH


def _tenant_name(told: str) -> str:
    if told and _TENANT.fullmatch(told) is None:
        raise InvalidInput("invalid_tenant_name")
    return told
