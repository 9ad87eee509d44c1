"""What the upstream servers of the tests have and do, whatever they are built on: plain JSON."""

import hashlib
import json
import os
from pathlib import Path

# Any: JSON, as it comes.
from typing import Any

NUMBERS: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TEXT: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 100}},
    "required": ["text"],
}
SUM: dict[str, Any] = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
}
TOOLS: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "add": ("Add two numbers.", NUMBERS, SUM),
    "write": ("Write a line into the book.", TEXT, None),
    "lie": ("Add two numbers, it says.", NUMBERS, SUM),
    "fail": ("Fail, and say so.", NOTHING, None),
    "hang": ("Never answer.", NOTHING, None),
    "flood": ("Answer with far too much.", NOTHING, None),
    "die": ("Die while it is called.", NOTHING, None),
    "whoami": ("Tell which credential came.", NOTHING, None),
    "Bad Näme!": ("Has signs in its name.", NOTHING, None),
    "bad_n_me_": ("Has the same name without them.", NOTHING, None),
    "remote": ("Has a schema elsewhere.", {"type": "object", "$ref": "https://x.test/s"}, None),
}


class Book:
    """What the server is told to be like, and what has been done to it."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def state(self) -> dict[str, Any]:
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    def write(self, line: str) -> None:
        with self._state.with_suffix(".book").open("a") as file:
            file.write(line + "\n")


def tools_of(book: Book) -> list[dict[str, Any]]:
    """Return the tools as they are listed now."""
    state = book.state()
    about, without = state.get("about", {}), state.get("without", [])
    return [
        {
            "name": name,
            "description": about.get(name, words),
            "inputSchema": takes,
            **({"outputSchema": returns} if returns else {}),
            "annotations": {"readOnlyHint": True},
        }
        for name, (words, takes, returns) in TOOLS.items()
        if name not in without
    ]


def called(  # noqa: PLR0911 - one line a tool
    book: Book, name: str, *, arguments: dict[str, Any], came: str
) -> dict[str, Any] | None:
    """Do what a tool does, for the credential that came; None is never to be answered."""
    match name:
        case "add":
            return structured({"sum": arguments["a"] + arguments["b"]})
        case "lie":
            return structured({"sum": "a lot"})
        case "write":
            book.write(arguments["text"])
            return said(f"Wrote {arguments['text']}.")
        case "fail":
            return said("The book is closed.", is_error=True)
        case "hang":
            return None
        case "flood":
            return said("x" * 5_000_000)
        case "whoami":
            # By its digest too: the credential itself is not shown to whoever calls.
            digest = hashlib.sha256(came.removeprefix("Bearer ").encode()).hexdigest()
            more = "." * arguments.get("longer", 0)
            return said(f"{came} {digest}{more}", is_error=arguments.get("fails", False))
        case _:
            os._exit(3)
    raise AssertionError(name)


def credential_given() -> str:
    """Return the credential that a server over pipes was started with."""
    return os.environ.get("UPSTREAM_SECRET", "nobody")  # noqa: TID251 - how it comes


def structured(output: dict[str, Any]) -> dict[str, Any]:
    return {"content": [], "structuredContent": output, "isError": False}


def said(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
