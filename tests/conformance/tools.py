"""The tools that the conformance suite calls; none of them may become one of the product."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mcp import MCPError, types

from mcp_server.requests import Context
from tests.conformance import asking
from tests.conformance.content import (
    DEFAULTS,
    DIALECT,
    ENUMS,
    NO_ARGUMENTS,
    STRING,
    Schema,
    audio,
    embedded,
    image,
    takes,
    text,
)

_SHORT_SECONDS: Final = 0.05

Call = Callable[
    [Context, types.CallToolRequestParams],
    Awaitable[types.CallToolResult | types.InputRequiredResult],
]

Say = Callable[[str], Awaitable[None]]
"""Tells our server what of everybody's has changed, such as ``tools``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureTool:
    """A tool of the suite's: as it is listed, and what a call does."""

    definition: types.Tool
    call: Call


def _always(*content: types.ContentBlock, is_error: bool = False) -> Call:
    async def call(_context: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
        return types.CallToolResult(content=list(content), is_error=is_error)

    return call


async def _with_logging(
    context: Context, _params: types.CallToolRequestParams
) -> types.CallToolResult:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message(  # pyright: ignore[reportDeprecated] - the handshake era has it
            "info", words, related_request_id=context.request_id
        )
        await asyncio.sleep(_SHORT_SECONDS)
    return types.CallToolResult(content=[text("Logged three times.")])


async def _with_progress(
    context: Context, _params: types.CallToolRequestParams
) -> types.CallToolResult:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await asyncio.sleep(_SHORT_SECONDS)
    return types.CallToolResult(content=[text("Made progress.")])


async def _with_reconnection(
    context: Context, _params: types.CallToolRequestParams
) -> types.CallToolResult:
    """Close the stream in mid-call: the client comes back for the rest (SEP-1699)."""
    if context.close_sse_stream is not None:
        await context.close_sse_stream()
        await asyncio.sleep(_SHORT_SECONDS)
    return types.CallToolResult(content=[text("Reconnected.")])


async def _needs_sampling(
    context: Context, _params: types.CallToolRequestParams
) -> types.CallToolResult:
    needed = types.ClientCapabilities(sampling=types.SamplingCapability())
    if not context.session.check_client_capability(needed):
        data = types.MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool needs sampling.",
            data=data.model_dump(by_alias=True, mode="json", exclude_none=True),
        )
    return types.CallToolResult(content=[text("The client can sample.")])


def _changing(say: Say, kind: str) -> Call:
    async def call(_context: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
        await say(kind)
        return types.CallToolResult(content=[text("Said that the list has changed.")])

    return call


_HEADER: Final[Schema] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": [],
}


def fixture_tools(say: Say) -> Mapping[str, FixtureTool]:
    """Return the tools by name; two of them ``say`` that a list has changed."""
    plain: dict[str, tuple[Call, Schema]] = {
        "test_simple_text": (
            _always(text("This is a simple text response for testing.")),
            NO_ARGUMENTS,
        ),
        "test_image_content": (_always(image()), NO_ARGUMENTS),
        "test_audio_content": (_always(audio()), NO_ARGUMENTS),
        "test_embedded_resource": (
            _always(embedded("test://embedded-resource", "This is an embedded resource content.")),
            NO_ARGUMENTS,
        ),
        "test_multiple_content_types": (
            _always(
                text("Multiple content types test:"),
                image(),
                embedded(
                    "test://mixed-content-resource",
                    '{"test":"data","value":123}',
                    mime_type="application/json",
                ),
            ),
            NO_ARGUMENTS,
        ),
        "test_error_handling": (
            _always(text("This tool intentionally returns an error for testing"), is_error=True),
            NO_ARGUMENTS,
        ),
        "test_tool_with_logging": (_with_logging, NO_ARGUMENTS),
        "test_logging_tool": (_with_logging, NO_ARGUMENTS),
        "test_tool_with_progress": (_with_progress, NO_ARGUMENTS),
        "test_reconnection": (_with_reconnection, NO_ARGUMENTS),
        "test_sampling": (asking.sample, takes(prompt=STRING)),
        "test_elicitation": (asking.elicit, takes(message=STRING)),
        "test_elicitation_sep1034_defaults": (asking.elicit_form(DEFAULTS), NO_ARGUMENTS),
        "test_elicitation_sep1330_enums": (asking.elicit_form(ENUMS), NO_ARGUMENTS),
        "json_schema_2020_12_tool": (_always(text("Its schema is what counts.")), DIALECT),
        "test_missing_capability": (_needs_sampling, NO_ARGUMENTS),
        "test_custom_headers": (_always(text("Its header is what counts.")), _HEADER),
        "test_trigger_tool_change": (_changing(say, "tools"), NO_ARGUMENTS),
        "test_trigger_prompt_change": (_changing(say, "prompts"), NO_ARGUMENTS),
    }
    plain |= {name: (call, NO_ARGUMENTS) for name, call in asking.ROUNDS.items()}
    return {
        name: FixtureTool(
            definition=types.Tool(
                name=name, description=f"Conformance: {name}.", input_schema=schema
            ),
            call=call,
        )
        for name, (call, schema) in plain.items()
    }
