"""The authorization server on a test's database, with a browser and a client in front of it."""

import base64
import hashlib
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from core.domain.audit import AuditRecord
from core.domain.principal import Audience, Caller, Principal
from core.domain.sign_in import How, SignedIn
from core.egress import Egress, Fetched
from core.errors import Unavailable
from core.identity.access import AccessTokens
from core.identity.authorization import Authorization
from core.identity.clients import Clients, Documents
from core.identity.delegation import Delegations
from core.identity.families import Families
from core.identity.master import MasterKeys
from core.identity.signing import SigningKeys
from core.identity.tokens import Tokens
from core.ports import Clock
from core.store.authorization import StoredAuthorization
from core.store.database import Database
from core.store.directory import Directory
from core.store.families import StoredFamilies
from core.store.signing import StoredSigningKeys
from core.store.tokens import StoredTokens
from mcp_server.auth.routes import authorization_routes
from tests.loopback import http_client

ISSUER: Final = "https://sallyport.test"
CALLBACK: Final = "https://client.test/callback"


class Doorman:
    """A SignIn: whoever brings a person's cookie is signed in as them."""

    def __init__(self) -> None:
        self.sessions: dict[str, SignedIn] = {}

    def let_in(self, person: Principal, *, how: How = How.LINK) -> str:
        """Begin a session, and return the cookie for it."""
        cookie = secrets.token_urlsafe(8)
        self.sessions[cookie] = SignedIn(
            principal=person,
            session_id=f"session-{cookie}",
            how=how,
            csrf=f"csrf-{cookie}",
        )
        return cookie

    async def who(self, request: Request) -> SignedIn | None:
        return self.sessions.get(request.cookies.get("who", ""))

    def start(self, return_to: str, *, tenant: str | None = None) -> str:
        del tenant
        return f"/sign-in?return_to={quote(return_to, safe='')}"


class PlainPages:
    """ConsentPages without any charm; what they were given is kept."""

    def __init__(self) -> None:
        self.shown: list[dict[str, object]] = []

    async def render(self, request: Request, signed_in: SignedIn, **told: object) -> Response:
        del request, signed_in
        self.shown.append(told)
        return HTMLResponse(escape(str(told)))


class Shelf:
    """Documents by address, as if they had been fetched; any other is not there."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.fetched: list[str] = []

    async def fetch(self, url: str, *, seconds: float, limit_bytes: int) -> Fetched:
        del seconds
        self.fetched.append(url)
        if url not in self.documents:
            raise Unavailable("address_unreachable", host="")
        assert len(self.documents[url]) <= limit_bytes
        return Fetched(status=200, headers={}, body=self.documents[url])


class Notebook:
    """A Recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    async def record(self, *records: AuditRecord) -> None:
        self.records.extend(records)

    def actions(self) -> list[str]:
        return [record.action for record in self.records]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The authorization server's parts on one database."""

    tokens: Tokens
    keys: SigningKeys
    families: Families
    authorization: Authorization
    stored_authorization: StoredAuthorization
    stored_families: StoredFamilies
    doorman: Doorman
    pages: PlainPages
    notebook: Notebook
    routes: list[BaseRoute]


