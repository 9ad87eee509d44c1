"""The vault on real tables: who gets which secret, and what a row is worth elsewhere."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, update
from structlog.testing import capture_logs

from core.domain.ids import PrincipalId
from core.domain.principal import Principal, Tenant
from core.errors import Forbidden, InvalidInput, Misconfigured, NotFound
from core.identity.master import MasterKeys
from core.store.credentials import StoredCredentials
from core.store.database import Database
from core.store.vault_tables import credentials
from core.tools.vault import RESERVED, StoredVault
from core.vault import Resealed
from tests.builders import SteadyClock, make_person, make_tenant

OLD, NEW = MasterKeys([bytes(32)]), MasterKeys([b"n" * 32, bytes(32)])
SECRET, THEIRS = "a secret of acme", "alice's own secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Two companies, two people of the first, and the vault under the old key."""

    database: Database
    records: StoredCredentials
    vault: StoredVault
    clock: SteadyClock
    acme: Tenant
    globex: Tenant
    alice: Principal
    bob: Principal

    def under(self, keys: MasterKeys) -> StoredVault:
        """Return the same vault with other keys."""
        return StoredVault(self.records, keyring=keys, clock=self.clock)

    async def revealed(self, person: Principal, name: str = "github") -> str:
        """Return what a call of this person gets under a name."""
        return await self.vault.reveal_to(person.tenant_id, name=name, person=person.id)


@pytest.fixture
async def place(database: Database, clock: SteadyClock) -> Place:
    acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    records = StoredCredentials(database)
    return Place(
        database=database,
        records=records,
        vault=StoredVault(records, keyring=OLD, clock=clock),
        clock=clock,
        acme=acme,
        globex=globex,
        alice=await make_person(database, acme, "alice@acme.test"),
        bob=await make_person(database, acme, "bob@acme.test"),
    )


async def test_what_the_platform_keeps_for_itself_is_no_tools(place: Place) -> None:
    await place.vault.put(place.acme.id, name=f"{RESERVED}sign-in-provider", secret=SECRET)
    with pytest.raises(NotFound, match="credential_missing"):
        await place.revealed(place.alice, f"{RESERVED}sign-in-provider")


async def test_a_person_s_own_comes_before_the_company_s_and_is_nobody_else_s(
    place: Place,
) -> None:
    await place.vault.put(place.acme.id, name="github", secret=THEIRS, owner=place.alice.id)
    with pytest.raises(NotFound, match="credential_missing"):
        await place.revealed(place.bob)
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    assert await place.revealed(place.alice) == THEIRS
    assert await place.revealed(place.bob) == SECRET


async def test_an_expired_one_of_their_own_is_not_made_up_for_by_the_company_s(
    place: Place,
) -> None:
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    await place.vault.put(
        place.acme.id,
        name="github",
        secret=THEIRS,
        owner=place.alice.id,
        expires_at=place.clock.now() + timedelta(seconds=1),
    )
    place.clock.move(seconds=1)
    with pytest.raises(Forbidden, match="credential_expired") as expired:
        await place.revealed(place.alice)
    assert expired.value.facts["name"] == "github"


async def test_what_is_removed_is_gone_at_once(place: Place) -> None:
    ref = await place.vault.put(place.acme.id, name="github", secret=SECRET)
    await place.vault.remove(place.acme.id, name="github")
    for reveal in (
        place.revealed(place.bob),
        place.vault.reveal(place.acme.id, ref=ref),
        place.vault.remove(place.acme.id, name="github"),
    ):
        with pytest.raises(NotFound, match="credential_missing"):
            await reveal


async def test_two_that_set_a_name_at_once_leave_one_whole_secret(place: Place) -> None:
    secrets = [f"secret number {number}" for number in range(8)]
    async with asyncio.TaskGroup() as group:
        for secret in secrets:
            group.create_task(place.vault.put(place.acme.id, name="github", secret=secret))
    assert await place.revealed(place.bob) in secrets
    assert len(await place.vault.page(place.acme.id)) == 1


async def test_the_list_tells_everything_but_the_secret(place: Place) -> None:
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    await place.vault.put(place.acme.id, name="github", secret=THEIRS, owner=place.alice.id)
    listed = await place.vault.page(place.acme.id)
    assert {(one.name, one.owner_email) for one in listed} == {
        ("github", None),
        ("github", "alice@acme.test"),
    }
    assert SECRET not in repr(listed)
    assert "sealed" not in repr(listed)
    assert await place.vault.page(place.globex.id) == ()


async def test_the_table_holds_no_secret(place: Place) -> None:
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    async with place.database.for_tenant(place.acme.id) as connection:
        rows = (await connection.execute(select(credentials))).all()
    assert SECRET.encode() not in b"".join(row.sealed for row in rows)
    assert SECRET not in str(rows)


