"""Tokens for a few calls: what they open, how often, for how much, and that nothing adds to it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from core.domain.approval import Answer
from core.domain.canonical import Json
from core.domain.principal import Audience, Caller
from core.domain.token import Allowance
from core.domain.tool import CallState
from core.errors import Forbidden, InvalidInput, NotFound, Refused, Unauthenticated
from core.store.capabilities import StoredCapabilities
from core.store.capability_tables import capabilities
from core.store.database import Database
from tests.databases import Urls
from tests.workshop import LOOK_COSTS, Workplace, workplace_on
from tests.world import Company

FIVE_MINUTES = timedelta(minutes=5)
AT = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path) as made:
        yield made


async def few(
    place: Workplace,
    person: Caller,
    *tools: str,
    uses: int = 1,
    amount: int = 1000,
    ttl: timedelta = FIVE_MINUTES,
    **arguments: Json,
) -> Caller:
    """Return who comes with a token for a few calls of this person's."""
    tokens = place.assembly.tokens
    token = await tokens.issue_capability(
        person.principal,
        audience=Audience.API,
        tools=frozenset(tools),
        arguments=arguments or None,
        allowance=Allowance(uses=uses, amount_micros=amount),
        ttl=ttl,
    )
    return await tokens.authenticate(token, audience=Audience.API)


async def left(place: Workplace, caller: Caller) -> tuple[int, int]:
    """Return how many uses and how much money a token has left."""
    query = select(capabilities.c.uses_left, capabilities.c.amount_left_micros).where(
        capabilities.c.token_id == caller.token_id
    )
    async with place.assembly.database.for_tenant(caller.tenant_id) as connection:
        row = (await connection.execute(query)).one()
    return row.uses_left, row.amount_left_micros


async def refusal(place: Workplace, caller: Caller, tool: str, **arguments: str | int) -> Refused:
    with pytest.raises(Refused) as refused:
        await place.app.call_tool(caller, tool=tool, arguments=arguments)
    return refused.value


async def test_a_token_for_one_call_makes_one(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look")
    await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
    assert await left(place, caller) == (0, 1000 - LOOK_COSTS)
    refused = await refusal(place, caller, "look", name="b")
    assert (refused.code, dict(refused.facts)) == ("capability_spent", {"tool": "look"})
    assert place.bench.names == ["a"]
    told = await place.audit(acme.admin, "call.refused")
    assert [record["code"] for record in told] == ["capability_spent"]


async def test_it_makes_calls_of_the_tools_that_it_names_and_lists_no_other(
    place: Workplace,
) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look", "push", uses=5)
    assert [tool.name for tool in await place.app.tools(caller)] == ["look", "push"]
    for tool in ("fire", "smash", "list_projects", "pull"):
        assert (await refusal(place, caller, tool, name="a")).code in {
            "capability_exceeded",
            "unknown_tool",
            "invalid_arguments",
        }
    with pytest.raises(Forbidden, match="capability_exceeded"):
        await place.app.dry_run(caller, tool="fire", arguments={"name": "a"})
    assert place.bench.made == []
    assert await left(place, caller) == (5, 1000)


async def test_it_opens_nothing_but_calls(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.admin, "look")
    assert caller.scopes == {"tools:call"}
    with pytest.raises(Forbidden, match="missing_scope"):
        await place.app.start_run(caller, task="Look at everything.")
    with pytest.raises(Forbidden, match="missing_scope"):
        await place.app.runs(caller, before=None, limit=10)


async def test_it_shows_calls_of_its_tools_only(place: Workplace) -> None:
    acme = await place.company()
    pushed = await place.app.call_tool(acme.member, tool="push", arguments={"name": "a"})
    caller = await few(place, acme.member, "look")
    with pytest.raises(NotFound):
        await place.app.call(caller, call_id=pushed.record.call.id)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"name": "a"}, ""),
        ({"name": "a", "times": 1}, ""),
        ({"name": "a", "times": 2}, "capability_exceeded"),
        ({"name": "b"}, "capability_exceeded"),
    ],
)
async def test_named_arguments_must_be_there_as_the_tool_takes_them(
    place: Workplace, arguments: dict[str, str | int], refused: str
) -> None:
    """What is left out counts as the tool's own default."""
    acme = await place.company()
    caller = await few(place, acme.member, "look", name="a", times=1)
    if refused:
        assert (await refusal(place, caller, "look", **arguments)).code == refused
    else:
        await place.app.call_tool(caller, tool="look", arguments=arguments)
    assert (await left(place, caller))[0] == bool(refused)


