"""The tab as a server shows it, on what a world is put together from."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bots.homes import Homes
from bots.teams.entra import EntraTokens
from bots.teams.manifest import resource_of
from bots.teams.tab import tab_routes
from console.rendering import Pages
from core.store.readiness import Readiness
from core.switching import Switching
from sallyport.assembly import Assembly
from sallyport.http import http_app
from sallyport.settings import HttpSettings
from tests.rest import listening
from tests.teams.entra import Entra
from tests.world import World


@asynccontextmanager
async def served_tab(
    world: World, entra: Entra, *, app_id: str, public_url: str
) -> AsyncGenerator[str]:
    """Serve the tab, and the pages that it leads to, for as long as the block lasts."""
    parts = world.assembly
    asgi = http_app(
        app=world.app,
        tokens=parts.tokens,
        mcp=None,
        readiness=Readiness(parts.database).check,
        settings=HttpSettings(public_url=public_url),
        clock=parts.clock,
        pages=parts.sign_in.pages(world.app, public_url=public_url).routes,
        chat=tab_routes(
            EntraTokens(
                parts.sign_in.openid,
                workspaces=parts.chat_workspaces,
                login_url=entra.url,
                app_id=app_id,
                resource=resource_of(app_id, url=public_url),
            ),
            links=parts.linking,
            homes=Homes(world.app, tools=switching(parts), pages_url=public_url, clock=parts.clock),
            acting=parts.acting,
            companies=parts.people,
            pages=Pages(),
            pages_url=public_url,
        ),
    )
    async with listening(asgi) as url:
        yield url


def switching(parts: Assembly) -> Switching:
    return Switching(
        toolbox=parts.toolbox,
        theirs=parts.stored_upstreams,
        settings=parts.people,
        auditor=parts.journal,
        clock=parts.clock,
        renew=parts.tokens.renew,
    )
