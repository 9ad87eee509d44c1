"""A company that signs in through an outside identity provider, and its people at browsers."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.loopback import http_client
from tests.outside import ENVIRONMENT, Npm
from tests.pages import Browser, Page
from tests.peers.serving import (
    Served,
    Spawn,
    free_port,
    pending_at,
    served_in,
    until_answers,
)

ALICE: Final = "alice@acme.test"
BOB: Final = "bob@acme.test"
_CLIENT: Final = "sallyport"
_SECRET: Final = "secret-of-the-relying-party"
_ACCOUNTS: Final = {ALICE: "00u-alice", BOB: "00u-bob"}
_MOST_PAGES: Final = 12

Call = Callable[[str, Mapping[str, object]], Coroutine[None, None, dict[str, Any]]]
"""Calls a tool by a peer's client, and returns its structured result. Any: a tool's own JSON"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """The company ``acme`` on a running server. Alice may ask; Bob is in the approvers' group."""

    served: Served

    @asynccontextmanager
    async def person(self, email: str) -> AsyncGenerator["Person"]:
        """Sit somebody down at a browser that knows nothing yet."""
        async with http_client(timeout=60) as http:
            yield Person(Browser(http, home=self.served.url), email=email)

    async def approve(self, approval_id: str) -> None:
        """Have Bob say yes."""
        await asyncio.to_thread(
            self.served.sallyport,
            *("approvals", "decide", approval_id, "approve", "--tenant", "acme", "--as", BOB),
        )

    async def is_served_by(self, call: Call) -> None:
        """Have a signed-in client do its work: read, write, wait for a person, get the result."""
        (inbox,) = (await call("list_projects", {}))["projects"]
        made = await call("create_task", {"project_id": inbox["id"], "title": "Old draft"})
        task_id = made["task"]["id"]

        async with asyncio.TaskGroup() as group:
            deleting = group.create_task(call("delete_task", {"task_id": task_id}))
            approval_id = await pending_at(self.served, tenant="acme")
            assert not deleting.done()
            await self.approve(approval_id)

        assert deleting.result() == {"task_id": task_id, "deleted": True}
        status = await call("approval_status", {"approval_id": approval_id})
        assert status["status"] == "succeeded"
        assert status["decided_by"] == [BOB]


class Person:
    """Somebody who signs in wherever they are asked to, and allows what they are asked."""

    def __init__(self, browser: Browser, *, email: str) -> None:
        self._browser = browser
        self._email = email
        self.seen: list[str] = []

    async def go(self, url: str) -> Page:
        """Open an address, and do what each page wants until one wants nothing."""
        page = await self._browser.get(url)
        for _ in range(_MOST_PAGES):
            self.seen.append(urlsplit(page.url).path)
            answered = await self._answered(page)
            if answered is None:
                return page
            page = answered
        raise AssertionError(self.seen)

    async def _answered(self, page: Page) -> Page | None:
        fields = [found for _, found in page.read.forms]
        account = _ACCOUNTS[self._email]
        if account in (found.get("user_ref") for found in fields):
            place = [found.get("user_ref") for found in fields].index(account)
            action, filled = page.form(place)
            return await self._browser.post(action, filled, origin=None)
        path = urlsplit(page.url).path
        if path == "/oauth/consent":
            return await self._browser.send(page, answer="allow")
        if path == "/signin" and any("email" in found for found in fields):
            return await self._browser.send(page, email=self._email)
        away = [link for link in page.read.links if urlsplit(link).query]
        if path == "/signin" and away:
            return await self._browser.get(away[0])
        return None


async def acme_on(folder: Path, *, npm: Npm, spawn: Spawn) -> Acme:
    """Start the provider and the server, and have the company trust the provider."""
    provider_port = free_port()
    served = await served_in(
        folder,
        spawn=spawn,
        SALLYPORT_ALLOW_PRIVATE_HOSTS=f"localhost:{provider_port}",
    )
    issuer = await _okta(
        folder,
        npm=npm,
        spawn=spawn,
        port=provider_port,
        redirect_uri=f"{served.url}/signin/callback",
    )
    await asyncio.to_thread(served.sallyport, "tenant", "create", "acme")
    await asyncio.to_thread(
        served.sallyport,
        *("idp", "set", "--tenant", "acme", "--issuer", issuer, "--client-id", _CLIENT),
        *("--domain", "acme.test", "--group", "Approvers=approver"),
        given=_SECRET,
    )
    acme = Acme(served=served)
    # The first sign-in is what makes somebody known here, as what their groups say.
    async with acme.person(BOB) as bob:
        arrived = await bob.go("/signin")
        assert BOB in arrived.shown, arrived.shown
    return acme


async def _okta(folder: Path, *, npm: Npm, spawn: Spawn, port: int, redirect_uri: str) -> str:
    """Start the emulator with the company's people in it, and return its issuer."""
    seed = folder / "okta.json"
    people = [
        {"okta_id": account, "login": email, "email": email, "first_name": email, "last_name": "A"}
        for email, account in _ACCOUNTS.items()
    ]
    everything = {
        "users": people,
        "groups": [{"name": "Approvers", "okta_id": "00g-approvers"}],
        "group_memberships": [{"group_okta_id": "00g-approvers", "user_okta_id": _ACCOUNTS[BOB]}],
        "authorization_servers": [{"id": "default", "name": "default", "audiences": ["api"]}],
        "oauth_clients": [
            {
                "client_id": _CLIENT,
                "client_secret": _SECRET,
                "name": "Sallyport",
                "redirect_uris": [redirect_uri],
                "auth_server_id": "default",
            }
        ],
    }
    await asyncio.to_thread(seed.write_text, json.dumps({"okta": everything}))
    process = spawn(
        [
            *(npm.new_node, npm.script("emulate/dist/index.js"), "start"),
            *("--service", "okta", "--port", str(port), "--seed", str(seed)),
        ],
        environment=dict(ENVIRONMENT),
    )
    issuer = f"http://localhost:{port}/oauth2/default"
    known = f"{issuer}/.well-known/openid-configuration"
    await until_answers(known, process=process, said=folder / "said.log")
    return issuer
