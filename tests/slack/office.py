"""A whole Sallyport that talks to a Slack of ours: installed, with accounts of people linked."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from core.domain.account import Account
from core.domain.chat import Installation, Surface
from core.domain.principal import Principal
from sallyport.assembly import Assembly
from sallyport.settings import SlackSettings
from tests.databases import Urls
from tests.premises import Premises, installed, premises_on
from tests.slack import workspace as slacks
from tests.slack.people import People
from tests.slack.web_api import serving
from tests.slack.workspace import Message, Slack, Workspace
from tests.waiting import until
from tests.world import Company, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where people of a company work: Alice asks, Bob approves, Carol is the admin."""

    url: str
    slack: Slack
    at: Workspace
    people: People
    world: World
    company: Company

    async def shown(self, holds: Callable[[Message], bool], *, seconds: float = 20) -> Message:
        """Return the first message of the bot's that is as wanted, once there is one."""
        found: list[Message] = []

        async def is_there() -> bool:
            found[:] = [one for one in self.at.of_bot() if holds(one)]
            return bool(found)

        await until(is_there, seconds=seconds)
        return found[0]


@asynccontextmanager
async def office_on(
    urls: Urls, folder: Path, *, script: str, slack: Slack | None = None
) -> AsyncGenerator[Office]:
    """Serve a world whose company has the app in its workspace, and drive what is due."""
    async with (
        serving(slack or Slack()) as there,
        premises_on(urls, folder, script=script, slack=slack_settings(there)) as premises,
    ):
        yield await office_in(premises, slack=there)


async def office_in(premises: Premises, *, slack: Slack) -> Office:
    """Have the company's people use the app in its workspace."""
    at, company = slack.company(), premises.company
    await install(premises.world.assembly, at, by=company.admin.principal)
    for user, person in (
        (slacks.ALICE, company.member),
        (slacks.BOB, company.approver),
        (slacks.CAROL, company.admin),
    ):
        account = Account(surface="slack", workspace=at.team, user=user)
        await premises.link(account, person.principal)
    return Office(
        url=premises.url,
        slack=slack,
        at=at,
        people=People(premises.http, slack=slack, at=at, url=f"{premises.url}/slack/events"),
        world=premises.world,
        company=company,
    )


def slack_settings(slack: Slack) -> SlackSettings:
    """Return the settings of an app that this Slack knows."""
    return SlackSettings(
        slack_client_id=slacks.CLIENT_ID,
        slack_client_secret=SecretStr(slacks.CLIENT_SECRET),
        slack_signing_secret=SecretStr(slacks.SIGNING_SECRET),
        slack_api_url=slack.api_url,
    )


async def install(
    assembly: Assembly, at: Workspace, *, by: Principal, token: str | None = None
) -> None:
    """Have the app in a workspace, as its OAuth would leave it; ``token`` is one made before."""
    installation = Installation(
        surface=Surface.SLACK,
        workspace=at.team,
        name=at.name,
        app=slacks.APP,
        bot_user=at.bot_user,
        scopes=(),
        token=token or at.token(),
    )
    await installed(assembly, installation, by=by)
