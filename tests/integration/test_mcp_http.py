"""The gate before MCP: tokens, hosts, origins, sizes, and clients that hang up."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp_types.version import LATEST_MODERN_VERSION
from sqlalchemy import func, update

from core.domain.principal import Audience
from core.store.tables import access_tokens
from mcp_server.http import McpEndpoint
from tests.databases import Urls
from tests.loopback import http_client
from tests.mcp_door import LEGACY, MODERN, McpDoor, called, mcp_door
from tests.waiting import until
from tests.world import Company, World, world_on

SCRIPT = "scripts: [{match: x, turns: [{say: y}]}]"
NO_CAPABILITIES: dict[str, object] = {}
MODERN_META: dict[str, object] = {
    "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
    "io.modelcontextprotocol/clientCapabilities": NO_CAPABILITIES,
}
LIST: dict[str, object] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {"_meta": MODERN_META},
}
MODERN_HEADERS = {"mcp-protocol-version": LATEST_MODERN_VERSION, "mcp-method": "tools/list"}


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


def bearer(token: str) -> str:
    return f"Bearer {token}"


async def bad_authorization(  # noqa: PLR0911 - a table of one line each
    world: World, acme: Company, *, kind: str
) -> str:
    """Return an Authorization header that opens nothing."""
    tokens, person = world.assembly.tokens, acme.member.principal
    good = await world.token(person, audience=Audience.MCP)
    match kind:
        case "garbage":
            return bearer("sp_mcp_garbage")
        case "unknown":
            return bearer("sp_mcp_" + "a" * 43)
        case "basic":
            return f"Basic {good}"
        case "bare":
            return good
        case "other audience":
            return bearer(await world.token(person, audience=Audience.API))
        case "expired":
            brief = await tokens.issue(person, audience=Audience.MCP, ttl=timedelta(microseconds=1))
            return bearer(brief)
        case "revoked":
            (record,) = await tokens.page(acme.tenant.id)
            await tokens.revoke(acme.tenant.id, token_id=record.id)
            return bearer(good)
        case _:
            raise ValueError(kind)


@pytest.mark.parametrize(
    "kind", ["garbage", "unknown", "basic", "bare", "other audience", "expired", "revoked"]
)
async def test_a_token_that_is_not_valid_here_opens_nothing(world: World, kind: str) -> None:
    acme = await world.company()
    header = await bad_authorization(world, acme, kind=kind)
    async with mcp_door(world) as door, http_client() as http:
        for method in ("GET", "POST", "DELETE"):
            refused = await http.request(method, door.url, headers={"authorization": header})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
            assert refused.json()["error"]["code"] == "invalid_token"


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_projects", {}),
        ("delete_task", {"task_id": "t"}),
        ("start_run", {"task": "x"}),
    ],
)
async def test_a_token_that_another_process_has_just_revoked_is_challenged(
    world: World, era: str, tool: str, arguments: dict[str, str]
) -> None:
    acme = await world.company()
    params: dict[str, object] = {"name": tool, "arguments": arguments}
    headers: dict[str, str] = {}
    if era == "modern":
        params["_meta"] = MODERN_META
        headers = MODERN_HEADERS | {"mcp-method": "tools/call", "mcp-name": tool}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with mcp_door(world) as door:
        token = await door.token(acme.member)
        seen = await door.post(LIST, authorization=bearer(token))
        assert seen.status_code == 200
        await revoke_elsewhere(world, acme)
        refused = await door.post(call, authorization=bearer(token), **headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert await world.app.runs(acme.member, before=None, limit=5) == ()


async def revoke_elsewhere(world: World, acme: Company) -> None:
    async with world.assembly.database.for_tenant(acme.tenant.id) as connection:
        await connection.execute(update(access_tokens).values(revoked_at=func.now()))


async def test_what_a_tool_says_of_tokens_is_no_challenge(world: World) -> None:
    acme = await world.company()
    params: dict[str, object] = {"name": "invalid_token", "arguments": {}}
    call: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with mcp_door(world) as door:
        answered = await door.post(call, authorization=bearer(await door.token(acme.member)))
    assert "invalid_token" in answered.text
    assert answered.status_code == 200


async def test_no_token_is_challenged_without_an_error(world: World) -> None:
    async with mcp_door(world) as door:
        refused = await door.post(LIST)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["code"] == "no_token"


async def test_two_tokens_are_none(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, http_client() as http:
        token = await door.token(acme.member)
        headers = [("authorization", bearer(token)), ("authorization", bearer(token))]
        refused = await http.post(door.url, json=LIST, headers=headers)
    assert refused.status_code == 401


async def test_the_challenge_names_the_metadata_once_there_is_some(world: World) -> None:
    there = "https://door.example/.well-known/oauth-protected-resource/mcp"
    endpoint = McpEndpoint(world.app, tokens=world.assembly.tokens, resource_metadata=there)
    async with endpoint.lifespan():
        transport = httpx2.ASGITransport(app=endpoint.asgi)
        async with http_client(transport=transport, base_url="http://localhost") as http:
            none = await http.post("/mcp", json=LIST)
            bad = await http.post("/mcp", json=LIST, headers={"authorization": "Bearer x"})
    named = f'scope="tools:call runs:start runs:read approvals:read", resource_metadata="{there}"'
    assert none.headers["www-authenticate"] == f"Bearer {named}"
    assert bad.headers["www-authenticate"] == f'Bearer error="invalid_token", {named}'


async def test_a_database_that_is_away_is_no_verdict_on_a_token(urls: Urls, tmp_path: Path) -> None:
    away = Urls(privileged=urls.privileged, app="postgresql://nobody@127.0.0.1:1/none")
    async with world_on(away, tmp_path, script=SCRIPT) as world, mcp_door(world) as door:
        refused = await door.post(LIST, authorization=bearer("sp_mcp_" + "a" * 43))
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "database_unavailable"


async def test_there_is_no_stream_to_open_and_no_session_to_end(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, http_client() as http:
        headers = {"authorization": bearer(await door.token(acme.member))}
        for method in ("GET", "DELETE", "PUT"):
            refused = await http.request(method, door.url, headers=headers)
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


HOSTS: dict[str, tuple[dict[str, str], int]] = {
    "loopback": ({}, 200),
    "localhost": ({"host": "localhost:8080"}, 200),
    "ours": ({"host": "door.example", "origin": "https://door.example"}, 200),
    "a page of ours": ({"origin": "http://localhost:5173"}, 200),
    "rebound": ({"host": "evil.example"}, 421),
    "nearly ours": ({"host": "door.example.evil.example"}, 421),
    "a page of theirs": ({"origin": "https://evil.example"}, 403),
    "ours without tls": ({"origin": "http://door.example"}, 403),
}


@pytest.mark.parametrize("era", [{}, MODERN_HEADERS], ids=[LEGACY, "modern"])
async def test_only_loopback_and_the_public_url_are_answered_to(
    world: World, era: dict[str, str]
) -> None:
    acme = await world.company()
    found: dict[str, int] = {}
    async with mcp_door(world, public_url="https://door.example") as door:
        token = bearer(await door.token(acme.member))
        for name, (headers, _) in HOSTS.items():
            answered = await door.post(LIST, authorization=token, **headers, **era)
            found[name] = answered.status_code
    assert found == {name: status for name, (_, status) in HOSTS.items()}


async def test_a_body_beyond_all_measure_is_refused(world: World) -> None:
    acme = await world.company()
    huge = {**LIST, "params": {"cursor": "x" * (4 * 1024 * 1024)}}
    async with mcp_door(world) as door:
        refused = await door.post(huge, authorization=bearer(await door.token(acme.member)))
    assert refused.status_code == 413


MALFORMED: tuple[object, ...] = (
    {"jsonrpc": "2.0", "id": 1},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": NO_CAPABILITIES},
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "list_projects", "arguments": [1]},
    },
    {"jsonrpc": "2.0", "id": 1, "method": "tools/destroy", "params": NO_CAPABILITIES},
)


async def test_what_is_no_request_is_a_protocol_error(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door:
        token = bearer(await door.token(acme.member))
        for malformed in MALFORMED:
            answered = await door.post(malformed, authorization=token)
            assert answered.json()["error"]["code"] in {-32600, -32601, -32602}


async def test_plain_answers_are_json_and_those_with_progress_a_stream(world: World) -> None:
    acme = await world.company()
    params: dict[str, object] = {"name": "list_projects", "arguments": {}}
    call: dict[str, object] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    progress = call | {"params": params | {"_meta": {"progressToken": 1}}}
    async with mcp_door(world) as door:
        token = bearer(await door.token(acme.member))
        plain = await door.post(call, authorization=token)
        bare = await door.post(call, authorization=token, accept="application/json")
        stream = await door.post(progress, authorization=token)
    assert plain.headers["content-type"] == bare.headers["content-type"] == "application/json"
    assert stream.headers["content-type"].startswith("text/event-stream")
    (line,) = [line for line in stream.text.splitlines() if line.startswith("data: {")]
    assert json.loads(line[6:])["result"]["content"]
    assert plain.json()["result"]["content"]


async def test_neither_tokens_nor_arguments_are_logged(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    acme = await world.company()
    async with mcp_door(world) as door:
        token = await door.token(acme.member)
        async with door.client_with(token) as client:
            await called(
                client, "create_task", {"project_id": str(acme.project_id), "title": "Hush-hush"}
            )
            await called(client, "delete_task", {"task_id": "Hush-hush"})
        await door.post(LIST, authorization=bearer(token[:-1] + "-"))
    told = caplog.text + "".join(capfd.readouterr())
    assert "mcp.turned_away" in told
    assert token[:-1] not in told
    assert "Hush-hush" not in told


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
@pytest.mark.parametrize("meta", [{}, {"progressToken": 1}], ids=["plain", "stream"])
async def test_a_client_that_hangs_up_loses_nothing_and_does_nothing_twice(
    world: World, mode: str, meta: dict[str, object]
) -> None:
    acme = await world.company()
    arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}
    async with (
        mcp_door(world, has_worker=False) as door,
        mcp_door(world, has_worker=False, wait_seconds=0) as hasty,
        hasty.client(acme.member, mode=mode) as client,
    ):
        await call_and_hang_up(door, acme, arguments=arguments, mode=mode, meta=meta)
        joined = await called(client, "create_task", arguments)
        (run,) = await world.app.runs(acme.member, before=None, limit=5)
        assert joined["run_id"] == str(run.id)
        await world.drive()
        settled = await called(client, "approval_status", {"approval_id": joined["call_id"]})
        inbox = {"project_id": str(acme.project_id)}
        listed = await called(client, "list_tasks_in_project", inbox)
    assert settled["result"]["task"]["title"] == "Buy milk"
    assert [task["title"] for task in listed["tasks"]].count("Buy milk") == 1


async def call_and_hang_up(
    door: McpDoor,
    acme: Company,
    *,
    arguments: dict[str, str],
    mode: str,
    meta: dict[str, object],
) -> None:
    """Send a call by hand, and close the connection as soon as it has become a run."""
    era: list[str] = []
    if mode == MODERN:
        era = [
            f"MCP-Protocol-Version: {LATEST_MODERN_VERSION}",
            "Mcp-Method: tools/call",
            "Mcp-Name: create_task",
        ]
        meta = meta | MODERN_META
    params = {"name": "create_task", "arguments": arguments, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    address = urlsplit(door.url)
    head = [
        "POST /mcp HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: Bearer {await door.token(acme.member)}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {len(body)}",
        *era,
    ]
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    async def has_become_a_run() -> bool:
        return bool(door.world.dispatcher.due)

    await until(has_become_a_run)
    writer.close()
    await writer.wait_closed()
