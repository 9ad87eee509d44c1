"""What answers say in states that are hard to reach, and what errors never tell."""

from typing import Any, cast
from uuid import UUID, uuid4

import jsonschema_rs
import pytest
from mcp import Client, MCPError

from core.app import App, CallView
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.principal import Caller, Principal, Role, scopes_held
from core.domain.run import CallRecord
from core.domain.tool import CallState, Failed, Risk, Succeeded, Tool, ToolCall, ToolResult
from core.errors import LimitReached, Unavailable
from mcp_server.answers import call_answer, error_answer, status_content
from mcp_server.approval_tools import CallStatus
from mcp_server.definitions import Definitions
from mcp_server.http import McpEndpoint
from mcp_server.server import mcp_server
from tests.mcp_door import LEGACY, MODERN

TENANT = TenantId(UUID(int=1))
PERSON = Principal(
    id=PrincipalId(UUID(int=2)),
    tenant_id=TENANT,
    email="alice@acme.test",
    roles=frozenset({Role.MEMBER}),
    groups=frozenset(),
)
CALLER = Caller(principal=PERSON, scopes=scopes_held(PERSON), via="mcp")
FAILED = Failed(code="project_archived", message="It is archived.")


def view(state: CallState, *, result: ToolResult | None = None, is_asked: bool = False) -> CallView:
    call = ToolCall(
        id=CallId(uuid4()),
        tenant_id=TENANT,
        requester=PERSON,
        tool="delete_task",
        arguments={},
        run_id=RunId(uuid4()),
    )
    return CallView(
        record=CallRecord(call=call, state=state, result=result),
        approval_id=ApprovalId(uuid4()) if is_asked else None,
    )


def tool(*, output: JsonObject, risk: Risk = Risk.DESTRUCTIVE, digest: str = "d") -> Tool:
    return Tool(
        name="delete_task",
        pack="tasks",
        version=1,
        description="Delete.",
        input_schema={"type": "object"},
        output_schema=output,
        risk=risk,
        approver=Role.APPROVER,
        needed=1,
        idempotent=True,
        reversible=False,
        cost_micros=0,
        timeout_seconds=1.0,
        per_minute=None,
        definition_digest=digest,
    )


def fits(content: object, schema: dict[str, Any]) -> bool:  # Any: JSON
    return jsonschema_rs.Draft202012Validator(schema).is_valid(content)


STATES = [
    (view(CallState.REQUESTED), "running"),
    (view(CallState.RUNNING), "running"),
    (view(CallState.PENDING_APPROVAL), "running"),
    (view(CallState.PENDING_APPROVAL, is_asked=True), "pending_approval"),
    (view(CallState.UNKNOWN), "running"),
    (view(CallState.UNKNOWN, is_asked=True), "unknown"),
    (view(CallState.SUCCEEDED, result=Succeeded(output={"deleted": True})), "succeeded"),
    (view(CallState.FAILED, result=FAILED), "failed"),
    (view(CallState.DENIED, result=FAILED), "denied"),
    (view(CallState.EXPIRED, result=FAILED), "expired"),
    (view(CallState.CANCELLED), "failed"),
]


@pytest.mark.parametrize(("seen", "status"), STATES, ids=lambda value: str(value)[:12])
def test_every_state_has_a_status_that_its_tools_promise(seen: CallView, status: str) -> None:
    told = status_content(seen, decided_by=())
    assert told["status"] == status
    CallStatus.model_validate(told)


LOOSE: JsonObject = {"type": "object"}
STRICT: JsonObject = {
    "type": "object",
    "properties": {"deleted": {"$ref": "#/$defs/yes"}},
    "required": ["deleted"],
    "additionalProperties": False,
    "$defs": {"yes": {"const": True}},
}


@pytest.mark.parametrize("seen", [seen for seen, _ in STATES], ids=lambda seen: seen.record.state)
@pytest.mark.parametrize("promised", [LOOSE, STRICT], ids=["loose", "strict"])
def test_every_answer_fits_what_the_tool_declares(seen: CallView, promised: JsonObject) -> None:
    declared = Definitions().of(tool(output=promised)).output_schema
    assert declared
    answered = call_answer(seen)
    assert fits(answered.structured_content, declared)
    settled_badly = seen.record.state.is_settled and not isinstance(seen.record.result, Succeeded)
    assert answered.is_error == settled_badly


def test_what_a_person_confirmed_fits_too() -> None:
    declared = Definitions().of(tool(output=STRICT)).output_schema
    assert declared
    confirmed = Succeeded(output={"outcome": "happened", "confirmed_by": "bob@acme.test"})
    answered = call_answer(view(CallState.SUCCEEDED, result=confirmed))
    assert fits(answered.structured_content, declared)


def test_a_safe_tool_declares_no_waiting() -> None:
    declared = Definitions().of(tool(output=STRICT, risk=Risk.SAFE)).output_schema
    assert declared
    pending = call_answer(view(CallState.RUNNING)).structured_content
    assert not fits(pending, declared)


def test_a_definition_is_built_once_for_each_digest_and_not_for_ever() -> None:
    definitions = Definitions(remembered=1)
    first = definitions.of(tool(output=STRICT))
    assert definitions.of(tool(output=STRICT)) is first
    assert definitions.of(tool(output=STRICT, digest="e")) is not first
    assert definitions.of(tool(output=STRICT)) is not first


def test_a_limit_says_when_to_come_back() -> None:
    limited = error_answer(LimitReached("rate_limited", retry_after_seconds=7, tool="x"))
    assert limited.is_error
    assert limited.structured_content["error"]["retry_after_seconds"] == 7


class _Broken:
    """An App whose every answer is the same error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def tools(self, _caller: Caller) -> tuple[Tool, ...]:
        raise self._error

    async def call_tool(self, _caller: Caller, **_call: object) -> CallView:
        raise self._error


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_a_crash_tells_the_client_nothing_of_what_it_said(mode: str) -> None:
    app = cast("App", _Broken(RuntimeError("the password is swordfish")))
    server = mcp_server(app, identify=lambda _: CALLER)
    async with Client(server, mode=mode) as client:
        for asked in (client.list_tools(), client.call_tool("list_projects", {})):
            with pytest.raises(MCPError) as raised:
                await asked
            assert raised.value.error.code == -32603
            assert "swordfish" not in str(raised.value.error)


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_an_outage_is_an_error_with_its_code(mode: str) -> None:
    app = cast("App", _Broken(Unavailable("database_unavailable")))
    server = mcp_server(app, identify=lambda _: CALLER)
    async with Client(server, mode=mode) as client:
        with pytest.raises(MCPError) as raised:
            await client.list_tools()
        assert raised.value.error.data == {"code": "database_unavailable"}
        result = await client.call_tool("list_projects", {})
    assert result.is_error
    assert result.structured_content["error"]["code"] == "database_unavailable"


async def test_a_request_that_did_not_pass_the_gate_is_nobodys() -> None:
    never: Any = None  # Any: nothing is asked of tokens here
    endpoint = McpEndpoint(cast("App", _Broken(RuntimeError())), tokens=never)
    async with Client(endpoint.server) as client:
        with pytest.raises(MCPError) as raised:
            await client.list_tools()
    assert raised.value.error.code == -32603
