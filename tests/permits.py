"""Permits for tests of what stands behind the door, where driving the whole door is beside the point."""

from collections.abc import Mapping
from types import FunctionType
from typing import cast
from uuid import uuid4

from core.domain.canonical import JsonObject, digest_of
from core.domain.ids import CallId
from core.domain.permit import PermittedCall
from core.domain.principal import Principal
from core.domain.run import Lease
from core.domain.tool import Tool, ToolCall


def a_call(requester: Principal, tool: str, **arguments: object) -> ToolCall:
    """Return a request for ``tool`` by ``requester``, in no run."""
    return ToolCall(
        id=CallId(uuid4()),
        tenant_id=requester.tenant_id,
        requester=requester,
        tool=tool,
        arguments=cast("JsonObject", arguments),
    )


def permitted(
    call: ToolCall, *, tool: Tool, key: str = "", lease: Lease | None = None
) -> PermittedCall:
    """Return the permit that the door would make; ``key`` stands for one request."""
    return cast(
        "PermittedCall",
        _made_by_the_door(
            {
                "call": call,
                "tool": tool,
                "idempotency_key": digest_of([str(call.tenant_id), key or str(call.id)]),
                "lease": lease,
            }
        ),
    )


def _make(parts: Mapping[str, object]) -> PermittedCall:
    return PermittedCall(**parts)  # pyright: ignore[reportArgumentType] - built above


# The seal looks at the module that a function says it is of; only a test says so falsely.
_made_by_the_door = FunctionType(
    _make.__code__, {"__name__": "core.governance.door", "PermittedCall": PermittedCall}
)
