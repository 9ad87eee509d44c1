"""What exactly was approved, and what exactly is repeated: the two digests of a call."""

from core.domain.canonical import JsonObject, digest_of
from core.domain.ids import CallId
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


def request_digest(call: ToolCall, *, tool: Tool, undoes: CallId | None = None) -> str:
    """Tell whether two direct calls are the same request by the same person.

    Taking a call back is never the same as making the like of its inverse by oneself.
    """
    return digest_of(
        {
            "tenant": str(call.tenant_id),
            "tool": tool.name,
            "version": tool.version,
            "arguments": call.arguments,
            "requester": str(call.requester.id),
            "undoes": str(undoes) if undoes else None,
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
