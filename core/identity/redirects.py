"""Where a code may be sent: which redirect URIs a client may have, and which one it means."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from core.errors import AuthorizationRefused

_LONGEST: Final = 2000
_MOST: Final = 10
_HOST: Final = re.compile(r"[a-z0-9.-]+|[0-9a-f:]+", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Native clients that have a scheme without a dot, against RFC 8252 section 7.1.
_KNOWN_SCHEMES: Final = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf"})
_PLAIN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
# A name that we set ourselves must not be there already: a client might read the first one.
_OURS: Final = frozenset({"code", "state", "iss", "error", "error_description"})


def checked_redirects(uris: Sequence[str]) -> tuple[str, ...]:
    """Return the redirect URIs of a client, each one that a code may be sent to.

    They are ``https``, ``http`` to this very machine with any port (RFC 8252 section 7.3), or of a
    private-use scheme (section 7.1); without fragment, user or password.

    Raises:
        AuthorizationRefused: ``invalid_redirect_uri``.
    """
    if not 1 <= len(uris) <= _MOST:
        raise AuthorizationRefused(
            "invalid_redirect_uri", detail=f"a client has between 1 and {_MOST}"
        )
    for uri in uris:
        if wrong := _wrong_with(uri):
            raise AuthorizationRefused("invalid_redirect_uri", detail=wrong)
    return tuple(dict.fromkeys(uris))


def redirect_meant(asked: str, *, registered: Sequence[str]) -> str | None:
    """Return ``asked`` where it is one of the ``registered``, letter by letter; else None.

    Only a port of this very machine may be another one: a native client takes a free one each time.
    """
    if asked in registered:
        return asked
    if _wrong_with(asked):
        return None
    sought = _without_loopback_port(asked)
    if sought is not None and sought in map(_without_loopback_port, registered):
        return asked
    return None


def redirect_host(uri: str) -> str:
    """Return where the browser would go, as a person is told: a host, or a private-use scheme."""
    parts = urlsplit(uri)
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else f"{parts.scheme}:"


def is_vouched_for(uri: str) -> bool:
    """Return whether only its owner gets what is sent there.

    A loopback port or a private-use scheme belongs to whichever program takes it first.
    """
    parts = urlsplit(uri)
    return parts.scheme == "https" and parts.hostname not in _LOOPBACK


def redirect_to(uri: str, **answer: str | None) -> str:
    """Return ``uri`` with the answer's parameters behind its own; those of None are left out."""
    parts = urlsplit(uri)
    told = urlencode({name: value for name, value in answer.items() if value is not None})
    return urlunsplit(parts._replace(query=f"{parts.query}&{told}" if parts.query else told))


def _wrong_with(uri: str) -> str | None:
    if len(uri) > _LONGEST or not _PLAIN.fullmatch(uri) or "\\" in uri:
        return "it is no plain URI of at most 2000 characters"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URI"
    if "#" in uri:
        return "it has a fragment"
    if "@" in parts.netloc:
        return "it names a user"
    if _OURS & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        return "its query has a name that the answer needs"
    return _wrong_with_scheme(parts, host=host)


def _wrong_with_scheme(parts: SplitResult, *, host: str | None) -> str | None:
    match parts.scheme:
        case "https":
            # Whatever a host may not have could mean something where it is told: a policy, a page.
            return None if host and _HOST.fullmatch(host) else "it names no host"
        case "http":
            return None if host in _LOOPBACK else "http is for loopback addresses only"
        case scheme if "." in scheme or scheme in _KNOWN_SCHEMES:
            return None
        case _:
            return "its scheme is neither https nor a private-use one, which has a dot"


def _without_loopback_port(uri: str) -> str | None:
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    return urlunsplit(parts._replace(netloc=parts.hostname or ""))
