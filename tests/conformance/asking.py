"""Fixtures that ask the client back: in mid-call as of old, and in rounds as since 2026-07-28."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from mcp import types

from mcp_server.requests import Context
from tests.conformance.content import STRING, Schema, takes, text

Result = types.CallToolResult | types.InputRequiredResult
Call = Callable[[Context, types.CallToolRequestParams], Awaitable[Result]]


async def sample(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    prompt = str((params.arguments or {})["prompt"])
    answer = await context.session.create_message(  # pyright: ignore[reportDeprecated] - the handshake era has it
        [types.SamplingMessage(role="user", content=text(prompt))],
        max_tokens=100,
        related_request_id=context.request_id,
    )
    said = answer.content.text if isinstance(answer.content, types.TextContent) else "nothing"
    return _told(f"LLM response: {said}")


async def elicit(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    answer = await context.session.elicit_form(
        str((params.arguments or {})["message"]),
        takes(
            username={"type": "string", "description": "User's response"},
            email={"type": "string", "description": "User's email address"},
        ),
        related_request_id=context.request_id,
    )
    return _told(f"User response: action={answer.action}, content={json.dumps(answer.content)}")


def elicit_form(schema: Schema) -> Call:
    async def call(context: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
        answer = await context.session.elicit_form(
            "Please fill in the form", schema, related_request_id=context.request_id
        )
        content = json.dumps(answer.content)
        return _told(f"Elicitation completed: action={answer.action}, content={content}")

    return call


NAME: Final = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="What is your name?", requested_schema=takes(name=STRING)
    )
)
_CONFIRM: Final = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="Please confirm", requested_schema=takes(ok={"type": "boolean"})
    )
)
_ROOTS: Final = types.ListRootsRequest(params=types.RequestParams())


def _sampled(prompt: str, *, max_tokens: int) -> types.CreateMessageRequest:
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=text(prompt))],
            max_tokens=max_tokens,
        )
    )


def _form(message: str, schema: Schema) -> types.ElicitRequest:
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=message, requested_schema=schema)
    )


def accepted(params: types.InputResponseRequestParams, key: str) -> Mapping[str, object] | None:
    """Return what a form was filled in with; None where it was not, or is not a form."""
    answer = (params.input_responses or {}).get(key)
    if not isinstance(answer, types.ElicitResult) or answer.action != "accept":
        return None
    return answer.content or {}


async def _ask_name(_context: Context, params: types.CallToolRequestParams) -> Result:
    given = accepted(params, "user_name")
    if given is None:
        return types.InputRequiredResult(input_requests={"user_name": NAME})
    return _told(f"Hello, {given.get('name')}!")


def _asking_once(
    key: str, request: types.CreateMessageRequest | types.ListRootsRequest | types.ElicitRequest
) -> Call:
    async def call(_context: Context, params: types.CallToolRequestParams) -> Result:
        answer = (params.input_responses or {}).get(key)
        if answer is None:
            return types.InputRequiredResult(input_requests={key: request})
        return _told(answer.model_dump_json(by_alias=True, exclude_none=True))

    return call


async def _ask_with_state(_context: Context, params: types.CallToolRequestParams) -> Result:
    if params.request_state is None or accepted(params, "confirm") is None:
        return types.InputRequiredResult(
            input_requests={"confirm": _CONFIRM}, request_state="confirming"
        )
    # What was sealed on the way out comes back as it was, or the call does not get here.
    return _told("state-ok" if params.request_state == "confirming" else "state-lost")


async def _ask_all(_context: Context, params: types.CallToolRequestParams) -> Result:
    wanted: types.InputRequests = {
        "user_name": NAME,
        "greeting": _sampled("Generate a greeting", max_tokens=50),
        "client_roots": _ROOTS,
    }
    if params.request_state is None or not wanted.keys() <= (params.input_responses or {}).keys():
        return types.InputRequiredResult(input_requests=wanted, request_state="asked-all")
    return _told("All three were answered.")


async def _ask_twice(_context: Context, params: types.CallToolRequestParams) -> Result:
    if params.request_state is None:
        first = _form("Step 1: What is your name?", takes(name=STRING))
        return types.InputRequiredResult(input_requests={"step1": first}, request_state="step1")
    if params.request_state == "step1":
        second = _form("Step 2: What is your favorite color?", takes(color=STRING))
        return types.InputRequiredResult(input_requests={"step2": second}, request_state="step2")
    return _told("Both steps were answered.")


async def _ask_by_capability(context: Context, _params: types.CallToolRequestParams) -> Result:
    """Ask only what the client has said that it can do."""
    able = context.session.client_capabilities or types.ClientCapabilities()
    wanted: types.InputRequests = {}
    if able.elicitation is not None:
        wanted["user_name"] = NAME
    if able.sampling is not None:
        wanted["greeting"] = _sampled("Generate a greeting", max_tokens=50)
    if able.roots is not None:
        wanted["client_roots"] = _ROOTS
    return types.InputRequiredResult(input_requests=wanted) if wanted else _told("Nothing to ask.")


def _told(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[text(words)])


_PREFIX: Final = "test_input_required_result"
ROUNDS: Final[Mapping[str, Call]] = {
    f"{_PREFIX}_elicitation": _ask_name,
    f"{_PREFIX}_sampling": _asking_once(
        "capital_question", _sampled("What is the capital of France?", max_tokens=100)
    ),
    f"{_PREFIX}_list_roots": _asking_once("client_roots", _ROOTS),
    f"{_PREFIX}_request_state": _ask_with_state,
    f"{_PREFIX}_tampered_state": _ask_with_state,
    f"{_PREFIX}_multiple_inputs": _ask_all,
    f"{_PREFIX}_multi_round": _ask_twice,
    f"{_PREFIX}_capabilities": _ask_by_capability,
    "test_streaming_elicitation": _ask_name,
}
"""Tools that answer with what they still need to know."""
