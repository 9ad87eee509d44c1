"""Whoever is disabled is out with all that they came in by, and nobody else is."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import psycopg
import pytest

from core.domain.principal import Audience, Ended, Principal, Role
from core.domain.sign_in import How
from core.errors import NotFound, Unauthenticated
from core.identity.browser_sessions import Sessions
from core.store.database import Database
from core.store.directory import Directory
from core.store.enrolment import Enrolment
from core.store.sign_in import StoredSignIn
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.front_desk import Desk, Notebook, desk_on, parts_on

HOUR = timedelta(hours=1)


@pytest.fixture
async def desk(database: Database, clock: SteadyClock) -> AsyncGenerator[Desk]:
    async with desk_on(parts_on(database, clock=clock)) as desk:
        yield desk


@pytest.fixture
def sessions(database: Database, clock: SteadyClock) -> Sessions:
    stored = StoredSignIn(database, directory=Directory(database))
    return Sessions(stored, audit=Notebook(), clock=clock)


@pytest.fixture
async def alice(database: Database) -> Principal:
    return await make_person(database, await make_tenant(database), "alice@acme.test", Role.ADMIN)


async def test_all_that_a_person_came_in_by_ends_for_good(
    desk: Desk, sessions: Sessions, alice: Principal, database: Database, clock: SteadyClock
) -> None:
    tokens, people = desk.parts.tokens, Enrolment(database)
    token = await tokens.issue(alice, audience=Audience.API, ttl=HOUR)
    login, granted = await desk.signed_in(alice)
    browser = await sessions.begin(alice, how=How.LINK)
    link, _ = await sessions.make_link(alice, return_to="/signin")
    code = await desk.code(login, cookie=desk.parts.doorman.let_in(alice))

    where = alice.tenant_id
    person, ended = await people.disable(where, email="Alice@acme.test", at=clock.now())
    assert (person.principal, person.disabled_at) == (alice, clock.now())
    assert ended == Ended(sessions=1, clients=1, tokens=1)
    _, again = await people.disable(where, email=alice.email, at=clock.now() + HOUR)
    assert again == Ended(sessions=0, clients=0, tokens=0)
    assert (await people.enable(where, email=alice.email)).disabled_at is None

    for one, audience in ((token, Audience.API), (granted["access_token"], Audience.MCP)):
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(one, audience=audience)
    assert (await desk.refresh(login, granted["refresh_token"])).status_code == 400
    assert (await desk.redeem(login, code)).status_code == 400
    assert await sessions.who(browser) is None
    with pytest.raises(Unauthenticated):
        await sessions.use(link)
    new = await tokens.issue(alice, audience=Audience.API, ttl=HOUR)
    assert (await tokens.authenticate(new, audience=Audience.API)).principal == alice


async def test_others_stay_and_verdicts_are_stale(
    desk: Desk,
    sessions: Sessions,
    alice: Principal,
    database: Database,
    clock: SteadyClock,
    urls: Urls,
) -> None:
    tenant_id = alice.tenant_id
    globex = await make_tenant(database, "globex")
    namesake = await make_person(database, globex, alice.email)
    tokens = desk.parts.tokens
    theirs = await tokens.issue(namesake, audience=Audience.API, ttl=HOUR)
    browser = await sessions.begin(namesake, how=How.PROVIDER)
    before = epochs(urls)
    await Enrolment(database).disable(tenant_id, email=alice.email, at=clock.now())
    assert (await tokens.authenticate(theirs, audience=Audience.API)).principal == namesake
    assert await sessions.who(browser) is not None
    after = epochs(urls)
    assert after[str(tenant_id)] > before[str(tenant_id)]
    assert after[str(globex.id)] == before[str(globex.id)]
    for unknown in ("nobody@acme.test", ""):
        with pytest.raises(NotFound):
            await Enrolment(database).disable(tenant_id, email=unknown, at=clock.now())


def epochs(urls: Urls) -> dict[str, int]:
    with psycopg.connect(urls.privileged) as connection:
        return {str(row[0]): row[1] for row in connection.execute("select id, epoch from tenants")}
