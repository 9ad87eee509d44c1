"""Whose an account is: by whose word it becomes so, and that it ends at once."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from bots.linking import OFFER_LIFE, OFFERS_AN_HOUR, Linking
from core.domain.account import Account, Linked, Shown
from core.domain.principal import Principal, Role, Tenant
from core.domain.sign_in import IdentityProvider
from core.errors import Conflict, Forbidden, InvalidInput, LimitReached, NotFound, Refused
from core.store.chat_link_offers import StoredLinkOffers
from core.store.chat_links import StoredLinks
from core.store.chat_tables import chat_link_offers, outbox
from core.store.database import Database
from core.store.enrolment import Enrolment
from core.store.grouped import GroupedWrites
from core.store.identity_providers import StoredProviders
from core.store.journal import StoredJournal
from core.store.principals import StoredPeople
from core.store.tables import audit_records, identity_links
from tests.builders import SteadyClock, make_person, make_tenant
from tests.chat import PlainTeller, account_of, leave_workspace, make_workspace

ALICE, BOB = account_of("U0ALICE"), account_of("U0BOB")
NOBODYS = Shown(name="Alice", email="alice@home.test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """A company in a workspace, and another one."""

    database: Database
    linking: Linking
    tenant: Tenant
    alice: Principal
    bob: Principal
    dave: Principal

    async def offer(self, account: Account = ALICE, *, shown: Shown = NOBODYS) -> str:
        offered = await self.linking.offer(self.tenant.id, account=account, shown=shown)
        return offered.path.removeprefix("/link/")

    async def link(self, account: Account, person: Principal) -> None:
        secret = await self.offer(account)
        await self.linking.accept(person, secret=secret, is_mine=True)

    async def person(self, account: Account = ALICE) -> Principal | None:
        return await self.linking.person(self.tenant.id, account=account)

    async def audited(self) -> list[tuple[str, str, dict[str, str]]]:
        query = (
            select(audit_records)
            .where(audit_records.c.tenant_id == self.tenant.id)
            .order_by(audit_records.c.at)
        )
        async with self.database.for_tenant(self.tenant.id) as connection:
            rows = (await connection.execute(query)).all()
        return [
            (row.action, row.actor, json.loads(row.content))
            for row in rows
            if row.action.startswith("account.")
        ]

    async def told(self) -> Sequence[tuple[str, str]]:
        query = select(outbox).where(outbox.c.tenant_id == self.tenant.id)
        async with self.database.for_tenant(self.tenant.id) as connection:
            rows = (await connection.execute(query)).all()
        return sorted((row.address, row.payload["text"]) for row in rows)

    async def trust(self, *domains: str) -> None:
        provider = IdentityProvider(
            tenant_id=self.tenant.id,
            issuer="https://login.acme.test",
            client_id="c",
            credential=None,
            email_domains=domains,
            group_roles={},
        )
        await StoredProviders(self.database).set_provider(provider)


@pytest.fixture
async def acme(database: Database, clock: SteadyClock) -> Acme:
    tenant, other = await make_tenant(database), await make_tenant(database, "globex")
    alice = await make_person(database, tenant, "alice@acme.test")
    bob = await make_person(database, tenant, "bob@acme.test", Role.APPROVER)
    dave = await make_person(database, other, "dave@globex.test", Role.ADMIN)
    await make_workspace(database, bob)
    linking = Linking(
        StoredLinks(database),
        offers=StoredLinkOffers(database),
        audit=StoredJournal(database, writes=GroupedWrites(database)),
        clock=clock,
        tellers={"slack": PlainTeller()},
    )
    return Acme(database=database, linking=linking, tenant=tenant, alice=alice, bob=bob, dave=dave)


async def test_an_account_is_the_persons_who_confirmed_it(acme: Acme) -> None:
    assert await acme.person() is None
    secret = await acme.offer()
    assert await acme.person() is None
    link = await acme.linking.accept(acme.alice, secret=secret, is_mine=True)
    assert (link.person, link.how) == (acme.alice, Linked.PAGE)
    assert await acme.person() == acme.alice
    assert await acme.person(BOB) is None
    account = {"surface": "slack", "workspace": "T0ACME", "user": "U0ALICE"}
    content = {**account, "email": "alice@acme.test", "how": "page"}
    assert await acme.audited() == [("account.linked", "alice@acme.test", content)]


async def test_whose_an_account_is_is_looked_up_anew_each_time(acme: Acme) -> None:
    await acme.link(ALICE, acme.alice)
    await StoredPeople(acme.database).change_roles(
        acme.tenant.id, principal_id=acme.alice.id, roles=[Role.ADMIN]
    )
    person = await acme.person()
    assert person
    assert person.roles == {Role.ADMIN}


async def test_a_secret_cannot_be_guessed_and_is_kept_by_digest_alone(acme: Acme) -> None:
    secrets = {await acme.offer(account_of(f"U{place}")) for place in range(20)}
    assert len({one[:8] for one in secrets}) == 20
    assert {len(one) for one in secrets} == {43}
    async with acme.database.for_tenant(acme.tenant.id) as connection:
        rows = (await connection.execute(select(chat_link_offers))).all()
    kept = repr(rows)
    assert all(one not in kept for one in secrets)
    assert {len(row.offer_hash) for row in rows} == {32}
    for guess in ("", "x", "A" * 43, "A" * 44, "é" * 43, "../" * 14 + "x"):
        with pytest.raises(NotFound, match="link_offer_unknown"):
            await acme.linking.seen(acme.alice, secret=guess)


async def test_an_offer_works_once_however_many_come_at_once(acme: Acme) -> None:
    secret = await acme.offer()
    tried = await asyncio.gather(
        *(acme.linking.accept(acme.alice, secret=secret, is_mine=True) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in tried) == 1
    assert all(isinstance(one, Refused) for one in tried if isinstance(one, BaseException))
    with pytest.raises(Conflict, match="link_offer_used"):
        await acme.linking.accept(acme.bob, secret=secret, is_mine=True)
    with pytest.raises(Conflict, match="link_offer_used"):
        await acme.linking.seen(acme.bob, secret=secret)
    assert [told for told, _, _ in await acme.audited()].count("account.linked") == 1


async def test_an_offer_that_was_used_since_it_was_read_does_nothing(
    acme: Acme, clock: SteadyClock
) -> None:
    secret = await acme.offer()
    read = await acme.linking.seen(acme.bob, secret=secret)
    await acme.linking.accept(acme.alice, secret=secret, is_mine=True)
    await acme.linking.unlink(acme.tenant.id, account=ALICE, why="by_person")
    with pytest.raises(Conflict, match="link_offer_used"):
        await StoredLinkOffers(acme.database).accept(
            read,
            offer_hash=hashlib.sha256(secret.encode()).digest(),
            person=acme.bob,
            at=clock.now(),
            record=lambda _: pytest.fail("nothing is to be recorded"),
            tell=lambda _link, _others: (),
        )
    assert await acme.person() is None


async def test_an_offer_works_for_fifteen_minutes(acme: Acme, clock: SteadyClock) -> None:
    secret = await acme.offer()
    clock.move(seconds=OFFER_LIFE.total_seconds())
    with pytest.raises(Conflict, match="link_offer_expired"):
        await acme.linking.seen(acme.alice, secret=secret)
    with pytest.raises(Conflict, match="link_offer_expired"):
        await acme.linking.accept(acme.alice, secret=secret, is_mine=True)
    assert await acme.person() is None


async def test_a_newer_offer_takes_the_place_of_an_older_one(acme: Acme) -> None:
    first, other = await acme.offer(), await acme.offer(BOB)
    second = await acme.offer()
    with pytest.raises(Conflict, match="link_offer_used"):
        await acme.linking.accept(acme.alice, secret=first, is_mine=True)
    await acme.linking.accept(acme.alice, secret=second, is_mine=True)
    await acme.linking.accept(acme.bob, secret=other, is_mine=True)


async def test_an_account_is_offered_links_so_often_an_hour(acme: Acme, clock: SteadyClock) -> None:
    made = [acme.offer() for _ in range(OFFERS_AN_HOUR + 3)]
    tried = await asyncio.gather(*made, return_exceptions=True)
    refused = [one for one in tried if isinstance(one, LimitReached)]
    assert (len(refused), refused[0].code) == (3, "too_many_links")
    assert refused[0].retry_after_seconds == 3601
    await acme.offer(BOB)
    clock.move(seconds=3600)
    await acme.offer()


async def test_another_companys_offer_is_not_there(acme: Acme) -> None:
    secret = await acme.offer()
    with pytest.raises(NotFound, match="link_offer_unknown"):
        await acme.linking.seen(acme.dave, secret=secret)
    with pytest.raises(NotFound, match="link_offer_unknown"):
        await acme.linking.accept(acme.dave, secret=secret, is_mine=True)
    assert await acme.person() is None
    await acme.linking.accept(acme.alice, secret=secret, is_mine=True)


async def test_nothing_is_offered_in_another_companys_workspace_or_one_that_was_left(
    acme: Acme,
) -> None:
    for tenant_id in (acme.dave.tenant_id, acme.tenant.id):
        account = account_of("U0DAVE", workspace="T0OTHER")
        with pytest.raises(NotFound):
            await acme.linking.offer(tenant_id, account=account, shown=NOBODYS)
    with pytest.raises(NotFound):
        await acme.linking.offer(acme.dave.tenant_id, account=ALICE, shown=NOBODYS)
    secret = await acme.offer()
    await leave_workspace(acme.database, acme.tenant.id)
    with pytest.raises(NotFound):
        await acme.offer()
    with pytest.raises(NotFound):
        await acme.linking.accept(acme.alice, secret=secret, is_mine=True)


async def test_an_account_with_somebodys_email_is_confirmed_by_them_alone(acme: Acme) -> None:
    mallorys = Shown(name="Alice", email="Bob@Acme.test")
    secret = await acme.offer(BOB, shown=mallorys)
    with pytest.raises(Forbidden, match="account_of_another"):
        await acme.linking.seen(acme.alice, secret=secret)
    with pytest.raises(Forbidden, match="account_of_another"):
        await acme.linking.accept(acme.alice, secret=secret, is_mine=True)
    (refused,) = await acme.audited()
    assert refused[:2] == ("account.link_refused", "alice@acme.test")
    assert refused[2]["code"] == "account_of_another"
    await acme.linking.accept(acme.bob, secret=secret, is_mine=False)
    assert await acme.person(BOB) == acme.bob


async def test_an_email_of_somebody_who_is_disabled_is_still_theirs(
    acme: Acme, clock: SteadyClock
) -> None:
    secret = await acme.offer(BOB, shown=Shown(name="Bob", email="bob@acme.test"))
    await Enrolment(acme.database).disable(acme.tenant.id, email="bob@acme.test", at=clock.now())
    with pytest.raises(Forbidden, match="account_of_another"):
        await acme.linking.accept(acme.alice, secret=secret, is_mine=True)
    with pytest.raises(NotFound):
        await acme.linking.accept(acme.bob, secret=secret, is_mine=True)


@pytest.mark.parametrize("shown", [NOBODYS, Shown(name="alice@acme.test", email=None)])
async def test_where_nobody_has_the_email_it_must_be_said_that_the_account_is_ones_own(
    acme: Acme, shown: Shown
) -> None:
    secret = await acme.offer(shown=shown)
    with pytest.raises(InvalidInput, match="link_not_confirmed"):
        await acme.linking.accept(acme.alice, secret=secret, is_mine=False)
    assert await acme.person() is None
    await acme.linking.accept(acme.alice, secret=secret, is_mine=True)


async def test_the_account_and_the_persons_others_are_told_in_the_same_commit(acme: Acme) -> None:
    await acme.link(ALICE, acme.alice)
    assert await acme.told() == [("@U0ALICE/", "U0ALICE is alice@acme.test")]
    await acme.link(BOB, acme.alice)
    assert await acme.told() == [
        ("@U0ALICE/", "U0BOB is alice@acme.test"),
        ("@U0BOB/", "U0BOB is alice@acme.test"),
    ]
    accounts = await acme.linking.accounts_of(
        acme.tenant.id,
        principal_ids=[acme.alice.id, acme.bob.id],
        surface="slack",
        workspace="T0ACME",
    )
    assert set(accounts) == {ALICE, BOB}
    for surface, workspace in (("teams", "T0ACME"), ("slack", "T0OTHER")):
        none = await acme.linking.accounts_of(
            acme.tenant.id, principal_ids=[acme.alice.id], surface=surface, workspace=workspace
        )
        assert none == ()


async def test_an_account_is_one_persons_until_it_is_unlinked(acme: Acme) -> None:
    early = await acme.offer()
    await acme.linking.bind(acme.alice, account=ALICE, actor="operator")
    with pytest.raises(Conflict, match="account_linked"):
        await acme.offer()
    with pytest.raises(Conflict, match="account_linked"):
        await acme.linking.accept(acme.bob, secret=early, is_mine=True)
    with pytest.raises(Conflict, match="account_linked"):
        await acme.linking.bind(acme.bob, account=ALICE, actor="operator")
    assert await acme.person() == acme.alice
    await acme.linking.unlink(acme.tenant.id, account=ALICE, why="by_person")
    assert await acme.person() is None
    await acme.link(ALICE, acme.bob)
    assert await acme.person() == acme.bob


async def test_unlinking_is_audited_once_and_ends_only_whose_it_is(acme: Acme) -> None:
    await acme.link(ALICE, acme.alice)
    unlink = acme.linking.unlink
    assert await unlink(acme.tenant.id, account=ALICE, why="x", of=acme.bob.id) is None
    assert await unlink(acme.dave.tenant_id, account=ALICE, why="x") is None
    ended = await unlink(acme.tenant.id, account=ALICE, actor="system", why="account_guest")
    assert ended
    assert ended.person == acme.alice
    assert await unlink(acme.tenant.id, account=ALICE, actor="system", why="again") is None
    _, (action, actor, content) = await acme.audited()
    assert (action, actor, content["why"]) == ("account.unlinked", "system", "account_guest")


async def test_somebody_disabled_has_no_rights_by_any_account(
    acme: Acme, clock: SteadyClock
) -> None:
    await acme.link(ALICE, acme.alice)
    enrolment = Enrolment(acme.database)
    await enrolment.disable(acme.tenant.id, email="alice@acme.test", at=clock.now())
    assert await acme.person() is None
    with pytest.raises(Conflict, match="account_linked"):
        await acme.offer()
    (link,) = await acme.linking.page(acme.tenant.id)
    assert not link.is_enabled


async def test_links_are_listed_page_by_page_and_only_those_of_chat(acme: Acme) -> None:
    await acme.linking.bind(acme.alice, account=ALICE, actor="operator")
    await acme.linking.bind(acme.bob, account=BOB, actor="operator")
    await StoredProviders(acme.database).link_account(acme.bob, issuer="https://i", subject="s")
    first = await acme.linking.page(acme.tenant.id, limit=1)
    assert [one.account for one in first] == [ALICE]
    rest = await acme.linking.page(acme.tenant.id, after=first[0].account)
    assert [one.account for one in rest] == [BOB]
    own = await acme.linking.page(acme.tenant.id, principal_id=acme.bob.id)
    assert [one.account for one in own] == [BOB]
    assert await acme.linking.page(acme.dave.tenant_id) == ()


async def test_an_operator_binds_in_the_tenants_workspaces_only(acme: Acme) -> None:
    for wrong in (account_of(""), account_of("U 1"), account_of("U1", workspace="é")):
        with pytest.raises(InvalidInput, match="invalid_account"):
            await acme.linking.bind(acme.alice, account=wrong, actor="operator")
    with pytest.raises(NotFound):
        await acme.linking.bind(acme.dave, account=ALICE, actor="operator")


# By email: everything must be so at once.


async def by_email(acme: Acme, email: str = "alice@acme.test") -> Principal | None:
    return await acme.linking.by_email(acme.tenant.id, account=ALICE, email=email)


async def trusting(acme: Acme) -> Acme:
    """Have the company trust emails in a second workspace; accounts there are what is linked."""
    await acme.trust("acme.test", "acme.example")
    await make_workspace(acme.database, acme.bob, workspace="T0TRUSTED", links_by_email=True)
    return acme


TRUSTED = replace(ALICE, workspace="T0TRUSTED")


async def test_a_verified_email_links_where_the_tenant_says_so(acme: Acme) -> None:
    await trusting(acme)
    found = await acme.linking.by_email(acme.tenant.id, account=TRUSTED, email=" Alice@ACME.test ")
    assert found == acme.alice
    assert await acme.person(TRUSTED) == acme.alice
    ((action, actor, content),) = await acme.audited()
    assert (action, actor, content["how"]) == ("account.linked", "system", "domain")
    assert len(await acme.told()) == 1
    # To a second arrival that found it unlinked, and comes here when it is linked.
    again = await acme.linking.by_email(acme.tenant.id, account=TRUSTED, email="alice@acme.test")
    assert again == acme.alice
    assert len(await acme.audited()) == 1


@pytest.mark.parametrize(
    "email",
    [
        "nobody@acme.test",
        "alice@acme.test.evil.example",
        "alice@evil.example",
        "alice@evil.example,alice@acme.test",
        '"alice@evil.example"@acme.test',
        "alice@\u0430cme.test",
        "@acme.test",
        "alice@",
        "",
        "dave@globex.test",
    ],
)
async def test_an_email_that_is_nobodys_or_of_another_domain_links_nothing(
    acme: Acme, email: str
) -> None:
    await trusting(acme)
    found = await acme.linking.by_email(acme.tenant.id, account=TRUSTED, email=email)
    assert found is None
    assert await acme.person(TRUSTED) is None


async def test_an_email_links_nothing_where_no_admin_has_said_so(acme: Acme) -> None:
    await acme.trust("acme.test")
    assert await by_email(acme) is None


async def test_an_email_links_nothing_without_a_provider_that_speaks_for_its_domain(
    acme: Acme,
) -> None:
    await make_workspace(acme.database, acme.bob, workspace="T0TRUSTED", links_by_email=True)
    link = acme.linking.by_email
    assert await link(acme.tenant.id, account=TRUSTED, email="alice@acme.test") is None
    await acme.trust("other.test")
    assert await link(acme.tenant.id, account=TRUSTED, email="alice@acme.test") is None


async def test_an_email_links_nobody_who_is_disabled(acme: Acme, clock: SteadyClock) -> None:
    await trusting(acme)
    await Enrolment(acme.database).disable(acme.tenant.id, email="alice@acme.test", at=clock.now())
    found = await acme.linking.by_email(acme.tenant.id, account=TRUSTED, email="alice@acme.test")
    assert found is None


async def test_an_account_that_was_unlinked_is_never_linked_by_email_again(acme: Acme) -> None:
    await trusting(acme)
    link = acme.linking.by_email
    assert await link(acme.tenant.id, account=TRUSTED, email="alice@acme.test")
    await acme.linking.unlink(acme.tenant.id, account=TRUSTED, why="by_person")
    assert await link(acme.tenant.id, account=TRUSTED, email="alice@acme.test") is None
    await acme.link(TRUSTED, acme.alice)
    assert await acme.person(TRUSTED) == acme.alice


async def test_first_messages_at_once_make_one_link(acme: Acme) -> None:
    await trusting(acme)
    found = await asyncio.gather(
        *(
            acme.linking.by_email(acme.tenant.id, account=TRUSTED, email="alice@acme.test")
            for _ in range(4)
        )
    )
    assert [one for one in found if one != acme.alice] == []
    async with acme.database.for_tenant(acme.tenant.id) as connection:
        rows = (await connection.execute(select(identity_links))).all()
    assert len(rows) == 1
    assert len(await acme.audited()) == 1
