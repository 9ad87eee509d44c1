"""The personal tab: what waits for somebody and what they asked last, on a page inside Teams."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bots.linking import Offered
from bots.teams.entra import AtTheTab
from bots.teams.manifest import TAB_PATH
from bots.views import HomeView
from core.domain.account import Account, Shown
from core.domain.ids import TenantId
from core.domain.principal import Caller, Principal, Tenant, scopes_held
from core.domain.upstream import ActsAt
from core.errors import Forbidden, SallyportError, Unauthenticated

VIEW_PATH: Final = f"{TAB_PATH}/view"
LINK_PATH: Final = f"{TAB_PATH}/link"
ACT_PATH: Final = f"{TAB_PATH}/act"
"""Begins where the agent is let act as somebody at an upstream server, whose name follows."""

VIA: Final = "teams"

FRAMES: Final = (
    "https://teams.microsoft.com",
    "https://*.teams.microsoft.com",
    "https://*.cloud.microsoft",
    "https://teams.microsoft.us",
    "https://*.teams.microsoft.us",
)
"""The sites of Teams, which alone may show the page in a frame."""

LIBRARY: Final = "https://res.cdn.office.net/teams-js/2.58.0/js/MicrosoftTeams.min.js"
LIBRARY_DIGEST: Final = "sha384-sMo/EOqQPa1OCup2/VBRum7oFeOS22kvs8WGDc45xK53tUVZzFR5WwFYDUYN1LO4"
"""TeamsJS: the one way to ask Teams who is there; pinned, so that no other bytes ever run."""

_BEARER: Final = re.compile(r"Bearer ([A-Za-z0-9._~+/=-]{1,32768})", re.ASCII | re.IGNORECASE)


class Tokens(Protocol):
    """Says who somebody is by the token that Teams has given the page."""

    async def who(self, token: str) -> AtTheTab:
        """Return whom a token is of.

        Raises:
            Unauthenticated: ``tab_not_signed_in``.
            Forbidden: ``account_guest``.
            Unavailable: ``provider_unavailable``.
        """
        ...


class Links(Protocol):
    """Whose accounts are; see ``bots.linking``."""

    async def person(self, tenant_id: TenantId, *, account: Account) -> Principal | None:
        """Return whose the account is, as they stand now; None where nobody's who is enabled."""
        ...

    async def offer(self, tenant_id: TenantId, *, account: Account, shown: Shown) -> Offered:
        """Return a fresh way to link an account; those offered to it before are worth nothing."""
        ...


class Homes(Protocol):
    """What somebody's page shows."""

    async def home(self, caller: Caller, *, company: str) -> HomeView:
        """Return the page of a person, as things stand now."""
        ...


class Acting(Protocol):
    """The upstream servers at which the agent can act as somebody; see ``core.acting``."""

    async def listed(self, person: Principal) -> Sequence[ActsAt]:
        """Return the servers at which tools act as the person."""
        ...

    async def begin(
        self, person: Principal, *, account: Account, assertion: str, upstream: str
    ) -> None:
        """Let the agent act as somebody, by the token that Teams gave the tab for them.

        Raises:
            NotFound: ``upstream_not_connected``.
            Forbidden: ``acting_consent_needed``, ``acting_ended``, ``acting_refused``,
                ``acting_not_set_up``.
            Unavailable: ``provider_unavailable``.
        """
        ...

    async def end(self, person: Principal, *, upstream: str) -> None:
        """Let the agent act as somebody no more.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        ...


class Companies(Protocol):
    """The companies that there are."""

    async def tenant(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant."""
        ...


class TabPages(Protocol):
    """Renders pages; whatever is shown is escaped."""

    def page(
        self, template: str, *, status: int = 200, leads_away: bool = False, **values: object
    ) -> Response:
        """Return the page of that template."""
        ...

    def framed(
        self, template: str, *, within: Sequence[str], library: str, **values: object
    ) -> Response:
        """Return a page that runs ``library``, and that the sites ``within`` may show framed."""
        ...

    def error(self, error: SallyportError) -> Response:
        """Return the page that says what went wrong, with its stable code."""
        ...


