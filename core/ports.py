"""The seams: what the logic asks of the world, one Protocol each."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.domain.canonical import JsonObject
from core.domain.ids import RunId, TenantId
from core.domain.model import ModelAnswer, Prompt
from core.domain.permit import PermittedCall
from core.domain.principal import Principal, Tenant
from core.domain.tool import Preview, Tool, ToolCall, ToolResult
from core.domain.verdict import Verdict


class Clock(Protocol):
    """Time. Both run on while the process is stopped."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


OnText = Callable[[str], Awaitable[None]]


class LanguageModel(Protocol):
    """One provider, or a chain of them."""

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Ask once, retrying within; ``on_text`` is awaited with text as it comes.

        Raises:
            ModelOverloaded: 429, 5xx or no connection after the retries; another may be asked.
            ModelFailed: the provider refuses this request for good.
        """
        ...

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most, for the reservation. Never too low."""
        ...


class ToolBox(Protocol):
    """Finds tools and calls them."""

    def tools(self) -> Sequence[Tool]:
        """Return every registered tool, by name."""
        ...

    def find(self, name: str) -> Tool | None:
        """Return the registered tool of that name. Anything unregistered is blocked."""
        ...

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return ``arguments`` as the tool takes them: schema-checked, defaults filled in.

        Raises:
            InvalidInput: ``invalid_arguments`` with the path and what is wrong.
        """
        ...

    async def preview(self, call: ToolCall) -> Preview | None:
        """Return what ``call`` would change, None for a safe tool; checks that its targets exist.

        Raises:
            NotFound: an argument names something that is not there, or is another tenant's.
            Forbidden: the requester may not touch it.
        """
        ...

    async def call(self, permitted: PermittedCall) -> ToolResult:
        """Make the call. Failures are results, never exceptions, but for LeaseLost.

        Whoever is cancelled in it must expect that the effect happened.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a verdict is made of. ``tenant`` is the requester's, ``resource_tenant`` the call's."""

    tenant: Tenant
    principal: Principal
    scopes: frozenset[str]
    resource_tenant: TenantId
    tool: Tool
    enabled: bool
    arguments: JsonObject
    via: str
    now: datetime


class Policy(Protocol):
    """The first gate."""

    def judge(self, facts: Facts) -> Verdict:
        """Return the verdict. Default deny; an error in a policy is a Deny, never an Allow."""
        ...


class Dispatcher(Protocol):
    """Drives segments somewhere, at least once each."""

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        """Have the segment driven soon. Twice is once; what is lost a sweep finds again."""
        ...
