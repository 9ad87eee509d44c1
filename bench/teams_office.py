"""A company in Teams for benchmarks: our server, with Teams and Microsoft in this process."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2

from bench.chat_office import Counted, Office, serving
from bots.actions import APPROVE
from bots.teams.app import MESSAGES_PATH
from core.domain.chat import Surface
from tests.teams.connector import Connector
from tests.teams.connector import serving as connecting
from tests.teams.conversations import ALICE, BOB, CAROL
from tests.teams.login import APP_ID, PASSWORD, TENANT, signing_in
from tests.teams.office import allow
from tests.teams.people import People

_TOKENS = 8
_USERS = (ALICE, BOB, CAROL)


@asynccontextmanager
async def office_in(folder: Path, *, sdk: str) -> AsyncGenerator[Office]:
    """Serve a company whose people are in Teams, all in ``folder``, until the block is left."""
    async with AsyncExitStack() as stack:
        login = await stack.enter_async_context(signing_in())
        connector = await stack.enter_async_context(connecting(Connector(login)))
        for user in _USERS:
            connector.teams.personal(user)
        settings = {
            "SALLYPORT_TEAMS_APP_ID": APP_ID,
            "SALLYPORT_TEAMS_APP_PASSWORD": PASSWORD,
            "SALLYPORT_TEAMS_TENANT_ID": TENANT,
            "SALLYPORT_TEAMS_SDK": sdk,
            "SALLYPORT_TEAMS_LOGIN_URL": login.url,
            "SALLYPORT_TEAMS_OPENID_URL": login.addresses().openid_metadata,
        }
        server = await stack.enter_async_context(
            serving(
                folder,
                settings,
                surface=Surface.TEAMS,
                workspace=TENANT,
                users=_USERS,
                puts=lambda parts, admin: allow(parts, by=admin),
            )
        )
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        url = f"{server.url}{MESSAGES_PATH}"
        people = People(http, connector=connector, login=login, url=url)
        said = connector.service_url
        shown = [login.signed({**login.claims(said), "number": one}) for one in range(_TOKENS)]

        async def counted() -> Counted:
            return Counted(calls=len(connector.calls), excesses=connector.excesses)

        yield Office(
            server=server,
            load=(
                *("tests.teams.load", "--url", url, "--service-url", said, "--verb", APPROVE),
                *(part for one in shown for part in ("--authorization", one)),
            ),
            ask=partial(people.says, "please delete the old draft", by=ALICE),
            counted=counted,
        )