async def test_it_spends_no_more_than_it_was_given(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look", uses=5, amount=2 * LOOK_COSTS + 1)
    for name in ("a", "b"):
        await place.app.call_tool(caller, tool="look", arguments={"name": name})
    assert (await refusal(place, caller, "look", name="c")).code == "capability_spent"
    assert await left(place, caller) == (3, 1)


async def test_what_the_policy_refuses_is_not_spent(urls: Urls, tmp_path: Path) -> None:
    rule = """@id("no_looking") @reason("Nobody looks.")
    forbid (principal, action == Action::"call", resource)
    when { resource.name == "look" };"""
    async with workplace_on(urls, tmp_path, rules=rule) as place:
        acme = await place.company()
        caller = await few(place, acme.member, "look", "push")
        assert (await refusal(place, caller, "look", name="a")).code == "policy_denied"
        assert await left(place, caller) == (1, 1000)


async def test_a_call_through_it_still_needs_people_and_is_asked_about_once(
    place: Workplace,
) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "smash")
    asked = await place.app.call_tool(caller, tool="smash", arguments={"name": "a"})
    await place.drive()
    assert await left(place, caller) == (0, 1000)
    (approval,) = await place.pending(acme.approver)
    again = await place.app.call_tool(caller, tool="smash", arguments={"name": "a"})
    assert again.approval_id == approval.id
    assert again.record.call.id == asked.record.call.id
    assert place.bench.made == []
    await place.app.decide(
        acme.approver, approval_id=approval.id, answer=Answer.APPROVE, digest=approval.digest
    )
    await place.drive()
    done = await place.app.call(caller, call_id=asked.record.call.id)
    assert done.record.state is CallState.SUCCEEDED
    assert (await refusal(place, caller, "smash", name="a")).code == "capability_spent"
    assert place.bench.names == ["a"]


async def test_a_no_of_people_spends_it(place: Workplace) -> None:
    """Or a model could ask them again and again with a token for one call."""
    acme = await place.company()
    caller = await few(place, acme.member, "smash")
    await place.app.call_tool(caller, tool="smash", arguments={"name": "a"})
    await place.drive()
    (approval,) = await place.pending(acme.approver)
    await place.app.decide(
        acme.approver, approval_id=approval.id, answer=Answer.DENY, digest=approval.digest
    )
    await place.drive()
    assert (await refusal(place, caller, "smash", name="a")).code == "capability_spent"


async def test_a_call_that_joins_another_costs_nothing(place: Workplace) -> None:
    acme = await place.company()
    mine = await place.app.call_tool(acme.member, tool="push", arguments={"name": "a"})
    caller = await few(place, acme.member, "push")
    joined = await place.app.call_tool(caller, tool="push", arguments={"name": "a"})
    assert joined.record.call.id == mine.record.call.id
    assert await left(place, caller) == (1, 1000)


async def test_the_same_call_at_once_is_one_call_and_one_use(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "push", uses=10)
    views = await asyncio.gather(
        *(place.app.call_tool(caller, tool="push", arguments={"name": "a"}) for _ in range(10))
    )
    assert len({view.record.call.id for view in views}) == 1
    assert await left(place, caller) == (9, 1000)


async def test_a_key_that_was_another_requests_costs_nothing(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "push", uses=2)
    key = "monday"
    await place.app.call_tool(caller, tool="push", arguments={"name": "a"}, client_key=key)
    with pytest.raises(Refused, match="key_reused"):
        await place.app.call_tool(caller, tool="push", arguments={"name": "b"}, client_key=key)
    assert (await left(place, caller))[0] == 1


async def test_a_configuration_that_changes_meanwhile_costs_one_use_not_two(
    place: Workplace,
) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look", uses=3)
    await place.app.tools(caller)

    async def change() -> None:
        place.bench.hooks.clear()
        async with place.assembly.database.for_tenant(caller.tenant_id) as connection:
            await connection.execute(text("update tenants set epoch = epoch + 1"))

    place.bench.hooks["a"] = change
    await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
    assert await left(place, caller) == (2, 1000 - LOOK_COSTS)


