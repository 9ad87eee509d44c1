"""How a tool is written: one function, typed in and out, and the terms it is called on."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pydantic import BaseModel, ConfigDict

from core.domain.canonical import digest_of
from core.domain.effect import Effect
from core.domain.ids import TenantId
from core.domain.principal import Principal, Role
from core.domain.tool import Preview, Risk, Tool
from core.tools.prompting import PackPrompt
from core.tools.schema import schema_of, unbounded

_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}")
_LONGEST_SECONDS = 300.0


class Arguments(BaseModel):
    """What a tool takes. Every field says what it is for, and every size has a limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(BaseModel):
    """What a tool returns: data, never a sentence that confirms."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


S_co = TypeVar("S_co", covariant=True)
O_co = TypeVar("O_co", bound=Output, covariant=True)
A = TypeVar("A", bound=Arguments)
S = TypeVar("S")
O = TypeVar("O", bound=Output)  # noqa: E741 - stands beside A and S


class Credentials(Protocol):
    """Hands out secrets by name, for one call."""

    async def reveal(self, name: str) -> str:
        """Return the secret; see ``Context.credential``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[S_co]):
    """For whom a tool works, and with what: never an argument, so that no model can choose it."""

    tenant_id: TenantId
    principal: Principal
    store: S_co
    now: datetime
    credentials: Credentials = field(repr=False)

    async def credential(self, name: str) -> str:
        """Return a secret of the vault: the person's own of that name, else the company's.

        For the request that this call makes, and nothing else: asked for each time, never kept.
        What the tool returns, raises or logs has ``[credential]`` in its place.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``; ``credential_after_call``.
            ToolFailed: ``credential_unreadable``.
        """
        return await self.credentials.reveal(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectContext(Context[S_co]):
    """A context that may change something, once: ``effect`` goes to the store with the change."""

    effect: Effect


@dataclass(frozen=True, slots=True)
class Done(Generic[O_co]):
    """What a reversible tool returns: its output, and the arguments of the tool that undoes it."""

    output: O_co
    undo: Arguments = field(kw_only=True)


class Terms(TypedDict, total=False):
    """On what terms a tool is called; what is left out is the default in brackets.

    Attributes:
        approver: who may answer where people are asked (approver).
        needed: how many different people (1).
        idempotent: whether the same key has one effect, so that it may be repeated (True).
        cost_micros: what one call is charged (0).
        timeout_seconds: after which the door stops waiting (30; 300 at most).
        per_minute: calls of one tenant (None: the tier's limit).
        version: raised whenever the tool means something else (1).
        listed: False hides a tool that only Undo calls (True).
    """

    approver: Role
    needed: int
    idempotent: bool
    cost_micros: int
    timeout_seconds: float
    per_minute: int | None
    version: int
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuthoredTool(Generic[A, S, O]):
    """A tool as it was written; a pack lists it, the registry calls it."""

    name: str
    description: str
    risk: Risk
    arguments: type[A]
    output: type[O]
    body: Callable[[A, Context[S]], Awaitable[O | Done[O]]]
    previewer: Callable[[A, Context[S]], Awaitable[Preview]] | None
    undo: str | None
    terms: Terms

    def definition(self, *, pack: str) -> Tool:
        """Return the tool as the registry knows it, with schemas and the digest of what it is."""
        input_schema = schema_of(self.arguments, mode="validation")
        output_schema = schema_of(self.output, mode="serialization")
        version = self.terms.get("version", 1)
        digest = digest_of(
            {
                "name": self.name,
                "version": version,
                "description": self.description,
                "input_schema": input_schema,
                "output_schema": output_schema,
                "risk": self.risk.value,
            }
        )
        return Tool(
            name=self.name,
            pack=pack,
            version=version,
            description=self.description,
            input_schema=input_schema,
            output_schema=output_schema,
            risk=self.risk,
            approver=self.terms.get("approver", Role.APPROVER),
            needed=self.terms.get("needed", 1),
            idempotent=self.terms.get("idempotent", True),
            reversible=self.undo is not None,
            cost_micros=self.terms.get("cost_micros", 0),
            timeout_seconds=self.terms.get("timeout_seconds", 30.0),
            per_minute=self.terms.get("per_minute"),
            definition_digest=digest,
            listed=self.terms.get("listed", True),
        )


# Any: the tools of a pack differ in arguments and output, and share only the store.
PackTool = AuthoredTool[Any, S, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack(Generic[S]):
    """Tools that share a noun and a store; the tuple is the registration and the documentation."""

    name: str
    tools: tuple[PackTool[S], ...]
    prompts: tuple[PackPrompt[S], ...] = ()

    def bound(self, store: S) -> "BoundPack":
        """Return the pack with the store that its tools work on."""
        # Any: here tool and store have been matched, and the registry needs no more of it.
        return BoundPack(
            name=self.name,
            tools=cast("tuple[PackTool[Any], ...]", self.tools),
            store=store,
            prompts=cast("tuple[PackPrompt[Any], ...]", self.prompts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPack:
    """A pack and its store, matched by type where they were bound."""

    name: str
    tools: tuple[PackTool[Any], ...]
    store: object
    prompts: tuple[PackPrompt[Any], ...] = ()


@overload
def tool(
    *, risk: Literal[Risk.SAFE], **terms: Unpack[Terms]
) -> Callable[[Callable[[A, Context[S]], Awaitable[O]]], AuthoredTool[A, S, O]]: ...


@overload
def tool(
    *,
    risk: Literal[Risk.CAUTIOUS, Risk.DESTRUCTIVE],
    preview: Callable[[A, Context[S]], Awaitable[Preview]],
    undo: str,
    **terms: Unpack[Terms],
) -> Callable[[Callable[[A, EffectContext[S]], Awaitable[Done[O]]]], AuthoredTool[A, S, O]]: ...


@overload
def tool(
    *,
    risk: Literal[Risk.CAUTIOUS, Risk.DESTRUCTIVE, Risk.IRREVERSIBLE],
    preview: Callable[[A, Context[S]], Awaitable[Preview]],
    **terms: Unpack[Terms],
) -> Callable[[Callable[[A, EffectContext[S]], Awaitable[O]]], AuthoredTool[A, S, O]]: ...


def tool(
    *,
    risk: Risk,
    preview: Callable[..., Awaitable[Preview]] | None = None,
    undo: str | None = None,
    **terms: Unpack[Terms],
    # Any: the overloads above say what it is; here only the function itself can.
) -> Callable[[Callable[..., Awaitable[Any]]], AuthoredTool[Any, Any, Any]]:
    """Make a tool of an async function ``(arguments, context) -> output``.

    Name and description are the function's name and docstring: what it does, what is returned, when
    to use it. A safe tool takes a Context. One with an effect takes an EffectContext and names a
    ``preview``, which returns what a call would change and refuses targets that are not there. A
    reversible one names in ``undo`` the tool that takes it back, and returns Done with that tool's
    arguments.

    Raises:
        TypeError: the function is not a tool; the message says why.
    """
    _check_terms(risk, preview=preview, undo=undo, terms=terms)

    def made(function: Callable[..., Awaitable[Any]]) -> AuthoredTool[Any, Any, Any]:
        name = getattr(function, "__name__", "")
        if not _NAME.fullmatch(name):
            raise TypeError(
                f"{name}: a tool's name is a lower-case verb phrase, such as delete_task"
            )
        description = inspect.getdoc(function)
        if not description:
            raise TypeError(f"{name}: the docstring is what the model is told; write one")
        context = EffectContext if risk.has_effect else Context
        arguments, returned = _signature(function, name=name, context=context)
        output = _output_of(returned, name=name, undo=undo)
        if preview is not None:
            taken, shown = _signature(preview, name=f"{name}'s preview", context=Context)
            if taken is not arguments or shown is not Preview:
                raise TypeError(
                    f"{name}: the preview takes {arguments.__name__} and returns Preview"
                )
        _check_fields(arguments, name=name)
        return AuthoredTool(
            name=name,
            description=description,
            risk=risk,
            arguments=arguments,
            output=output,
            body=function,
            previewer=preview,
            undo=undo,
            terms=terms,
        )

    return made


def _check_terms(risk: Risk, *, preview: object, undo: str | None, terms: Terms) -> None:
    per_minute = terms.get("per_minute")
    wrong = {
        "a safe tool changes nothing: it has no preview": not risk.has_effect
        and preview is not None,
        "a safe tool changes nothing: there is nothing to undo": not risk.has_effect
        and undo is not None,
        "a tool with an effect shows what it would change: name its preview": risk.has_effect
        and preview is None,
        "what can be undone is not irreversible": risk is Risk.IRREVERSIBLE and undo is not None,
        "needed is 1 or more": terms.get("needed", 1) < 1,
        "version is 1 or more": terms.get("version", 1) < 1,
        "cost_micros is 0 or more": terms.get("cost_micros", 0) < 0,
        "per_minute is 1 or more, or None": per_minute is not None and per_minute < 1,
        f"timeout_seconds is more than 0 and at most {_LONGEST_SECONDS:g}": not (
            0 < terms.get("timeout_seconds", 30.0) <= _LONGEST_SECONDS
        ),
    }
    for why, is_wrong in wrong.items():
        if is_wrong:
            raise TypeError(why)


def _signature(
    function: Callable[..., object], *, name: str, context: type[Context[object]]
) -> tuple[type[Arguments], object]:
    """Return the argument model and the annotated return of an async two-argument function."""
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{name}: write it with async def")
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    expected = 2
    if len(parameters) != expected or len(hints) != expected + 1:
        raise TypeError(
            f"{name}: takes (arguments, context), both annotated, and says what it returns"
        )
    first, second = (hints[parameter] for parameter in parameters)
    if not (isinstance(first, type) and issubclass(first, Arguments)):
        raise TypeError(f"{name}: the first argument is a subclass of Arguments")
    if get_origin(second) is not context:
        raise TypeError(
            f"{name}: the second argument is a {context.__name__}[…] of the pack's store"
        )
    return first, hints["return"]


def _output_of(returned: object, *, name: str, undo: str | None) -> type[Output]:
    if undo is not None:
        if get_origin(returned) is not Done:
            raise TypeError(f"{name}: can be undone, so it returns Done[…]")
        (returned,) = get_args(returned)
    if not (isinstance(returned, type) and issubclass(returned, Output)):
        raise TypeError(f"{name}: returns a subclass of Output{'' if undo else ', without undo'}")
    return returned


def _check_fields(arguments: type[Arguments], *, name: str) -> None:
    for field_name, about in arguments.model_fields.items():
        if not about.description:
            raise TypeError(f"{name}: say what {field_name} is, with Field(description=…)")
    for path in unbounded(schema_of(arguments, mode="validation")):
        raise TypeError(f"{name}: {path} has no limit; give it a maximum")
