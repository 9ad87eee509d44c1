"""A world with the pages that people see, and a browser without a screen."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
from sqlalchemy import select

from core.domain.principal import Principal, Role
from core.domain.run import AgentVersion
from core.domain.sign_in import IdentityProvider
from core.store.database import Database
from core.store.readiness import Readiness
from core.store.tables import audit_records
from sallyport.assembly import Assembly
from sallyport.http import http_app
from sallyport.settings import EgressSettings, HttpSettings, Settings
from tests.databases import Urls
from tests.loopback import http_client
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.rest import listening
from tests.world import Company, World, world_on

# What a browser sends only where somebody has chosen it.
_CHOSEN = frozenset({"radio", "checkbox"})

SCRIPT = "scripts: [{contains: hello, turns: [{say: Hello.}]}]"


class LoopbackAssembly(Assembly):
    """The real parts, allowed to ask a provider on this machine."""

    def __init__(
        self,
        settings: Settings,
        *,
        url: str,
        agent: AgentVersion | None = None,
        database: Database | None = None,
    ) -> None:
        egress = EgressSettings(allow_private_hosts=("127.0.0.1",))
        allowed = settings.model_copy(update={"egress": egress})
        super().__init__(allowed, url=url, agent=agent, database=database)


class _Reader(HTMLParser):
    """Reads a page as a browser does: forms with their fields, links, and what is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "form":
            self.forms.append((told.get("action", ""), {}))
        elif tag == "a":
            self.links.append(told.get("href", ""))
        elif tag == "textarea" and self.forms:
            self.forms[-1][1][told["name"]] = ""
        elif (
            tag == "input" and self.forms and (told.get("type") not in _CHOSEN or "checked" in told)
        ):
            self.forms[-1][1][told["name"]] = told.get("value", "")

    def handle_data(self, data: str) -> None:
        self.shown += data


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page as it came."""

    url: str
    status: int
    headers: Mapping[str, str]
    html: str

    @property
    def read(self) -> _Reader:
        return _Reader(self.html)

    @property
    def shown(self) -> str:
        return " ".join(self.read.shown.split())

    def form(self, place: int = -1) -> tuple[str, dict[str, str]]:
        """Return where a form goes, and its fields; the last one is the page's own."""
        action, fields = self.read.forms[place]
        return urljoin(self.url, action), fields


class Browser:
    """Keeps cookies, follows links and sends forms."""

    def __init__(self, http: httpx2.AsyncClient, *, home: str) -> None:
        self.http = http
        self.home = home

    async def get(self, path: str, *, follow: bool = True) -> Page:
        return await self._seen(await self.http.get(urljoin(self.home, path)), follow=follow)

    async def post(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        origin: str | None = "",
        follow: bool = True,
    ) -> Page:
        """Send a form; ``origin`` is ours unless another or none (None) is given."""
        headers = {} if origin is None else {"origin": origin or self.home}
        answer = await self.http.post(urljoin(self.home, url), data=dict(fields), headers=headers)
        return await self._seen(answer, follow=follow)

    async def send(self, page: Page, **more: str) -> Page:
        """Send the page's own form, with these fields filled in."""
        url, fields = page.form()
        return await self.post(url, {**fields, **more})

    async def _seen(self, answer: httpx2.Response, *, follow: bool) -> Page:
        while follow and answer.has_redirect_location:
            there = urljoin(str(answer.url), answer.headers["location"])
            answer = await self.http.get(there)
        return Page(
            url=str(answer.url),
            status=answer.status_code,
            headers=answer.headers,
            html=answer.text,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A world that people reach at ``url``."""

    world: World
    url: str

    @asynccontextmanager
    async def browser(self) -> AsyncGenerator[Browser]:
        async with http_client(timeout=30) as http:
            yield Browser(http, home=self.url)

    async def link(self, person: Principal, *, return_to: str = "/signin") -> str:
        """Return the path of a fresh one-time link."""
        secret, _ = await self.world.assembly.sign_in.sessions.make_link(
            person, return_to=return_to
        )
        return f"/signin/link/{secret}"

    async def sign_in(self, browser: Browser, person: Principal) -> Page:
        """Sign the person in at this browser."""
        return await browser.send(await browser.get(await self.link(person)))

    async def trust(
        self,
        company: Company,
        provider: Provider,
        *,
        group_roles: Mapping[str, Role] | None = None,
        creates_people: bool = True,
        trusts_email: bool = False,
        direct_audience: str | None = None,
        domains: tuple[str, ...] = (),
    ) -> IdentityProvider:
        """Have a company take a provider's word on its people."""
        parts = self.world.assembly
        tenant = company.tenant
        trusted = IdentityProvider(
            tenant_id=tenant.id,
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            credential=await parts.vault.put(tenant.id, name="sign-in", secret=CLIENT_SECRET),
            email_domains=domains or (f"{tenant.name}.test",),
            group_roles=group_roles or {},
            creates_people=creates_people,
            trusts_email=trusts_email,
            direct_audience=direct_audience,
        )
        await parts.sign_in.providers.set_provider(trusted)
        return trusted

    async def federated(self, browser: Browser, email: str) -> Page:
        """Sign in through the provider, as a browser would; return where that ends."""
        leaving = await browser.send(await browser.get("/signin"), email=email)
        assert leaving.status == 200, leaving.shown
        (there,) = (link for link in leaving.read.links if urlsplit(link).query)
        return await browser.get(there)

    async def audited(self, company: Company, action: str) -> list[Mapping[str, object]]:
        """Return what the auditor was told of such actions, the oldest first."""
        records = await audit_of(self.world, company)
        return [content for told, content in records if told == action]


async def audit_of(world: World, company: Company) -> list[tuple[str, Mapping[str, object]]]:
    """Return every audit record's action and content, the oldest first."""
    query = (
        select(audit_records.c.action, audit_records.c.content)
        .where(audit_records.c.tenant_id == company.tenant.id)
        .order_by(audit_records.c.at)
    )
    async with world.assembly.database.for_tenant(company.tenant.id) as connection:
        return [(row.action, json.loads(row.content)) for row in await connection.execute(query)]


@asynccontextmanager
async def site_on(urls: Urls, folder: Path) -> AsyncGenerator[Site]:
    """Serve a world with its pages on a free port; calls are driven when ``world`` drives."""
    async with (
        world_on(urls, folder, script=SCRIPT, kind=LoopbackAssembly) as world,
        served_at(world, public_url=None) as site,
    ):
        yield site


@asynccontextmanager
async def served_at(world: World, *, public_url: str | None) -> AsyncGenerator[Site]:
    """Serve a world's pages on a free port, as if they were reached at ``public_url``."""
    parts = world.assembly
    asgi = http_app(
        app=world.app,
        tokens=parts.tokens,
        mcp=None,
        readiness=Readiness(parts.database).check,
        settings=HttpSettings(public_url=public_url),
        clock=parts.clock,
        pages=parts.sign_in.pages(world.app, public_url=public_url).routes,
    )
    async with listening(asgi) as url:
        yield Site(world=world, url=url)
