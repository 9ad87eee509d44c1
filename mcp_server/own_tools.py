"""How the tools are written that MCP itself adds, about calls, approvals and runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import pydantic
from mcp import types

from core.domain.canonical import JsonObject
from core.domain.principal import Caller
from core.errors import Forbidden, InvalidInput
from core.tools.authoring import Arguments, Output
from core.tools.faults import model_fault, unstorable
from core.tools.schema import schema_of
from mcp_server.definitions import ERROR, output_schema
from mcp_server.peer import Answer, Peer

A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTool(Generic[A]):
    """A tool of this front door; whoever holds ``scope`` is shown it and may call it.

    ``gives_later`` is what a client gets that took a task, where that is something else.
    """

    name: str
    description: str
    scope: str
    takes: type[A]
    gives: type[Output]
    body: Callable[[Caller, A, Peer], Awaitable[Answer]]
    is_read_only: bool = True
    gives_later: type[Output] | None = None

    def definition(self) -> types.Tool:
        """Return the tool as ``tools/list`` gives it."""
        given = (self.gives, self.gives_later) if self.gives_later else (self.gives,)
        results = (schema_of(one, mode="validation") for one in given)
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=dict(schema_of(self.takes, mode="validation")),
            # What has a default is left out where there is nothing to say.
            output_schema=output_schema(*results, ERROR),
            annotations=types.ToolAnnotations(
                read_only_hint=self.is_read_only,
                destructive_hint=False,
                idempotent_hint=self.is_read_only,
            ),
        )

    async def call(self, caller: Caller, arguments: JsonObject, *, peer: Peer) -> Answer:
        """Check scope and arguments, and answer.

        Raises:
            Forbidden: ``missing_scope``.
            InvalidInput: ``invalid_arguments``.
        """
        if self.scope not in caller.scopes:
            raise Forbidden("missing_scope", scope=self.scope)
        if fault := unstorable(arguments):
            raise InvalidInput("invalid_arguments", tool=self.name, path="", detail=fault)
        try:
            taken = self.takes.model_validate(arguments)
        except pydantic.ValidationError as error:
            path, words = model_fault(error)
            raise InvalidInput(
                "invalid_arguments", tool=self.name, path=path, detail=words
            ) from error
        return await self.body(caller, taken, peer)