def parts_on(
    database: Database,
    *,
    clock: Clock,
    issuer: str = ISSUER,
    documents: Documents | None = None,
    most_unanswered: int = 10_000,
) -> Parts:
    """Put the parts together as the application does, but for who signs in and how it looks."""
    resource = f"{issuer}/mcp"
    directory = Directory(database)
    keys = SigningKeys(StoredSigningKeys(database), keyring=MasterKeys([b"k" * 32]), clock=clock)
    access = AccessTokens(keys, issuer=issuer, resource=resource)
    stored = StoredAuthorization(database, most_unanswered=most_unanswered)
    stored_families = StoredFamilies(database, directory=directory)
    notebook, doorman, pages = Notebook(), Doorman(), PlainPages()
    clients = Clients(stored, documents=documents or Egress(), clock=clock)
    authorization = Authorization(
        stored,
        clients=clients,
        recorder=notebook,
        clock=clock,
        issuer=issuer,
        resource=resource,
    )
    rest = AccessTokens(keys, issuer=issuer, resource=f"{issuer}/api/v1")
    signed = {Audience.MCP: access, Audience.API: rest}
    stored_tokens = StoredTokens(database, directory=directory)
    tokens = Tokens(stored_tokens, clock=clock, signed=signed)
    families = Families(
        stored_families,
        access=access,
        recorder=notebook,
        clock=clock,
        resource=resource,
        ended=tokens.look_again,
    )
    return Parts(
        tokens=tokens,
        keys=keys,
        families=families,
        authorization=authorization,
        stored_authorization=stored,
        stored_families=stored_families,
        doorman=doorman,
        pages=pages,
        notebook=notebook,
        routes=authorization_routes(
            authorization,
            clients=clients,
            families=families,
            delegations=Delegations(
                tokens, records=stored_tokens, signed=signed, recorder=notebook, clock=clock
            ),
            keys=keys,
            sign_in=doorman,
            pages=pages,
            clock=clock,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One run of a client's code flow: what it sends, and what it must remember."""

    client_id: str
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    def query(self, **changed: str | None) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        sent = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "resource": f"{ISSUER}/mcp",
            **changed,
        }
        return {name: value for name, value in sent.items() if value is not None}


class Desk:
    """A browser and a client before the server; redirects are looked at, not followed."""

    def __init__(self, parts: Parts, http: httpx2.AsyncClient) -> None:
        self.parts = parts
        self.http = http

    async def register(self, *redirect_uris: str, **more: object) -> dict[str, Any]:  # Any: JSON
        answer = await self.http.post(
            "/oauth/register",
            json={
                "redirect_uris": list(redirect_uris) or [CALLBACK],
                "client_name": "Claude",
                "token_endpoint_auth_method": "none",
                **more,
            },
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def login(self) -> Login:
        """Return a flow of a client that has just registered."""
        return Login(client_id=(await self.register())["client_id"])

    async def authorize(
        self, login: Login, *, cookie: str = "", **changed: str | None
    ) -> httpx2.Response:
        return await self.http.get(
            "/oauth/authorize", params=login.query(**changed), headers=_cookie(cookie)
        )

    async def consent_page(
        self, login: Login, *, cookie: str, **changed: str | None
    ) -> tuple[str, httpx2.Response]:
        """Return the page's path and the page."""
        sent = await self.authorize(login, cookie=cookie, **changed)
        assert sent.status_code == 302, sent.text
        path = sent.headers["location"]
        return path, await self.http.get(path, headers=_cookie(cookie))

    async def answer(
        self,
        path: str,
        *,
        cookie: str,
        answer: str = "allow",
        origin: str | None = ISSUER,
        form_token: str | None = None,
    ) -> httpx2.Response:
        """Send the form of a consent page."""
        signed_in = self.parts.doorman.sessions.get(cookie)
        csrf = signed_in.csrf if signed_in else ""
        headers = _cookie(cookie) | ({"origin": origin} if origin is not None else {})
        return await self.http.post(
            path,
            data={"form_token": csrf if form_token is None else form_token, "answer": answer},
            headers=headers,
        )

    async def code(self, login: Login, *, cookie: str, **changed: str | None) -> str:
        """Have the person allow it, where they have not before, and return the code."""
        path, page = await self.consent_page(login, cookie=cookie, **changed)
        is_remembered = page.status_code == 302
        return told(page if is_remembered else await self.answer(path, cookie=cookie))["code"]

    async def redeem(self, login: Login, code: str, **changed: str | None) -> httpx2.Response:
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": login.client_id,
            "redirect_uri": login.redirect_uri,
            "code_verifier": login.verifier,
            "resource": f"{ISSUER}/mcp",
            **changed,
        }
        return await self.post("/oauth/token", sent)

    async def refresh(self, login: Login, token: str, **changed: str | None) -> httpx2.Response:
        sent = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": login.client_id,
            "resource": f"{ISSUER}/mcp",
            **changed,
        }
        return await self.post("/oauth/token", sent)

    async def post(
        self, path: str, sent: Mapping[str, str | None], **headers: str
    ) -> httpx2.Response:
        form = {name: value for name, value in sent.items() if value is not None}
        return await self.http.post(path, data=form, headers=headers)

    async def signed_in(
        self, person: Principal, *, how: How = How.LINK, **changed: str | None
    ) -> tuple[Login, dict[str, Any]]:  # Any: JSON
        """Go through the whole flow, and return it with the token endpoint's answer."""
        login = await self.login()
        cookie = self.parts.doorman.let_in(person, how=how)
        code = await self.code(login, cookie=cookie, **changed)
        answer = await self.redeem(login, code)
        assert answer.status_code == 200, answer.text
        return login, answer.json()

    async def caller(self, token: str) -> Caller:
        """Return whom the MCP front door sees."""
        return await self.parts.tokens.authenticate(token, audience=Audience.MCP)


@asynccontextmanager
async def desk_on(parts: Parts) -> AsyncGenerator[Desk]:
    """Stand before the server, in this very process."""
    transport = httpx2.ASGITransport(app=Starlette(routes=parts.routes))
    async with http_client(transport=transport, base_url=ISSUER) as http:
        yield Desk(parts, http)


def told(answer: httpx2.Response, *, at: str = CALLBACK) -> dict[str, str]:
    """Return what a redirect tells the client; see that it goes there and says who we are."""
    location = answer.headers["location"]
    assert location.startswith(at + "?"), location
    parameters = dict(parse_qsl(urlsplit(location).query))
    assert parameters["iss"] == ISSUER
    return parameters


def _cookie(cookie: str) -> dict[str, str]:
    return {"cookie": f"who={cookie}"} if cookie else {}
