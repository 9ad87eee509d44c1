"""What exactly was approved, and what exactly is repeated: the two digests of a call."""

from core.domain.canonical import JsonObject, digest_of
from core.domain.tool import Tool, ToolCall


def approval_digest(call: ToolCall, *, tool: Tool, bound: JsonObject) -> str:
    """Bind tenant, tool, version and definition, canonical arguments, requester and preview.

    ``bound`` is the preview without what is volatile; ``call.arguments`` are the checked ones.
    """
    return digest_of(
        {
            "tenant": str(call.tenant_id),
            "tool": tool.name,
            "version": tool.version,
            "definition": tool.definition_digest,
            "arguments": call.arguments,
            "requester": str(call.requester.id),
            "preview": bound,
        }
    )


def request_digest(call: ToolCall, *, tool: Tool) -> str:
    """Tell whether two direct calls are the same request by the same person."""
    return digest_of(
        {
            "tenant": str(call.tenant_id),
            "tool": tool.name,
            "version": tool.version,
            "arguments": call.arguments,
            "requester": str(call.requester.id),
        }
    )


def idempotency_key(call: ToolCall, *, tool: Tool) -> str:
    """Return the key under which the tool has its effect once, however often it is called."""
    return digest_of(
        {
            "tenant": str(call.tenant_id),
            "run": str(call.run_id),
            "step": call.step,
            "index": call.index,
            "tool": tool.name,
            "arguments": call.arguments,
        }
    )
