"""That a tenant's tools have changed reaches its clients, whichever process they hang on."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from mcp import Client, MCPError, types
from mcp.shared.subscriptions import ToolsListChanged

from core.domain.ids import TenantId
from core.store.database import Database
from core.store.nudges import StoredNudges
from mcp_server.listening import Listeners
from mcp_server.server import mcp_server
from tests.databases import Urls
from tests.mcp_door import McpDoor, mcp_door
from tests.waiting import until
from tests.world import World, world_on

SCRIPT = "scripts: [{match: x, turns: [{say: y}]}]"


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@dataclass(slots=True)
class Heard:
    """What was passed on, and a wait for it."""

    told: list[tuple[TenantId | None, str]] = field(default_factory=list)

    async def __call__(self, tenant_id: TenantId | None, kind: str) -> None:
        self.told.append((tenant_id, kind))

    async def holds(self, *wanted: tuple[TenantId | None, str]) -> None:
        async def is_so() -> bool:
            return set(wanted) <= set(self.told)

        await until(is_so)


async def switch_off(world: World, tenant_id: TenantId, tool: str = "list_projects") -> None:
    await world.assembly.people.set_tool(tenant_id, tool=tool, enabled=False)


async def test_what_one_process_changes_another_hears(world: World, urls: Urls) -> None:
    acme, globex = await world.company(), await world.company("globex")
    heard, other = Heard(), Database(urls.app)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(StoredNudges(other).follow(heard))
        await until(lambda: is_listening(urls))
        await switch_off(world, acme.tenant.id)
        await heard.holds((acme.tenant.id, "tools"))
        following.cancel()
    await other.close()
    assert globex.tenant.id not in {tenant for tenant, _ in heard.told}


async def test_after_an_outage_everybody_is_told_once(world: World, urls: Urls) -> None:
    acme = await world.company()
    heard, other = Heard(), Database(urls.app)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(StoredNudges(other).follow(heard))
        await until(lambda: is_listening(urls))
        await cut_off(urls)
        await heard.holds((None, "tools"))
        await switch_off(world, acme.tenant.id)
        await heard.holds((acme.tenant.id, "tools"))
        following.cancel()
    await other.close()
    assert heard.told.count((None, "tools")) == 1


async def test_a_line_that_is_still_is_tried_and_one_that_is_ours_only_in_name_ignored(
    urls: Urls,
) -> None:
    heard, other = Heard(), Database(urls.app)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(StoredNudges(other, alive_seconds=0.05).follow(heard))
        await until(lambda: is_tried(urls))
        tenant_id = TenantId(uuid4())
        async with await psycopg.AsyncConnection.connect(urls.app, autocommit=True) as anybody:
            for payload in ("nonsense", "", f"{tenant_id} tools"):
                await anybody.execute("select pg_notify('sallyport_nudges', %s)", [payload])
        await heard.holds((tenant_id, "tools"))
        following.cancel()
    await other.close()
    assert heard.told == [(tenant_id, "tools")]


async def test_a_database_that_is_away_at_first_is_waited_for(urls: Urls) -> None:
    away = Database(urls.app.replace("sallyport_app", "nobody_of_that_name"))
    heard = Heard()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await StoredNudges(away).follow(heard)
    await away.close()
    assert heard.told == []


async def activity(urls: Urls, condition: str) -> int:
    async with await psycopg.AsyncConnection.connect(urls.privileged) as connection:
        found = await connection.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and query ilike %s and pid <> pg_backend_pid()",
            [condition],
        )
        row = await found.fetchone()
        return int(row[0]) if row else 0


async def is_listening(urls: Urls) -> bool:
    return await activity(urls, "listen%") > 0


async def is_tried(urls: Urls) -> bool:
    return await activity(urls, "select 1") > 0


async def cut_off(urls: Urls) -> None:
    async with await psycopg.AsyncConnection.connect(urls.privileged) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query ilike 'listen%'"
        )


async def hears_of(client: Client, change: Callable[[], Awaitable[None]]) -> None:
    """Return once the client has heard of what ``change`` does."""
    async with asyncio.timeout(20), client.listen(tools_list_changed=True) as events:
        await change()
        async for event in events:
            assert isinstance(event, ToolsListChanged)
            return


async def test_a_stream_hears_of_its_own_tenants_tools_across_processes(
    world: World, urls: Urls, tmp_path: Path
) -> None:
    acme, globex = await world.company(), await world.company("globex")
    async with world_on(urls, tmp_path, script=SCRIPT) as twin:
        nudges = StoredNudges(twin.assembly.database)
        async with (
            mcp_door(twin, nudges=nudges) as door,
            door.client(acme.member) as client,
            door.client(globex.member) as stranger,
            stranger.listen(tools_list_changed=True) as foreign,
        ):
            await until(lambda: is_listening(urls))
            before = [tool.name for tool in (await client.list_tools()).tools]
            await hears_of(client, lambda: switch_off(world, acme.tenant.id))
            after = [tool.name for tool in (await client.list_tools()).tools]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(aiter(foreign))
    assert set(before) - set(after) == {"list_projects"}


async def test_streams_are_counted_by_person_and_ended_with_the_process(world: World) -> None:
    acme = await world.company()
    stopping = asyncio.Event()
    async with mcp_door(world, stopping=stopping) as door:
        token = await door.token(acme.member)
        async with asyncio.TaskGroup() as group:
            opened = [asyncio.Event() for _ in range(8)]
            streams = [group.create_task(until_ended(door, token, opened=one)) for one in opened]
            for one in opened:
                await one.wait()
            assert await is_full(door, token)
            async with door.client(acme.approver) as other, other.listen(tools_list_changed=True):
                pass
            stopping.set()
        assert [stream.result() for stream in streams] == ["ended"] * 8


async def until_ended(door: McpDoor, token: str, *, opened: asyncio.Event) -> str:
    async with door.client_with(token) as client:
        async with client.listen(tools_list_changed=True) as events:
            opened.set()
            async for _ in events:
                pass
        return "ended"


async def is_full(door: McpDoor, token: str) -> bool:
    async with door.client_with(token) as client:
        try:
            async with client.listen(tools_list_changed=True):
                return False
        except MCPError as error:
            return error.error.data == {"code": "too_many_streams"}


async def test_a_stream_that_was_closed_makes_room_for_another(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        for _ in range(20):
            async with client.listen(tools_list_changed=True) as events:
                assert events.honored.tools_list_changed


async def test_a_stream_ends_in_good_order_when_its_time_is_over(world: World) -> None:
    acme = await world.company()
    listeners = Listeners(lifetime_seconds=0.1)
    server = mcp_server(world.app, identify=lambda _: acme.member, listeners=listeners)
    async with Client(server) as client:
        async with client.listen(tools_list_changed=True) as events:
            seen = [event async for event in events]
        listeners.end()
        async with client.listen(tools_list_changed=True) as events:
            seen += [event async for event in events]
    assert seen == []


async def test_each_kind_of_list_has_its_own_event_and_each_tenant_its_own_ears() -> None:
    listeners, mine, theirs = Listeners(), TenantId(uuid4()), TenantId(uuid4())
    heard: dict[TenantId, list[str]] = {mine: [], theirs: []}
    ends = [
        listeners.subscribe(tenant, lambda event, told=told: told.append(type(event).__name__))
        for tenant, told in heard.items()
    ]
    for tenant_id, kind in ((mine, "tools"), (theirs, "prompts"), (None, "resources")):
        await listeners.tell(tenant_id, kind)
    await listeners.tell(mine, "weather")
    for end in (*ends, *ends):
        end()
    await listeners.tell(None, "tools")
    assert heard == {
        mine: ["ToolsListChanged", "ResourcesListChanged"],
        theirs: ["PromptsListChanged", "ResourcesListChanged"],
    }


async def test_levels_of_logs_are_taken_and_nothing_is_kept(world: World) -> None:
    acme = await world.company()
    asking = {"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel"}
    async with mcp_door(world) as door:
        token = f"Bearer {await door.token(acme.member)}"
        taken = await door.post({**asking, "params": {"level": "info"}}, authorization=token)
        wrong = await door.post({**asking, "params": {"level": "loud"}}, authorization=token)
    no_news: dict[str, object] = {}
    assert taken.json()["result"] == no_news
    assert wrong.json()["error"]["code"] == types.INVALID_PARAMS
