"""Calls answered without the SDK's session: word for word what the SDK would have answered."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from mcp import MCPError, types
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from mcp_server.single import SingleCalls
from tests.loopback import http_client

CALL: dict[str, object] = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "echo", "arguments": {"text": "x"}},
}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2025-06-18",
}
SECURITY = TransportSecuritySettings(allowed_hosts=["here"], allowed_origins=["http://here"])


async def call_tool(
    context: ServerRequestContext[Any, Any],  # Any: there is neither lifespan nor request state
    params: types.CallToolRequestParams,
) -> types.CallToolResult:
    if params.name == "refused":
        raise MCPError(types.INTERNAL_ERROR, "No.", data={"code": "no"})
    if params.name == "crashed":
        raise ValueError("password=hunter2")
    if params.name == "chatty":
        await context.session.report_progress(1, 2, "half")
        await context.session.send_tool_list_changed()
    if params.name == "asking":
        form: dict[str, Any] = {"type": "object", "properties": {}}  # Any: a JSON Schema
        await context.session.elicit_form("Sure?", form, related_request_id=context.request_id)
    content: list[types.ContentBlock] = [types.TextContent(text=str(params.arguments))]
    return types.CallToolResult(content=content, structured_content=params.arguments)


SERVER: Server[Any] = Server("tests", on_call_tool=call_tool)  # Any: as above


async def posted(body: bytes, headers: Mapping[str, str], *, singly: bool) -> httpx2.Response:
    """Post to the SDK's own manager, or to ours; 418 is ours leaving it to the SDK."""
    single = SingleCalls(SERVER, security=SECURITY)
    manager = StreamableHTTPSessionManager(
        SERVER, stateless=True, json_response=True, security_settings=SECURITY
    )

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await single.answer(body, scope=scope, receive=receive)
        if answer is None:
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body"})
            return
        await answer(scope, receive, send)

    async with manager.run():
        transport = httpx2.ASGITransport(app=ours if singly else manager.asgi_app)
        async with http_client(transport=transport, base_url="http://here") as http:
            return await http.post("/mcp", content=body, headers=dict(headers))


@pytest.mark.parametrize("name", ["echo", "refused", "chatty", "asking"])
@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", None])
@pytest.mark.parametrize("call_id", [0, "seven"])
async def test_a_call_is_answered_as_the_sdk_would(
    name: str, version: str | None, call_id: int | str
) -> None:
    params = {"name": name, "arguments": {"text": "x", "n": 1.5}, "_meta": {"other": 1}}
    body = json.dumps(CALL | {"id": call_id, "params": params}).encode()
    headers = {key: value for key, value in HEADERS.items() if key != "mcp-protocol-version"}
    headers |= {"mcp-protocol-version": version} if version else {}

    theirs = await posted(body, headers, singly=False)
    ours = await posted(body, headers, singly=True)

    assert ours.status_code == theirs.status_code == 200
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.json() == theirs.json()


@pytest.mark.parametrize(
    "params", [None, {}, {"name": 1}, {"name": "echo", "arguments": 3}, {"name": "echo", "x": 1}]
)
async def test_parameters_that_do_not_fit_are_refused_as_the_sdk_would(params: object) -> None:
    asked = {key: value for key, value in CALL.items() if key != "params"}
    body = json.dumps(asked if params is None else asked | {"params": params}).encode()

    theirs = await posted(body, HEADERS, singly=False)
    ours = await posted(body, HEADERS, singly=True)

    assert ours.status_code == theirs.status_code
    assert ours.json() == theirs.json()


async def test_what_breaks_says_nothing_of_its_insides() -> None:
    body = json.dumps(CALL | {"params": {"name": "crashed"}}).encode()
    broken = await posted(body, HEADERS, singly=True)
    assert broken.json()["error"]["code"] == types.INTERNAL_ERROR
    assert "hunter2" not in broken.text


@pytest.mark.parametrize(
    "changed",
    [
        {"accept": "text/event-stream"},
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"host": "elsewhere"},
        {"origin": "http://elsewhere"},
        {"mcp-protocol-version": "2026-07-28"},
        {"mcp-protocol-version": "1999-01-01"},
    ],
)
async def test_a_request_that_the_sdk_may_refuse_is_left_to_it(changed: dict[str, str]) -> None:
    body = json.dumps(CALL).encode()
    assert (await posted(body, HEADERS | changed, singly=True)).status_code == 418


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"tools/call",
        b'{"method":"tools/call"',
        json.dumps([CALL]).encode(),
        json.dumps({key: value for key, value in CALL.items() if key != "id"}).encode(),
        json.dumps(CALL | {"id": None}).encode(),
        json.dumps(CALL | {"method": "tools/list", "note": "tools/call"}).encode(),
        json.dumps(CALL | {"jsonrpc": "1.0"}).encode(),
    ],
)
async def test_what_is_no_call_is_left_to_the_sdk(body: bytes) -> None:
    assert (await posted(body, HEADERS, singly=True)).status_code == 418
