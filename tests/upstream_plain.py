"""The upstream server of the tests without the SDK, whose import is nearly all of a start.

As a program: ``python -m tests.upstream_plain STATE`` speaks on its standard streams.
"""

import json
import sys
from pathlib import Path

# Any: JSON, as it comes.
from typing import Any

from tests.upstream_book import Book, called, credential_given, tools_of

_META = {"io.modelcontextprotocol/serverInfo": {"name": "plain", "version": ""}}
_COMPLETE = {"resultType": "complete", "_meta": _META}
_UNCACHED = {"cacheScope": "private", "ttlMs": 0}
_ABLE: dict[str, Any] = {"capabilities": {"tools": {}}, "supportedVersions": ["2026-07-28"]}


def answer(book: Book, method: str, *, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return a result of the protocol of 2026-07-28; None is never to be answered."""
    match method:
        case "server/discover":
            return _COMPLETE | _UNCACHED | _ABLE
        case "tools/list":
            return _COMPLETE | _UNCACHED | {"tools": tools_of(book)}
        case "tools/call":
            arguments = params.get("arguments", {})
            result = called(book, params["name"], arguments=arguments, came=credential_given())
            return result and _COMPLETE | result
        case _:
            raise AssertionError(method)


def serve(book: Book) -> None:
    """Answer one line after the other until there are no more."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue  # a notification
        result = answer(book, asked["method"], params=asked.get("params", {}))
        if result is not None:
            told = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(Book(Path(sys.argv[1])))
