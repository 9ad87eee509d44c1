"""One way to log for us and for every library: structured, on standard error, without secrets."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor, WrappedLogger

from core.domain.canonical import JsonObject
from core.domain.eraser import LOG_KEY, Eraser
from core.errors import Misconfigured

_GONE: Final = "[redacted]"
_DEEP: Final = 8

# Whatever looks like a credential, wherever it stands: ours, the providers', Slack's, a JWT, a
# password in a URL.
_SECRET: Final = re.compile(
    r"""sp_(?:api|mcp)_[A-Za-z0-9_-]*
      | (?<![A-Za-z0-9])sk-[A-Za-z0-9_-]+
      | (?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]+
      | \beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*
      | \bbearer(?:\s|%20|\\[nrt])+[A-Za-z0-9._~+/=-]+
      | (?<=://)[^\s/:@]*:[^\s/@]+(?=@)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Names whose values are never shown: credentials, and what people and models wrote.
_NAMES: Final = frozenset(
    {
        "api_key",
        "arguments",
        "authorization",
        "body",
        "cookie",
        "headers",
        "messages",
        "password",
        "prompt",
        "secret",
        "token",
    }
)
# Below these, libraries write down whole requests, statements with their parameters, or noise.
_FOREIGN: Final = {
    "aiohttp": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "mcp": logging.WARNING,
    # As errors, these write down what an upstream server has sent.
    "mcp.client": logging.CRITICAL,
    "mcp.shared": logging.CRITICAL,
    # These quote what people wrote there, and what Slack has answered.
    "slack_bolt": logging.CRITICAL,
    "slack_sdk": logging.CRITICAL,
    "sqlalchemy": logging.WARNING,
}
_OURS: Final = ("api", "approvals", "bots", "console", "core", "mcp_server", "sallyport")
# They bring handlers of their own unless they find one.
_WITH_HANDLERS: Final = ("dbos", "uvicorn", "uvicorn.access", "uvicorn.error")


# Any: structlog's own word for what a log entry holds.
Event = MutableMapping[str, Any]


def configure_logs(*, json: bool, level: str, stream: TextIO | None = None) -> None:
    """Send every log entry of this process to ``stream``, standard error where none is given.

    As JSON, one entry a line, or to be read by people. ``level`` is for our own entries; libraries
    never go below info. Calling it again replaces what was configured before.

    Raises:
        Misconfigured: ``invalid_setting``.
    """
    lowest = logging.getLevelNamesMapping().get(level.upper())
    if lowest is None:
        raise Misconfigured("invalid_setting", key="log_level", detail=f"there is no {level[:50]}")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_foreign],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Plain: a prettier traceback shows local variables.
                structlog.processors.format_exc_info,
                redact,
                _renderer(json=json),
            ],
        )
    )
    _route(handler, lowest=lowest)


def redact(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    """Take out of an entry, however deep, whatever looks like a credential or is called one.

    While a tool has credentials in use, those too, whatever they look like.
    """
    in_use = event.pop(LOG_KEY, None)
    cleaned = cast("Event", _clean(event, depth=0))
    if isinstance(in_use, Eraser) and in_use:
        return dict(in_use.object(cast("JsonObject", cleaned)))
    return cleaned


def _clean(value: object, *, depth: int) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str() | bytes() | bytearray():
            text = value if isinstance(value, str) else value.decode("utf-8", "replace")
        case Mapping() | Sequence() | AbstractSet() if depth == _DEEP:
            text = "…"
        case Mapping():
            return _clean_entries(cast("Mapping[object, object]", value), depth=depth + 1)
        case Sequence() | AbstractSet():
            return [_clean(each, depth=depth + 1) for each in cast("Sequence[object]", value)]
        case _:
            text = str(value)
    return _SECRET.sub(_GONE, text)


def _clean_entries(entries: Mapping[object, object], *, depth: int) -> dict[str, object]:
    return {
        _SECRET.sub(_GONE, str(name)): _GONE
        if str(name).lower() in _NAMES
        else _clean(value, depth=depth)
        for name, value in entries.items()
    }


def _name_foreign(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    """Give a library's entry an event name; what it says becomes the message."""
    record: logging.LogRecord = event["_record"]
    event["message"] = event["event"]
    event["event"] = f"{record.name}.logged"
    return event


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )


def _route(handler: logging.Handler, *, lowest: int) -> None:
    # What logging prints about an entry that it cannot write is the entry, with all that is in it.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(lowest, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(lowest)
    for name, floor in _FOREIGN.items():
        logging.getLogger(name).setLevel(max(lowest, floor))
    for name in _WITH_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