async def test_a_revoked_one_makes_no_call(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look")
    assert caller.token_id is not None
    await place.assembly.tokens.revoke(caller.tenant_id, token_id=caller.token_id)
    with pytest.raises((Forbidden, Unauthenticated)):
        await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
    assert place.bench.made == []
    assert await left(place, caller) == (1, 1000)


async def test_what_its_person_may_not_do_it_may_not_either(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look")
    await place.assembly.people.change_roles(
        caller.tenant_id, principal_id=caller.principal.id, roles=[]
    )
    with pytest.raises(Refused):
        await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
    assert place.bench.made == []


async def test_undoing_takes_back_only_what_the_token_names(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "push", uses=3)
    view = await place.app.call_tool(caller, tool="push", arguments={"name": "a"})
    await place.drive()
    with pytest.raises(Forbidden, match="capability_exceeded"):
        await place.app.undo(caller, call_id=view.record.call.id)


async def spent_at_once(
    places: Sequence[Database], company: Company, caller: Caller, *, attempts: int
) -> int:
    """Have that many processes' worth of attempts at once; return how many were let in."""
    assert caller.token_id is not None
    token_id = caller.token_id

    async def attempt(number: int) -> bool:
        stored = StoredCapabilities(places[number % len(places)])
        return await stored.spend(company.tenant.id, token_id=token_id, micros=10, at=AT)

    return sum(await asyncio.gather(*(attempt(number) for number in range(attempts))))


@pytest.mark.parametrize(("uses", "amount", "let_in"), [(1, 1000, 1), (7, 1000, 7), (50, 35, 3)])
async def test_of_a_thousand_at_once_as_many_are_let_in_as_there_are_uses(
    place: Workplace, urls: Urls, uses: int, amount: int, let_in: int
) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "look", uses=uses, amount=amount)
    processes = [Database(urls.app, pool_size=4) for _ in range(3)]
    try:
        assert await spent_at_once(processes, acme, caller, attempts=1000) == let_in
    finally:
        for one in processes:
            await one.close()
    assert await left(place, caller) == (uses - let_in, amount - 10 * let_in)


async def test_different_calls_at_once_do_not_share_one_use(place: Workplace) -> None:
    acme = await place.company()
    caller = await few(place, acme.member, "push")
    came = await asyncio.gather(
        *(
            place.app.call_tool(caller, tool="push", arguments={"name": str(number)})
            for number in range(20)
        ),
        return_exceptions=True,
    )
    refused = [one for one in came if isinstance(one, Forbidden)]
    assert [one.code for one in refused] == ["capability_spent"] * 19
    await place.drive()
    assert len(place.bench.made) == 1


@pytest.mark.parametrize(
    ("tools", "uses", "amount", "ttl"),
    [
        ((), 1, 0, FIVE_MINUTES),
        (tuple(f"tool_{number}" for number in range(51)), 1, 0, FIVE_MINUTES),
        (("look",), 0, 0, FIVE_MINUTES),
        (("look",), 1001, 0, FIVE_MINUTES),
        (("look",), 1, -1, FIVE_MINUTES),
        (("look",), 1, 10**11, FIVE_MINUTES),
        (("look",), 1, 0, timedelta()),
        (("look",), 1, 0, timedelta(hours=1, seconds=1)),
    ],
)
async def test_a_token_for_a_few_calls_is_for_few_and_for_a_while(
    place: Workplace, tools: tuple[str, ...], uses: int, amount: int, ttl: timedelta
) -> None:
    acme = await place.company()
    with pytest.raises(InvalidInput, match="invalid_capability"):
        await few(place, acme.member, *tools, uses=uses, amount=amount, ttl=ttl)


async def test_no_tenant_spends_anothers(place: Workplace) -> None:
    acme, globex = await place.company(), await place.company("globex")
    caller = await few(place, acme.member, "look")
    assert caller.token_id is not None
    stored = StoredCapabilities(place.assembly.database)
    assert not await stored.spend(globex.tenant.id, token_id=caller.token_id, micros=0, at=AT)
    await stored.give_back(globex.tenant.id, token_id=caller.token_id, micros=5)
    assert await left(place, caller) == (1, 1000)
