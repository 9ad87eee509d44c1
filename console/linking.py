"""The page on which a person says that an account on a chat surface is theirs."""

from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.browser import Site
from console.deciding import SignedInPeople
from console.rendering import Pages, status_of
from core.domain.account import AccountLink, LinkOffer
from core.domain.principal import Principal
from core.domain.sign_in import SignedIn
from core.errors import InvalidInput, SallyportError
from core.words import sentence_of

_SEE_OTHER: Final = 303
_SURFACES: Final = {"slack": "Slack", "teams": "Microsoft Teams"}


class Offers(Protocol):
    """Links accounts to whoever confirms it; see ``bots.linking``, which says what is raised."""

    async def seen(self, person: Principal, *, secret: str) -> LinkOffer:
        """Return what the person would confirm, or what they have; nothing changes."""
        ...

    async def accept(self, person: Principal, *, secret: str, is_mine: bool) -> AccountLink:
        """Link the account to the person who says, signed in, that it is theirs."""
        ...

    async def disown(self, person: Principal, *, secret: str) -> LinkOffer:
        """End the person's own link of the account that an offer was for. Twice is once."""
        ...


class LinkingPages:
    """Shows which account would be whose, and takes the person's word: no link ever does that."""

    def __init__(self, *, offers: Offers, site: Site, pages: Pages, people: SignedInPeople) -> None:
        """Take who links accounts, and who is at the browser."""
        self._offers = offers
        self._site = site
        self._pages = pages
        self._people = people

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of offers, as people are sent to them."""
        path = "/link/{secret}"
        return (
            Route(path, self._pages.showing(self._show), methods=["GET"]),
            Route(path, self._pages.showing(self._answer), methods=["POST"]),
        )

    async def _show(self, request: Request) -> Response:
        signed_in = await self._people.who(request)
        if signed_in is None:
            return self._signing_in_first(request)
        try:
            offer = await self._offers.seen(signed_in.principal, secret=_secret(request))
        except SallyportError as error:
            return self._pages.error(error, signed_in=signed_in)
        return self._page(offer, signed_in=signed_in)

    async def _answer(self, request: Request) -> Response:
        signed_in = await self._people.who(request)
        if signed_in is None:
            # Whoever signs in only now looks first, and then confirms.
            return self._signing_in_first(request)
        person, secret = signed_in.principal, _secret(request)
        try:
            fields = await self._site.form(request, secret=self._site.session_secret(request))
            if fields.get("answer") == "disconnect":
                offer = await self._offers.disown(person, secret=secret)
                return self._disconnected(offer, signed_in=signed_in)
            if fields.get("answer") != "connect":
                raise InvalidInput("invalid_field", key="answer", detail="it is none of the page's")
            try:
                is_mine = fields.get("mine") == "yes"
                await self._offers.accept(person, secret=secret, is_mine=is_mine)
            except InvalidInput as error:
                offer = await self._offers.seen(person, secret=secret)
                return self._page(offer, signed_in=signed_in, error=error)
        except SallyportError as error:
            return self._pages.error(error, signed_in=signed_in)
        return RedirectResponse(request.url.path, status_code=_SEE_OTHER)

    def _signing_in_first(self, request: Request) -> Response:
        return RedirectResponse(self._people.start(request.url.path), status_code=_SEE_OTHER)

    def _page(
        self, offer: LinkOffer, *, signed_in: SignedIn, error: SallyportError | None = None
    ) -> Response:
        return self._pages.page(
            "account.html",
            status=status_of(error) if error else 200,
            signed_in=signed_in,
            offer=offer,
            surface=_SURFACES[offer.account.surface],
            is_linked=offer.holder == signed_in.principal.id,
            is_known=offer.expected == signed_in.principal.id,
            error={"code": error.code, "sentence": sentence_of(error)} if error else None,
        )

    def _disconnected(self, offer: LinkOffer, *, signed_in: SignedIn) -> Response:
        surface = _SURFACES[offer.account.surface]
        return self._pages.page(
            "account_gone.html", signed_in=signed_in, offer=offer, surface=surface
        )


def _secret(request: Request) -> str:
    return str(request.path_params["secret"])
