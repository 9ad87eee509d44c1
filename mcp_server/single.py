"""Answers a plain tool call of the handshake era in the request itself, without a session for it.

For each request of that era the SDK builds a transport, a dispatcher, three tasks and the streams
between them, which takes as long as the whole governed call. It answers requests of the modern era
in place; here the handshake era's most frequent request is answered by the same function of its.
Whatever is not such a request in every particular is left to the SDK, and so are all refusals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import modern_error_data, serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import JSONRPCError, JSONRPCRequest, JSONRPCResponse
from mcp_types import DEFAULT_NEGOTIATED_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

_METHOD: Final = "tools/call"
_MEDIA_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    """One request and its answer, as the SDK's handlers see it; there is no way to ask back."""

    transport: TransportContext
    request_id: int | str
    message_metadata: ServerMessageMetadata
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)
    can_send_request: bool = False

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - the protocol's shape. Any: its JSON
        opts: CallOptions | None = None,  # noqa: ARG002 - the protocol's shape
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # Any: the SDK's JSON
        opts: CallOptions | None = None,
    ) -> None:
        """Drop it: a plain answer carries nothing beside itself."""

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Drop it: nobody asked, or the request would not be here."""


class SingleCalls:
    """Answers calls that need nothing but an answer."""

    def __init__(
        self,
        server: Server[Any],  # Any: there is no lifespan state
        *,
        security: TransportSecuritySettings,
    ) -> None:
        """Take the server, and which hosts and origins it answers to."""
        self._server = server
        self._security = TransportSecurityMiddleware(security)

    async def answer(self, body: bytes, *, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a call; None for any other request, with which nothing was done."""
        if _METHOD.encode() not in body:
            return None
        request = Request(scope, receive)
        version = request.headers.get("mcp-protocol-version", DEFAULT_NEGOTIATED_VERSION)
        if version not in HANDSHAKE_PROTOCOL_VERSIONS or not await self._is_welcome(request):
            return None
        try:
            asked = JSONRPCRequest.model_validate_json(body, by_name=False)
        except ValidationError:
            return None
        if asked.method != _METHOD:
            return None
        told = await self._answered(asked, request=request, version=version)
        return Response(
            told.model_dump_json(by_alias=True, exclude_unset=True), media_type=_MEDIA_TYPE
        )

    async def _is_welcome(self, request: Request) -> bool:
        """Look at all that the SDK looks at; it is the one to say what is wrong."""
        takes_json, _ = check_accept_headers(request)
        sent = request.headers.get("content-type", "").partition(";")[0].strip()
        if sent != _MEDIA_TYPE or not takes_json:
            return False
        return await self._security.validate_request(request, is_post=True) is None

    async def _answered(
        self, asked: JSONRPCRequest, *, request: Request, version: str
    ) -> JSONRPCResponse | JSONRPCError:
        exchange = _Exchange(
            transport=TransportContext(kind="streamable-http", can_send_request=False),
            request_id=asked.id,
            message_metadata=ServerMessageMetadata(request_context=request),
        )
        try:
            result = await serve_one(
                self._server,
                exchange,
                asked.method,
                asked.params,
                connection=Connection.from_envelope(version, None, None),
                lifespan_state={},
            )
        except Exception as error:  # noqa: BLE001 - the SDK's own boundary between errors and the wire
            return JSONRPCError(jsonrpc="2.0", id=asked.id, error=modern_error_data(error))
        return JSONRPCResponse(jsonrpc="2.0", id=asked.id, result=result)
