"""Where conversations are reached: the newest word counts, and says it once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from core.domain.chat import ChatReference, Surface
from core.domain.principal import Tenant
from core.store.chat_references import StoredReferences
from core.store.database import Database
from tests.builders import SteadyClock, make_tenant

ENTRA = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0001"
ALICE = "@6b1c1d5e-0000-4000-8000-00000000a11c/"


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await make_tenant(database)


@pytest.fixture
def references(database: Database) -> StoredReferences:
    return StoredReferences(database)


@pytest.fixture
def alice(acme: Tenant, clock: SteadyClock) -> ChatReference:
    return ChatReference(
        tenant_id=acme.id,
        surface=Surface.TEAMS,
        workspace=ENTRA,
        address=ALICE,
        conversation="a:alice",
        service_url="https://smba.trafficmanager.net/emea/",
        mri="29:alice",
        seen_at=clock.now(),
    )


async def known(references: StoredReferences, like: ChatReference) -> ChatReference | None:
    found = await references.of(
        like.tenant_id,
        surface=like.surface,
        workspace=like.workspace,
        addresses=[like.address],
    )
    return found[0] if found else None


async def forgotten(references: StoredReferences, like: ChatReference) -> bool:
    return await references.forget(
        like.tenant_id, surface=like.surface, workspace=like.workspace, address=like.address
    )


async def written(database: Database, like: ChatReference) -> str:
    """Return what tells one version of the row from the next, and whether anybody locked it."""
    async with database.for_tenant(like.tenant_id) as connection:
        row = (await connection.execute(text("select xmin, xmax from chat_references"))).one()
    return str(tuple(row))


async def test_a_reference_comes_back_as_it_was_kept(
    references: StoredReferences, alice: ChatReference
) -> None:
    await references.keep(alice)
    assert await known(references, alice) == alice


async def test_the_newest_word_counts_whatever_comes_late(
    references: StoredReferences, alice: ChatReference
) -> None:
    moved = replace(
        alice,
        service_url="https://smba.trafficmanager.net/amer/",
        seen_at=alice.seen_at + timedelta(seconds=1),
    )
    await references.keep(moved)
    await references.keep(alice)
    assert await known(references, alice) == moved
    same_moment = replace(moved, mri="29:other")
    await references.keep(same_moment)
    assert await known(references, alice) == same_moment


async def test_what_says_nothing_new_is_written_once_an_hour(
    references: StoredReferences, alice: ChatReference, database: Database
) -> None:
    await references.keep(alice)
    before = await written(database, alice)
    for seconds in (-60, 0, 60, 3599):
        again = replace(alice, seen_at=alice.seen_at + timedelta(seconds=seconds))
        await references.keep(again)
    assert await written(database, alice) == before
    later = replace(alice, seen_at=alice.seen_at + timedelta(hours=1))
    await references.keep(later)
    assert await known(references, alice) == later


async def test_only_what_is_asked_for_is_found_in_one_workspace_of_one_company(
    references: StoredReferences, alice: ChatReference, database: Database
) -> None:
    bob = replace(alice, address="@b0b/", seen_at=alice.seen_at + timedelta(seconds=1))
    elsewhere = replace(alice, workspace="0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002")
    globex = await make_tenant(database, "globex")
    theirs = replace(alice, tenant_id=globex.id, seen_at=alice.seen_at + timedelta(days=1))
    for one in (alice, bob, elsewhere, theirs):
        await references.keep(one)
    found = await references.of(
        alice.tenant_id,
        surface=Surface.TEAMS,
        workspace=ENTRA,
        addresses=[bob.address, alice.address, "@nobody/"],
    )
    assert found == (alice, bob)
    newest = await references.newest(alice.tenant_id, surface=Surface.TEAMS, workspace=ENTRA)
    assert newest == bob


async def test_a_conversation_that_is_no_more_is_forgotten_alone(
    references: StoredReferences, alice: ChatReference
) -> None:
    bob = replace(alice, address="@b0b/")
    await references.keep(alice)
    await references.keep(bob)
    assert await forgotten(references, alice)
    assert not await forgotten(references, alice)
    assert await known(references, alice) is None
    newest = await references.newest(alice.tenant_id, surface=Surface.TEAMS, workspace=ENTRA)
    assert newest == bob
    assert await forgotten(references, bob)
    assert await references.newest(alice.tenant_id, surface=Surface.TEAMS, workspace=ENTRA) is None
