"""Sign-in put together: who knows whom, and the pages that people are sent to."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from console.browser import Site
from console.deciding import DecidingPages
from console.linking import LinkingPages, Offers
from console.rendering import Pages
from console.signin.consent import ConsentPages
from console.signin.sign_in import SignInPages
from core.app import App
from core.egress import Egress
from core.identity.browser_sessions import AuditSink, Sessions
from core.identity.direct import DirectTokens
from core.identity.federation import Federation
from core.identity.oidc import OpenId
from core.ports import Clock
from core.store.database import Database
from core.store.directory import Directory
from core.store.identity_providers import StoredProviders
from core.store.principals import StoredPeople
from core.store.sign_in import StoredSignIn
from core.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPages:
    """What people see in a browser; ``sign_in`` and ``consent`` are what MCP's sign-in wants.

    ``site`` and ``pages`` are for front doors that show pages of their own.
    """

    site: Site
    pages: Pages
    sign_in: SignInPages
    consent: ConsentPages
    routes: Sequence[BaseRoute]


class SignInParts:
    """Sessions, providers and tokens of providers, on one database."""

    def __init__(
        self,
        database: Database,
        *,
        directory: Directory,
        people: StoredPeople,
        vault: Vault,
        audit: AuditSink,
        egress: Egress,
        offers: Offers,
        clock: Clock,
    ) -> None:
        """Take what it all stands on; nobody is asked anything yet."""
        self._directory = directory
        self._people = people
        self._offers = offers
        self._clock = clock
        stored = StoredSignIn(database, directory=directory)
        self.providers = StoredProviders(database)
        self.openid = OpenId(egress, clock=clock)
        self.sessions = Sessions(stored, audit=audit, clock=clock)
        self.federation = Federation(
            openid=self.openid,
            providers=self.providers,
            people=people,
            trips=stored,
            vault=vault,
            audit=audit,
            clock=clock,
        )
        self.direct = DirectTokens(openid=self.openid, issuers=directory, accounts=self.providers)

    def pages(self, app: App, *, public_url: str | None) -> FrontPages:
        """Return the pages; without ``public_url`` we are where a browser says."""
        site, pages = Site(public_url), Pages()
        sign_in = SignInPages(
            site=site,
            pages=pages,
            sessions=self.sessions,
            federation=self.federation,
            companies=self._directory,
            providers=self.providers,
            clock=self._clock,
        )
        deciding = DecidingPages(app=app, site=site, pages=pages, people=sign_in, clock=self._clock)
        linking = LinkingPages(offers=self._offers, site=site, pages=pages, people=sign_in)
        return FrontPages(
            site=site,
            pages=pages,
            sign_in=sign_in,
            consent=ConsentPages(pages, tenants=self._people),
            routes=(*sign_in.routes(), *deciding.routes(), *linking.routes(), *pages.assets()),
        )