@pytest.mark.parametrize("moved", ["tenant_id", "owner_id", "name", "id"])
async def test_a_row_that_is_moved_does_not_open(place: Place, moved: str) -> None:
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    to: dict[str, object] = {
        "tenant_id": place.globex.id,
        "owner_id": place.alice.id,
        "name": "stripe",
        "id": uuid4(),
    }
    async with place.database.for_tenant(place.acme.id) as connection:
        row = dict((await connection.execute(select(credentials))).mappings().one())
        await connection.execute(delete(credentials))
    row[moved] = to[moved]
    async with place.database.for_tenant(row["tenant_id"]) as connection:
        await connection.execute(insert(credentials).values(**row))
    with pytest.raises((Misconfigured, NotFound)) as refusal:
        await place.vault.reveal(row["tenant_id"], ref=row["id"])
    assert refusal.value.code == "master_key_unknown"


async def test_a_row_that_is_changed_does_not_open(place: Place) -> None:
    ref = await place.vault.put(place.acme.id, name="github", secret=SECRET)
    other = OLD.seal(b"a secret of mine", context="somewhere else")
    async with place.database.for_tenant(place.acme.id) as connection:
        await connection.execute(update(credentials).values(sealed=other))
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        await place.vault.reveal(place.acme.id, ref=ref)


async def test_an_owner_is_one_of_the_company(place: Place) -> None:
    stranger = await make_person(place.database, place.globex, "dave@globex.test")
    for owner in (stranger.id, PrincipalId(uuid4())):
        with pytest.raises(NotFound, match="not_found"):
            await place.vault.put(place.acme.id, name="github", secret=SECRET, owner=owner)


@pytest.mark.parametrize("name", ["", " github", "a b", "x" * 201, "ü", "a\n", "-x"])
async def test_a_name_that_is_none_is_refused(place: Place, name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid_credential_name"):
        await place.vault.put(place.acme.id, name=name, secret=SECRET)


@pytest.mark.parametrize("secret", ["", "7 chars", "x" * 65_537])
async def test_a_secret_that_is_none_is_refused_unrepeated(place: Place, secret: str) -> None:
    with pytest.raises(InvalidInput, match="invalid_secret") as refusal:
        await place.vault.put(place.acme.id, name="github", secret=secret)
    assert set(refusal.value.facts) == {"shortest", "longest"}
    assert refusal.value.__context__ is None


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\ud800"])
async def test_a_secret_with_signs_that_are_no_text_is_refused_unrepeated(
    place: Place, sign: str
) -> None:
    with pytest.raises(InvalidInput, match="unstorable_secret") as refusal:
        await place.vault.put(place.acme.id, name="github", secret=f"{SECRET}{sign}")
    assert not refusal.value.facts
    assert refusal.value.__context__ is None
    assert not await place.vault.page(place.acme.id)


async def test_a_change_of_keys_loses_nothing_and_goes_on_where_it_was(place: Place) -> None:
    count = 230
    for number in range(count):
        await place.vault.put(place.acme.id, name=f"n{number}", secret=f"{SECRET} {number}")
    await place.vault.put(place.globex.id, name="theirs", secret=THEIRS)
    new = place.under(NEW)
    # One that is replaced meanwhile, by a process that has the new key already.
    await new.put(place.acme.id, name="n7", secret="replaced meanwhile")

    assert await new.reseal(place.acme.id) == Resealed(resealed=count - 1)
    assert await new.reseal(place.acme.id) == Resealed()

    only_new = place.under(MasterKeys([b"n" * 32]))
    for number in (0, 99, 100, 229):
        secret = await only_new.reveal_to(place.acme.id, name=f"n{number}", person=place.alice.id)
        assert secret == f"{SECRET} {number}"
    assert await new.reseal(place.globex.id) == Resealed(resealed=1)


async def test_what_no_key_opens_does_not_keep_the_rest_from_being_sealed_anew(
    place: Place,
) -> None:
    lost = place.under(MasterKeys([b"l" * 32]))
    await lost.put(place.acme.id, name="lost", secret=SECRET)
    await place.vault.put(place.acme.id, name="kept", secret=SECRET)
    with capture_logs() as logs:
        assert await place.under(NEW).reseal(place.acme.id) == Resealed(resealed=1, unreadable=1)
    assert [entry["event"] for entry in logs] == ["credential.unreadable"]
    assert SECRET not in str(logs)
    assert await lost.reveal_to(place.acme.id, name="lost", person=place.bob.id) == SECRET


async def test_one_that_changed_meanwhile_is_not_written_over(place: Place) -> None:
    await place.vault.put(place.acme.id, name="github", secret=SECRET)
    (was,) = await place.vault.page(place.acme.id)
    await place.vault.put(place.acme.id, name="github", secret="the one that counts")
    assert not await place.records.reseal(was, sealed=was.sealed, key_id=was.key_id)
    assert await place.revealed(place.bob) == "the one that counts"
