"""What every request has in common: who sent it, and how it fails."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from mcp import MCPError, types
from mcp.server import ServerRequestContext

from core.domain.principal import Caller
from core.errors import InvalidInput, SallyportError
from core.words import sentence_of

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

Context = ServerRequestContext[Any, Any]  # Any: whatever lifespan and transport hand on
Identify = Callable[[Context], Caller]
"""Says who sent a request; the transport has authenticated them before it gets here."""

T = TypeVar("T")


async def guarded(work: Awaitable[T]) -> T:
    """Await ``work``; an error that no result can carry leaves as a JSON-RPC error of ours.

    Raises:
        MCPError: in place of anything else, which the SDK would put on the wire word for word for
            clients of the handshake era.
    """
    try:
        return await work
    except MCPError:
        raise
    except SallyportError as error:
        _log.info("mcp.request_refused", code=error.code)
        is_theirs = isinstance(error, InvalidInput)
        raise MCPError(
            types.INVALID_PARAMS if is_theirs else types.INTERNAL_ERROR,
            sentence_of(error),
            data={"code": error.code},
        ) from error
    except Exception as error:
        # The type alone: what an exception says may hold arguments or content.
        _log.error("mcp.request_crashed", error=type(error).__name__)
        raise MCPError(types.INTERNAL_ERROR, "Something went wrong on our side.") from error