def tab_routes(
    tokens: Tokens,
    *,
    links: Links,
    homes: Homes,
    acting: Acting,
    companies: Companies,
    pages: TabPages,
    pages_url: str,
) -> Sequence[BaseRoute]:
    """Return the tab's addresses; ``pages_url`` is where people find our pages in a browser.

    The page itself says nothing of anybody. What it then asks for, it asks for with a token of
    whoever is there: no cookie counts, so that no other site can ask in their name.
    """
    tab = _Tab(
        tokens,
        links=links,
        homes=homes,
        acting=acting,
        companies=companies,
        pages=pages,
        pages_url=pages_url,
    )
    act = f"{ACT_PATH}/{{upstream}}"
    return (
        Route(TAB_PATH, tab.page, methods=["GET"]),
        Route(VIEW_PATH, tab.asked(tab.view), methods=["GET"]),
        Route(LINK_PATH, tab.asked(tab.link), methods=["POST"]),
        Route(act, tab.asked(tab.acts), methods=["POST"]),
        Route(act, tab.asked(tab.acts_no_more), methods=["DELETE"]),
    )


class _Tab:
    def __init__(
        self,
        tokens: Tokens,
        *,
        links: Links,
        homes: Homes,
        acting: Acting,
        companies: Companies,
        pages: TabPages,
        pages_url: str,
    ) -> None:
        self._tokens = tokens
        self._links = links
        self._homes = homes
        self._acting = acting
        self._companies = companies
        self._pages = pages
        self._pages_url = pages_url

    async def page(self, _request: Request) -> Response:
        """Return the page that asks Teams who is there, and says what to do outside Teams."""
        return self._pages.framed(
            "teams_tab.html",
            within=FRAMES,
            library=LIBRARY,
            library_digest=LIBRARY_DIGEST,
            view_path=VIEW_PATH,
            pages_url=self._pages_url,
        )

    def asked(
        self, answering: Callable[[AtTheTab, Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Have whoever has a token answered, and whatever goes wrong shown as a page."""

        async def answered(request: Request) -> Response:
            try:
                return await answering(await self._tokens.who(_token(request)), request)
            except SallyportError as error:
                page = self._pages.error(error)
                if isinstance(error, Unauthenticated):
                    page.headers["www-authenticate"] = "Bearer"
                return page

        return answered

    async def view(self, visitor: AtTheTab, _request: Request) -> Response:
        """Return what is somebody's, or how they come to be somebody here."""
        tenant_id = visitor.workspace.tenant_id
        person = await self._links.person(tenant_id, account=visitor.account)
        if person is None:
            # An offer takes the place of the one before: looking at a page must make none.
            return self._pages.page(
                "teams_tab_unlinked.html", shown=visitor.shown, link_path=LINK_PATH
            )
        company = await self._companies.tenant(tenant_id)
        caller = Caller(principal=person, scopes=scopes_held(person), via=VIA)
        home = await self._homes.home(caller, company=company.name)
        return self._pages.page(
            "teams_tab_home.html",
            home=home,
            acts_at=await self._acting.listed(person),
            act_path=ACT_PATH,
            view_path=VIEW_PATH,
        )

    async def acts(self, visitor: AtTheTab, request: Request) -> Response:
        """Let the agent act as whoever is there, by the token that they have shown."""
        person = await self._person(visitor)
        await self._acting.begin(
            person,
            account=visitor.account,
            assertion=_token(request),
            upstream=request.path_params["upstream"],
        )
        return await self.view(visitor, request)

    async def acts_no_more(self, visitor: AtTheTab, request: Request) -> Response:
        """Let the agent act as them no more."""
        person = await self._person(visitor)
        await self._acting.end(person, upstream=request.path_params["upstream"])
        return await self.view(visitor, request)

    async def _person(self, visitor: AtTheTab) -> Principal:
        tenant_id = visitor.workspace.tenant_id
        person = await self._links.person(tenant_id, account=visitor.account)
        if person is None:
            raise Forbidden("account_not_linked")
        return person

    async def link(self, visitor: AtTheTab, _request: Request) -> Response:
        """Return a link by which somebody says, signed in, that the account is theirs."""
        offered = await self._links.offer(
            visitor.workspace.tenant_id, account=visitor.account, shown=visitor.shown
        )
        return self._pages.page(
            "teams_tab_link.html",
            there=f"{self._pages_url}{offered.path}",
            expires_at=offered.expires_at,
            view_path=VIEW_PATH,
        )


def _token(request: Request) -> str:
    told = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if told is None:
        raise Unauthenticated("tab_not_signed_in")
    return told[1]
