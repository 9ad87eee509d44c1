"""What everybody relies on from every Vault."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from core.domain.ids import CredentialRef
from core.domain.principal import Principal
from core.errors import Forbidden, NotFound
from core.identity.master import MasterKeys
from core.store.credentials import StoredCredentials
from core.store.database import Database
from core.tools.vault import StoredVault
from core.vault import Vault
from tests.builders import SteadyClock, make_person, make_tenant
from tests.vault_in_memory import VaultInMemory

SECRET, OTHER = "a secret of acme", "another one entirely"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A vault, two people of one company, and somebody of another."""

    vault: Vault
    alice: Principal
    bob: Principal
    stranger: Principal


@pytest.fixture(params=["in memory", "on PostgreSQL"])
async def place(request: pytest.FixtureRequest, database: Database, clock: SteadyClock) -> Place:
    acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    keys = MasterKeys([bytes(32)])
    stored = StoredVault(StoredCredentials(database), keyring=keys, clock=clock)
    return Place(
        vault=VaultInMemory(clock=clock) if request.param == "in memory" else stored,
        alice=await make_person(database, acme, "alice@acme.test"),
        bob=await make_person(database, acme, "bob@acme.test"),
        stranger=await make_person(database, globex, "dave@globex.test"),
    )


async def test_what_is_put_is_revealed_by_its_reference(place: Place) -> None:
    ref = await place.vault.put(place.alice.tenant_id, name="github", secret=SECRET)
    assert await place.vault.reveal(place.alice.tenant_id, ref=ref) == SECRET
    assert SECRET not in str(ref)


async def test_any_text_comes_back_as_it_was(place: Place) -> None:
    secret = "-----BEGIN KEY-----\r\n\t schlüssel ✓ \U0001f511\n-----END KEY-----\n"
    ref = await place.vault.put(place.alice.tenant_id, name="key", secret=secret)
    assert await place.vault.reveal(place.alice.tenant_id, ref=ref) == secret


async def test_putting_again_replaces_under_the_same_reference(place: Place) -> None:
    tenant_id = place.alice.tenant_id
    first = await place.vault.put(tenant_id, name="github", secret=SECRET)
    second = await place.vault.put(tenant_id, name="github", secret=OTHER)
    assert first == second
    assert await place.vault.reveal(tenant_id, ref=first) == OTHER


async def test_a_name_is_the_company_s_and_each_person_s_own(place: Place) -> None:
    tenant_id = place.alice.tenant_id
    refs = {
        await place.vault.put(tenant_id, name="github", secret=f"{SECRET} {owner}", owner=owner)
        for owner in (None, place.alice.id, place.bob.id)
    }
    assert len({await place.vault.reveal(tenant_id, ref=ref) for ref in refs}) == 3


async def test_another_company_has_no_use_for_a_reference(place: Place) -> None:
    ref = await place.vault.put(place.alice.tenant_id, name="github", secret=SECRET)
    await place.vault.put(place.stranger.tenant_id, name="github", secret=OTHER)
    with pytest.raises(NotFound, match="credential_missing"):
        await place.vault.reveal(place.stranger.tenant_id, ref=ref)


async def test_a_reference_to_nothing_reveals_nothing(place: Place) -> None:
    with pytest.raises(NotFound, match="credential_missing"):
        await place.vault.reveal(place.alice.tenant_id, ref=CredentialRef(uuid4()))


async def test_what_has_expired_is_not_revealed_until_it_is_renewed(
    place: Place, clock: SteadyClock
) -> None:
    tenant_id = place.alice.tenant_id
    soon = clock.now() + timedelta(seconds=10)
    ref = await place.vault.put(tenant_id, name="github", secret=SECRET, expires_at=soon)
    assert await place.vault.reveal(tenant_id, ref=ref) == SECRET
    clock.move(seconds=10)
    with pytest.raises(Forbidden, match="credential_expired"):
        await place.vault.reveal(tenant_id, ref=ref)
    await place.vault.put(tenant_id, name="github", secret=OTHER)
    assert await place.vault.reveal(tenant_id, ref=ref) == OTHER
