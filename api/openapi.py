"""The API's description of itself (OpenAPI 3.1), made from the same table as its routes."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.models import Nothing, Problem
from api.operations import JSON, Operation
from api.problems import MEDIA_TYPE

_PARAMETER = re.compile(r"\{(\w+)\}")
_REFERENCE = "#/components/schemas/{model}"
_ALWAYS = (401, 403, 422, 503)
_WITH_BODY = (400, 413, 415)
_MEANING: Mapping[int, str] = {
    200: "Done.",
    202: "Accepted; it goes on without you.",
    204: "There is nothing more.",
    400: "The body is not valid JSON.",
    401: "No valid token.",
    403: "Known, but not allowed.",
    404: "Not there, or not yours.",
    409: "What you decided about has changed, or is closed.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Invalid, or unknown, keys or values.",
    429: "Too much; come back after Retry-After seconds.",
    503: "A part that is needed is not there; come back after Retry-After seconds.",
}

Node = dict[str, Any]  # Any: an open JSON document


def document_of(operations: Sequence[Operation], *, prefix: str) -> str:
    """Return the document as JSON text."""
    paths: dict[str, Node] = {}
    for operation in operations:
        paths.setdefault(f"{prefix}{operation.path}", {})[operation.method.lower()] = _described(
            operation
        )
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Sallyport",
                "version": "1",
                "description": "Governed tool calls and agent runs. Errors are problem documents "
                "(RFC 9457) with a stable code. Lists go on with their next_cursor.",
            },
            "security": [{"bearer": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
                "schemas": _schemas(operations),
            },
        }
    )


def _described(operation: Operation) -> Node:
    takes_body = operation.method == "POST"
    statuses = {*_ALWAYS, *(_WITH_BODY if takes_body else ()), *operation.refusals}
    described: Node = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs a token with the scope {operation.scope}.",
        "parameters": [*_in_path(operation), *_in_query(operation), *_in_headers(operation)],
        "responses": {
            **{
                str(status): _answer(status, models=models, media_type=operation.media_type)
                for status, models in operation.answers.items()
            },
            **{
                str(status): _content(status, models=(Problem,), media_type=MEDIA_TYPE)
                for status in sorted(statuses)
            },
        },
    }
    if operation.body is not Nothing:
        content = {JSON: {"schema": _reference(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _in_path(operation: Operation) -> Iterable[Node]:
    for name in _PARAMETER.findall(operation.path):
        is_id = name.endswith("_id")
        schema = {"type": "string", "format": "uuid"} if is_id else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(operation: Operation) -> Iterable[Node]:
    schema = operation.query.model_json_schema(ref_template=_REFERENCE)
    for name, value in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": False, "schema": value}


def _in_headers(operation: Operation) -> Iterable[Node]:
    for name, meaning in operation.headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": meaning,
            "schema": {"type": "string"},
        }


def _answer(status: int, *, models: tuple[type[BaseModel], ...], media_type: str) -> Node:
    if models:
        return _content(status, models=models, media_type=media_type)
    if media_type == JSON or status != 200:  # noqa: PLR2004 - the one status with a stream behind it
        return {"description": _MEANING[status]}
    content = {media_type: {"schema": {"type": "string"}}}
    return {"description": _MEANING[status], "content": content}


def _content(status: int, *, models: tuple[type[BaseModel], ...], media_type: str) -> Node:
    choices = [_reference(model) for model in models]
    schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return {"description": _MEANING[status], "content": {media_type: {"schema": schema}}}


def _reference(model: type[BaseModel]) -> Node:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(operations: Sequence[Operation]) -> Node:
    taken = {one.body for one in operations} | {one.query for one in operations}
    given = {model for one in operations for models in one.answers.values() for model in models}
    ordered = [(model, "validation") for model in sorted(taken - {Nothing}, key=_name)]
    answered = [(model, "serialization") for model in sorted({*given, Problem}, key=_name)]
    _, document = models_json_schema(
        [*ordered, *answered],  # pyright: ignore[reportArgumentType] - the modes are literals
        ref_template=_REFERENCE,
    )
    schemas: Node = document["$defs"]
    return schemas


def _name(model: type[BaseModel]) -> str:
    return model.__name__
