"""What every address shares: tokens, bodies, hosts, methods, figures, and the way it stops."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import httpx2
import jsonschema_rs
import psycopg
import pytest
from sqlalchemy import func, update
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from api.app import OPERATIONS
from core.domain.principal import Audience
from core.errors import LimitReached, Misconfigured
from core.store.readiness import Readiness
from core.store.tables import access_tokens
from sallyport.assembly import Assembly
from sallyport.http import http_app, serve
from sallyport.metrics import Gauge
from sallyport.settings import HttpSettings
from tests.databases import Urls
from tests.loopback import http_client
from tests.rest import Json, Served, application, listening, served
from tests.waiting import until
from tests.world import World, world_on

SCRIPT = "scripts: [{contains: hello, turns: [{say: Hello.}]}]"


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.fixture
async def rest(urls: Urls, tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def test_every_operation_wants_a_token(rest: Served) -> None:
    async with http_client(base_url=rest.url) as http:
        for operation in OPERATIONS:
            path = operation.path.replace("{", "").replace("}", "")
            answer = await http.request(operation.method, f"/api/v1{path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "no_token")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_bad_tokens_get_one_and_the_same_answer(rest: Served) -> None:
    acme = await rest.world.company()
    tokens = rest.world.assembly.tokens
    revoked = await rest.world.token(acme.approver.principal)
    for record in await tokens.page(acme.tenant.id):
        await tokens.revoke(acme.tenant.id, token_id=record.id)
    for_mcp = await rest.world.token(acme.member.principal, audience=Audience.MCP)
    answers: set[tuple[int, str, str]] = set()
    for token in (revoked, for_mcp, f"sp_api_{'x' * 43}", "x", "sp_api_\u00e9"):
        headers = {b"authorization": b"Bearer " + token.encode()}
        async with http_client(base_url=rest.url) as http:
            answer = await http.get("/api/v1/runs", headers=headers)
            challenge = answer.headers["www-authenticate"]
            answers.add((answer.status_code, answer.text, challenge))
    ((status, text, challenge),) = answers
    assert (status, json.loads(text)["code"]) == (401, "invalid_token")
    assert challenge == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tools/list_projects/calls", {"arguments": {}}),
        ("/tools/create_task/calls", {"arguments": {"project_id": "p", "title": "t"}}),
        ("/runs", {"task": "x"}),
        ("/runs/00000000-0000-0000-0000-000000000000/cancel", {}),
        (
            "/approvals/00000000-0000-0000-0000-000000000000/decision",
            {"decision": "approve", "digest": "d"},
        ),
    ],
)
async def test_nothing_is_done_with_a_token_that_another_process_has_just_revoked(
    rest: Served, path: str, body: dict[str, object]
) -> None:
    acme = await rest.world.company()
    token = await rest.world.token(acme.approver.principal)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=rest.url, headers=headers) as http:
        assert (await http.get("/api/v1/runs")).status_code == 200
        async with rest.world.assembly.database.for_tenant(acme.tenant.id) as connection:
            await connection.execute(update(access_tokens).values(revoked_at=func.now()))
        answer = await http.post(f"/api/v1{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_two_tokens_in_one_request_are_nobodys(rest: Served) -> None:
    acme = await rest.world.company()
    token = (await rest.world.token(acme.member.principal)).encode()
    async with http_client(base_url=rest.url) as http:
        twice = [(b"authorization", b"Bearer " + token), (b"authorization", b"Basic eA==")]
        answer = await http.get("/api/v1/runs", headers=twice)
    assert answer.json()["code"] == "no_token"


async def test_a_token_is_in_no_log(rest: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    acme = await rest.world.company()
    token = await rest.world.token(acme.member.principal)
    with capture_logs() as logs:
        async with rest.client(token) as alice:
            await alice.get("/runs")
            await alice.get("/runs/x", status=404)
        await rest.world.assembly.database.close()
    # The client's own log is not ours; it is there to be seen by whoever runs the client.
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    assert token not in f"{logs} {ours}"


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_body"),
        (b"", 400, "malformed_body"),
        (b"[]", 400, "malformed_body"),
        (b'"task"', 400, "malformed_body"),
        (b'{"task": "\\u0000"}', 400, "malformed_body"),
        (b'{"task": "\xff"}', 400, "malformed_body"),
        (b'{"task": "\\ud800"}', 400, "malformed_body"),
        (b"[" * 100_000, 400, "malformed_body"),
        (b'{"task": NaN}', 400, "malformed_body"),
        (b'{"task": "hello", "t\\u0061sk": "bye"}', 400, "malformed_body"),
        (b'{"task": 7}', 422, "invalid_field"),
        (b"{}", 422, "invalid_field"),
        (b'{"task": "hello", "tenant": "globex"}', 422, "unknown_key"),
        (b'{"tenant": "globex"}', 422, "unknown_key"),
        (b'{"task": "' + b"x" * 50_001 + b'"}', 422, "invalid_field"),
        (b'{"task": "' + b"x" * 262_144 + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_body_that_is_not_taken(rest: Served, raw: bytes, status: int, code: str) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        headers = {"content-type": "application/json"}
        answer = await alice.http.post("/api/v1/runs", content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await alice.get("/runs"))["items"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": 1, "a": 1}',
        '{"a": [{"b": {}, "b": 2}]}',
        '{"a": "\\u0000"}',
        '{"\\u0000": 1}',
        '{"a": [[1e999]]}',
        '{"a": [{"b": -1e999}]}',
    ],
)
async def test_arguments_that_mean_two_things_or_could_not_be_stored_are_refused(
    rest: Served, arguments: str
) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        answer = await alice.http.post(
            "/api/v1/tools/create_task/calls",
            content=f'{{"arguments": {arguments}}}',
            headers={"content-type": "application/json; charset=utf-8"},
        )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_a_key_that_is_there_twice_is_named(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        answer = await alice.http.post(
            "/api/v1/runs",
            content='{"task": "hello", "task": "bye"}',
            headers={"content-type": "application/json"},
        )
    assert "has the key 'task' twice" in answer.json()["detail"]


async def test_an_unknown_key_is_named(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        refused = await alice.post("/runs", {"task": "hello", "taks": 1}, status=422)
        assert refused["detail"] == "The key taks is not known here; remove it."
        refused = await alice.get("/runs?page=2", status=422)
        assert (refused["code"], refused["facts"]) == ("unknown_key", {"key": "page"})
        refused = await alice.get("/runs?limit=0", status=422)
        assert refused["facts"]["key"] == "limit"


async def test_only_json_is_read(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
            headers = {"content-type": media_type}
            content = b'{"task": "hello"}'
            answer = await alice.http.post("/api/v1/runs", content=content, headers=headers)
            assert answer.status_code == 415
            assert answer.json()["code"] == "unsupported_media_type"


async def test_a_body_without_a_length_is_cut_off_at_the_limit(rest: Served) -> None:
    acme = await rest.world.company()

    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(300):
            yield b"x" * 1024

    async with rest.client(acme.member) as alice:
        headers = {"content-type": "application/json"}
        answer = await alice.http.post("/api/v1/runs", content=endless(), headers=headers)
    assert answer.status_code == 413


async def test_unknown_addresses_and_methods_are_problems(rest: Served) -> None:
    async with http_client(base_url=rest.url) as http:
        for path in ("/", "/api/v1", "/api/v1/nothing", "/api/v1/runs/", "/mcp", "//healthz"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_address")
        wrong = await http.delete("/api/v1/runs")
        assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
        assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
        preflight = await http.options("/api/v1/runs", headers={"origin": "https://evil.example"})
        assert preflight.status_code == 405
        assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_the_document_describes_every_operation_and_holds_together(rest: Served) -> None:
    document = rest.document
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == {(one.method, f"/api/v1{one.path}") for one in OPERATIONS}
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    names: list[str] = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            told = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
            assert [f"{{{name}}}" for name in told] == [p for p in path.split("/") if "{" in p]
            assert {"401", "403", "422"} < set(operation["responses"])
    assert len(names) == len(set(names))
    assert document["openapi"].startswith("3.1.")


def _references(document: Json) -> list[str]:
    return re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))


@pytest.mark.parametrize(
    ("host", "is_meant"),
    [
        ("127.0.0.1", True),
        ("LOCALHOST:8080", True),
        ("[::1]:8080", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8080", False),
        ("[::1].evil.example", False),
        ("", False),
    ],
)
async def test_on_loopback_only_this_machines_names_are_answered_to(
    world: World,
    host: str,
    is_meant: bool,  # noqa: FBT001 - a table's column
) -> None:
    asgi = application(world, app=world.app)
    async with listening(asgi) as url, http_client(base_url=url) as http:
        answer = await http.get("/healthz", headers={"host": host})
    assert answer.status_code == (200 if is_meant else 421)
    assert is_meant or answer.json()["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    "settings",
    [
        HttpSettings(public_url="https://sallyport.example"),
        HttpSettings(host="0.0.0.0"),  # noqa: S104 - nothing listens there
        HttpSettings(host="sallyport.internal"),
    ],
)
async def test_behind_a_public_name_any_host_will_do(world: World, settings: HttpSettings) -> None:
    asgi = application(world, app=world.app, settings=settings)
    async with listening(asgi) as url, http_client(base_url=url) as http:
        answer = await http.get("/healthz", headers={"host": "sallyport.example"})
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
async def test_every_loopback_address_is_guarded(world: World, host: str) -> None:
    asgi = application(world, app=world.app, settings=HttpSettings(host=host))
    async with listening(asgi) as url, http_client(base_url=url) as http:
        assert (await http.get("/healthz", headers={"host": "x.example"})).status_code == 421
        own = f"[{host}]" if ":" in host else host
        assert (await http.get("/healthz", headers={"host": own})).status_code == 200


async def test_ready_says_whether_the_database_is_there_and_migrated(
    rest: Served, urls: Urls
) -> None:
    async with http_client(base_url=rest.url) as http:
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        async with await psycopg.AsyncConnection.connect(urls.privileged) as connection:
            await connection.execute("update alembic_version set version_num = 'old'")
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "migration_needed")
        assert answer.headers["retry-after"]
        async with await psycopg.AsyncConnection.connect(urls.privileged) as connection:
            await connection.execute("drop table alembic_version")
        assert (await http.get("/readyz")).json()["code"] == "migration_needed"
        assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_database_that_does_not_answer_is_not_ready(world: World) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    asgi = http_app(
        app=world.app,
        tokens=world.assembly.tokens,
        mcp=None,
        readiness=hangs,
        settings=HttpSettings(),
        clock=world.assembly.clock,
        ready_seconds=0.05,
    )
    async with listening(asgi) as url, http_client(base_url=url) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_figures_count_requests_by_route_and_name_nobody(world: World) -> None:
    acme = await world.company()
    asgi = http_app(
        app=world.app,
        tokens=world.assembly.tokens,
        mcp=None,
        readiness=Readiness(world.assembly.database).check,
        settings=HttpSettings(),
        clock=world.assembly.clock,
        gauges={"sallyport_answers": Gauge(meaning="Of one test.", read=lambda: 42.0)},
    )
    token = await world.token(acme.member.principal)
    headers = {"authorization": f"Bearer {token}"}
    async with listening(asgi) as url, http_client(base_url=url, headers=headers) as http:
        await http.get("/api/v1/runs")
        await http.get(f"/api/v1/runs/{acme.tenant.id}")
        await http.get("/nothing")
        await http.request("BREW", "/nothing")
        text = (await http.get("/metrics")).text
    assert 'requests_total{method="GET",route="/api/v1/runs",status="200"} 1' in text
    assert 'requests_total{method="GET",route="/api/v1/runs/{run_id}",status="404"} 1' in text
    assert 'requests_total{method="GET",route="unmatched",status="404"} 1' in text
    assert 'requests_total{method="OTHER",route="unmatched",status="404"} 1' in text
    assert "sallyport_http_requests_in_flight 1\n" in text
    assert "sallyport_answers 42\n" in text
    assert str(acme.tenant.id) not in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


async def test_what_fails_on_our_side_tells_nothing_of_the_inside(world: World) -> None:
    async def broken(_request: Request) -> JSONResponse:
        raise RuntimeError("select secret from vault")

    async def limited(_request: Request) -> JSONResponse:
        raise LimitReached("rate_limited", retry_after_seconds=7, tool="create_task")

    asgi = application(world, app=world.app)
    asgi.router.routes += [Route("/broken", broken), Route("/limited", limited)]
    async with listening(asgi) as url, http_client(base_url=url) as http:
        with capture_logs() as logs:
            answer = await http.get("/broken")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "secret" not in answer.text
        (logged,) = [entry for entry in logs if entry["event"] == "http.failed"]
        assert (logged["route"], logged["error"]) == ("/broken", "RuntimeError")
        assert "secret" not in str(logged)
        answer = await http.get("/limited")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert answer.json()["facts"]["retry_after_seconds"] == 7


async def test_an_answer_that_breaks_off_half_way_is_not_taken_for_whole(world: World) -> None:
    class HalfSaid:
        async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("in the middle")

    asgi = application(world, app=world.app, mcp=HalfSaid())
    async with listening(asgi) as url, http_client(base_url=url) as http:
        with capture_logs() as logs, pytest.raises(httpx2.RemoteProtocolError):
            await http.post("/mcp")
        assert [entry["route"] for entry in logs] == ["/mcp"]


async def test_a_client_that_hangs_up_in_its_body_is_no_failure(world: World) -> None:
    acme = await world.company()
    token = await world.token(acme.member.principal)
    asgi = application(world, app=world.app)
    async with listening(asgi) as url, http_client(base_url=url) as http:
        with capture_logs() as logs:
            port = int(url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            head = "POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100"
            writer.write(f"{head}\r\nauthorization: Bearer {token}\r\n\r\n{{".encode())
            await writer.drain()

            async def in_flight() -> int:
                text = (await http.get("/metrics")).text
                return int(
                    re.findall(r"^sallyport_http_requests_in_flight (\d+)$", text, re.MULTILINE)[0]
                )

            async def is_read() -> bool:
                return await in_flight() == 2

            async def is_over() -> bool:
                return await in_flight() == 1

            await until(is_read)
            writer.close()
            await until(is_over)
    assert logs == []


async def test_a_database_that_is_gone_is_a_503_to_come_back_after(
    world: World, tmp_path: Path
) -> None:
    acme = await world.company()
    token = await world.token(acme.member.principal)
    nowhere = Assembly(
        world.assembly.settings, url=f"postgresql://sallyport_app@/x?host={tmp_path}"
    )
    asgi = http_app(
        app=nowhere.build_app(world.dispatcher),
        tokens=world.assembly.tokens,
        mcp=None,
        readiness=Readiness(nowhere.database).check,
        settings=HttpSettings(),
        clock=world.assembly.clock,
    )
    headers = {"authorization": f"Bearer {token}"}
    async with listening(asgi) as url, http_client(base_url=url, headers=headers) as http:
        for path in ("/api/v1/runs", "/readyz"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert answer.headers["retry-after"] == "5"
    await nowhere.database.close()


async def test_a_port_that_is_taken_is_the_operators_to_free(world: World) -> None:
    asgi = application(world, app=world.app)
    async with listening(asgi) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(Misconfigured, match="port_taken"):
            await serve(asgi, host="127.0.0.1", port=port, ready=print)
    with pytest.raises(Misconfigured, match="address_not_usable"):
        await serve(asgi, host="192.0.2.1", port=0, ready=print)


async def test_stopping_lets_the_answer_under_way_end(world: World) -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(_request: Request) -> JSONResponse:
        begun.set()
        await go_on.wait()
        return JSONResponse({"done": True})

    asgi = application(world, app=world.app)
    asgi.router.routes.append(Route("/slow", slow))
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group, http_client() as http:
        serving = group.create_task(serve(asgi, host="127.0.0.1", port=0, ready=port.set_result))
        url = f"http://127.0.0.1:{await port}"
        asked = group.create_task(http.get(f"{url}/slow"))
        await begun.wait()
        serving.cancel()
        await asgi.state.stopping.wait()
        go_on.set()
        assert (await asked).json() == {"done": True}
    with pytest.raises(httpx2.ConnectError):
        async with http_client() as http:
            await http.get(f"{url}/healthz")


async def test_usage_is_ones_own_and_the_admins_is_everybodys(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    async with rest.client(acme.member) as alice, rest.client(acme.admin) as carol:
        run_id = (await alice.post("/runs", {"task": "say hello"}, status=202))["run_id"]
        await alice.http.get(f"/api/v1/runs/{run_id}/events")
        mine = await alice.get("/usage")
        run = await alice.get(f"/runs/{run_id}")
        (model,) = mine["items"]
        assert (model["kind"], model["name"], model["count"]) == ("model", "scripted", 1)
        assert mine["cost_micros"] == model["cost_micros"] == run["cost_micros"] > 0
        assert model["input_tokens"] == run["steps"][0]["input_tokens"]
        assert await carol.get("/usage") == mine
        later = "/usage?since=2100-01-01T00:00:00Z"
        assert (await carol.get(later))["items"] == []
        assert await carol.get("/usage?until=2100-01-01T00:00:00Z") == mine
        naive = await carol.get("/usage?since=2026-01-01T00:00:00", status=422)
        assert naive["facts"]["key"] == "since"
    for other in (acme.approver, globex.admin):
        async with rest.client(other) as client:
            assert await client.get("/usage") == {
                "items": [],
                "next_cursor": None,
                "cost_micros": 0,
            }


async def test_the_audit_is_an_admins_to_read_page_by_page(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    async with rest.client(acme.member) as alice, rest.client(acme.admin) as carol:
        for _ in range(3):
            await alice.post("/tools/list_projects/calls", {"arguments": {}})
        await alice.post("/tools/fly/calls", {"arguments": {}}, status=404)
        refused = await alice.get("/audit", status=403)
        assert refused["facts"] == {"scope": "audit:read"}
        first = await carol.get("/audit?limit=3")
        second = await carol.get(f"/audit?limit=3&cursor={first['next_cursor']}")
        records: list[Json] = [*first["items"], *second["items"]]
        assert second["next_cursor"] is None
        assert [one["action"] for one in records] == ["call.refused", *["call.executed"] * 3]
        assert len({one["id"] for one in records}) == 4
        assert {one["actor"] for one in records} == {"alice@acme.test"}
        assert records[0]["content"]["code"] == "unknown_tool"
        assert (await carol.get("/audit?until=2000-01-01T00:00:00Z"))["items"] == []
        for cursor in ("x", "W10", "WyIyMDI2LTAxLTAxIiwgIngiXQ", "1" * 201):
            code = (await carol.get(f"/audit?cursor={cursor}", status=422))["code"]
            assert code == ("invalid_cursor" if len(cursor) < 200 else "invalid_field")
            assert (await carol.get(f"/runs?cursor={cursor}", status=422))["code"] == code
    async with rest.client(globex.admin) as other:
        assert (await other.get("/audit"))["items"] == []


async def test_a_narrowed_token_does_only_what_it_carries(rest: Served) -> None:
    acme = await rest.world.company()
    token = await rest.world.assembly.tokens.issue(
        acme.admin.principal,
        audience=Audience.API,
        scopes=frozenset({"runs:read"}),
        ttl=timedelta(hours=1),
    )
    for_audit = await rest.world.assembly.tokens.issue(
        acme.admin.principal,
        audience=Audience.API,
        scopes=frozenset({"audit:read"}),
        ttl=timedelta(hours=1),
    )
    async with rest.client(for_audit) as carol:
        await carol.get("/audit")
        assert (await carol.get("/usage", status=403))["facts"] == {"scope": "runs:read"}
    async with rest.client(token) as carol:
        await carol.get("/runs")
        for path in ("/tools", "/approvals", "/audit"):
            assert (await carol.get(path, status=403))["code"] == "missing_scope"
        assert (await carol.post("/runs", {"task": "hello"}, status=403))["facts"] == {
            "scope": "runs:start"
        }
