"""What an operation of the API is: one row of its table, from which routes and document come."""

import math
import re
from asyncio import Event
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import Request
from starlette.responses import Response

from api.models import Input, Nothing
from core.app import App
from core.domain.canonical import repeated_key
from core.domain.principal import Caller
from core.errors import InvalidInput, NotFound
from core.identity.tokens import Tokens

LONGEST_BODY = 256 * 1024
LONGEST_KEY = 200
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY = re.compile(r"[\x21-\x7e]+")

_Asks = TypeVar("_Asks", bound=Input)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What every operation may use. ``stopping`` is set when the process wants to end."""

    app: App
    tokens: Tokens
    stopping: Event
    keep_alive_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request whose caller is known."""

    front: Front
    caller: Caller
    request: Request

    @property
    def app(self) -> App:
        """The core's face."""
        return self.front.app

    def id(self, name: str, *, noun: str) -> UUID:
        """Return the id in the path; what is none names nothing that there is.

        Raises:
            NotFound: ``not_found``.
        """
        told: str = self.request.path_params[name]
        if _ID.fullmatch(told) is None:
            raise NotFound("not_found", noun=noun)
        return UUID(told)

    def client_key(self, *, kind: str) -> str | None:
        """Return the client's own key for this request, apart for each kind of request.

        Raises:
            InvalidInput: ``invalid_field``.
        """
        told = self.request.headers.get("idempotency-key")
        if told is None:
            return None
        if len(told) > LONGEST_KEY or _KEY.fullmatch(told) is None:
            detail = f"1 to {LONGEST_KEY} visible ASCII characters without spaces are taken"
            raise InvalidInput("invalid_field", key="Idempotency-Key", detail=detail)
        return f"{kind}:{told}"


Answer = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address: what it takes, answers and says no with.

    ``answers`` maps a status to the models that its body may have; ``refusals`` lists statuses
    beyond those that every operation knows. ``media_type`` is that of the answers.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: str
    answer: Answer
    body: type[Input]
    query: type[Input]
    answers: Mapping[int, tuple[type[BaseModel], ...]]
    refusals: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    media_type: str = JSON


def get(
    path: str,
    handle: Callable[[Asked, _Asks], Awaitable[Response]],
    *,
    query: type[_Asks],
    name: str,
    summary: str,
    scope: str,
    answers: Mapping[int, tuple[type[BaseModel], ...]],
    refusals: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
) -> Operation:
    """Return an operation that reads, told what to read by the query."""

    async def answer(asked: Asked) -> Response:
        return await handle(asked, query_of(asked.request, query))

    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        scope=scope,
        answer=answer,
        body=Nothing,
        query=query,
        answers=answers,
        refusals=refusals,
        headers=headers or {},
        media_type=media_type,
    )


def post(
    path: str,
    handle: Callable[[Asked, _Asks], Awaitable[Response]],
    *,
    body: type[_Asks],
    name: str,
    summary: str,
    scope: str,
    answers: Mapping[int, tuple[type[BaseModel], ...]],
    refusals: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Operation:
    """Return an operation that does something, told what by the body."""

    async def answer(asked: Asked) -> Response:
        query_of(asked.request, Nothing)
        return await handle(asked, await body_of(asked.request, body))

    return Operation(
        method="POST",
        path=path,
        name=name,
        summary=summary,
        scope=scope,
        answer=answer,
        body=body,
        query=Nothing,
        answers=answers,
        refusals=refusals,
        headers=headers or {},
    )


def reply(model: BaseModel, *, status: int = 200, only_set: bool = False) -> Response:
    """Return ``model`` as the answer; ``only_set`` leaves out what was never given."""
    text = model.model_dump_json(by_alias=True, exclude_unset=only_set)
    return Response(text, status_code=status, media_type=JSON)


def query_of(request: Request, model: type[_Asks]) -> _Asks:
    """Return the query as ``model``.

    Raises:
        InvalidInput: ``unknown_key``, ``invalid_field``, ``malformed_query``.
    """
    told = dict(request.query_params)
    if _unstorable(told):
        raise InvalidInput("malformed_query")
    return _checked(told, model)


async def body_of(request: Request, model: type[_Asks]) -> _Asks:
    """Return the body as ``model``; an operation that takes nothing may be sent nothing.

    Raises:
        InvalidInput: ``malformed_body``, ``body_too_large``, ``unsupported_media_type``,
            ``unknown_key``, ``invalid_field``.
    """
    raw = await _read(request)
    if not raw and model is Nothing:
        return model()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise InvalidInput("unsupported_media_type", wanted=JSON)
    try:
        told = cast("object", from_json(raw, allow_inf_nan=False))
    except ValueError as error:
        raise InvalidInput("malformed_body", detail="it is not valid JSON") from error
    if not isinstance(told, dict):
        raise InvalidInput("malformed_body", detail="a JSON object is wanted")
    if (twice := repeated_key(raw.decode())) is not None:
        detail = f"it has the key {twice[:LONGEST_KEY]!r} twice"
        raise InvalidInput("malformed_body", detail=detail)
    if fault := _unstorable(cast("object", told)):
        raise InvalidInput("malformed_body", detail=fault)
    return _checked(cast("object", told), model)


async def _read(request: Request) -> bytes:
    """Read the body as far as it may go, whatever its header says about its length."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LONGEST_BODY:
        raise InvalidInput("body_too_large", limit=LONGEST_BODY)
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > LONGEST_BODY:
            raise InvalidInput("body_too_large", limit=LONGEST_BODY)
    return bytes(raw)


def _checked(told: object, model: type[_Asks]) -> _Asks:
    try:
        return model.model_validate(told)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise _refusal_of(faults) from None  # pydantic's words would repeat what was sent


def _refusal_of(faults: list[ErrorDetails]) -> InvalidInput:
    """Name a key that is not known first: it is the likeliest reason for all the others."""
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    first = (unknown or faults)[0]
    key = ".".join(str(part) for part in first["loc"])[:LONGEST_KEY]
    if unknown:
        return InvalidInput("unknown_key", key=key)
    return InvalidInput("invalid_field", key=key, detail=first["msg"])


def _unstorable(told: object) -> str:
    """Say what PostgreSQL could not keep of a parsed value; nothing where it can keep all."""
    left: list[object] = [told]
    while left:
        match left.pop():
            case str(text) if "\x00" in text:
                return "it contains the character NUL"
            case float(number) if not math.isfinite(number):
                return "it contains a number that is too large"
            case dict(inner):  # pyright: ignore[reportUnknownVariableType] - parsed JSON
                left += [*inner, *inner.values()]  # pyright: ignore[reportUnknownArgumentType]
            case list(inner):  # pyright: ignore[reportUnknownVariableType] - parsed JSON
                left += inner
            case _:
                pass
    return ""
