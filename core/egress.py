"""The only HTTP client for addresses that somebody else has named: it reaches no inner network."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Final, cast

import httpcore2
import httpx2

from core.errors import Forbidden, Unavailable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a port; raises OSError where it has none."""

_CLOSED_V4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_OPEN_V6: Final = IPv6Network("2000::/3")
"""All that is routed. Loopback, link-local, multicast, mapped IPv4 and NAT64 lie outside."""
_CLOSED_V6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # Teredo among them, which wraps IPv4
        "2001:db8::/32",
        "2002::/16",  # 6to4 wraps IPv4
        "3fff::/20",
    )
)

_RESOLVE_SECONDS = 5.0
_TRIED = 3
_PORTS: Final = {"http": 80, "https": 443}
_IDENTITY: Final = {"", "identity"}
_LONGEST_LENGTH = 15


def is_public(address: str) -> bool:
    """Return whether an IP address lies on the public internet (IANA's special-purpose registries).

    What cannot be read, and IPv6 with a zone, does not.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in block for block in _CLOSED_V4)
    return (
        found.scope_id is None
        and found in _OPEN_V6
        and not any(found in block for block in _CLOSED_V6)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress:
    """Reaches what lies on the public internet over https, and what the operator allows besides.

    A name is resolved once for each connection, and the connection goes to the very address that
    was checked. No redirect is followed, and no proxy of the environment is used. What goes wrong
    is raised as one of:

    * Forbidden ``address_refused``: no https, not public, a redirect, an encoding nobody asked for.
    * Unavailable ``address_unreachable``, ``address_timeout``, ``answer_too_large``.
    """

    def __init__(
        self, *, allow_private: Iterable[str] = (), resolve: Resolve | None = None
    ) -> None:
        """Take the hosts that may be private and spoken to without TLS, and who resolves names.

        Each is an exact ``host``, or ``host:port`` for that port alone; IPv6 stands in brackets.
        """
        self._allowed = frozenset(host.lower() for host in allow_private)
        self._resolve = resolve or _Resolver()

    def client(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        connect_seconds: float = 5.0,
        read_seconds: float = 30.0,
        limit_bytes: int = 1_000_000,
        connections: int = 8,
    ) -> httpx2.AsyncClient:
        """Return a client with connections and cookies of its own; each answer has that limit.

        ``read_seconds`` is how long nothing may come. Whoever opens it closes it.
        """
        timeout = httpx2.Timeout(read_seconds, connect=connect_seconds)
        return httpx2.AsyncClient(
            headers={"accept-encoding": "identity", **(headers or {})},
            timeout=timeout,
            transport=self.transport(limit_bytes=limit_bytes, connections=connections),
            follow_redirects=False,
            trust_env=False,
        )

    def transport(self, *, limit_bytes: int, connections: int) -> httpx2.AsyncBaseTransport:
        """Return what a client reaches addresses through; compressed answers are refused."""
        return _Guarded(self, tls=_tls(), limit_bytes=limit_bytes, connections=connections)

    async def fetch(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        seconds: float = 10.0,
        limit_bytes: int = 100_000,
    ) -> Fetched:
        """Get ``url``, or post ``form`` to it; ``seconds`` is for the whole of it."""
        try:
            async with (
                asyncio.timeout(seconds),
                self.client(limit_bytes=limit_bytes, connections=1) as client,
            ):
                answer = await client.request(
                    "GET" if form is None else "POST",
                    url,
                    headers=dict(headers or {}),
                    data=dict(form) if form is not None else None,
                )
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Unavailable("address_timeout", host=_shown(url)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable("address_unreachable", host=_shown(url)) from error
        return Fetched(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def check(self, url: httpx2.URL) -> None:
        """Refuse an address by what it says: before anybody is asked where it is.

        Raises:
            Forbidden: ``address_refused``.
        """
        host, port = url.host, url.port or _PORTS.get(url.scheme, 0)
        if url.scheme not in _PORTS or not host:
            raise _refused(host, "it is no web address")
        if url.userinfo:
            raise _refused(host, "it has a user name or a password in it")
        if url.scheme != "https" and not self.allows(host, port=port):
            raise _refused(host, "it is not https")

    def allows(self, host: str, *, port: int) -> bool:
        """Return whether the operator lets this host be private."""
        named = f"[{host}]" if ":" in host else host.lower()
        return named in self._allowed or f"{named}:{port}" in self._allowed

    async def addresses(self, host: str, *, port: int) -> tuple[str, ...]:
        """Return the checked addresses of a host. One that is not public condemns them all.

        Raises:
            Forbidden: ``address_refused``.
            Unavailable: ``address_unreachable``, ``address_timeout``.
        """
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = tuple(await self._resolve(host, port))
        except TimeoutError as error:
            raise Unavailable("address_timeout", host=host) from error
        except (OSError, UnicodeError) as error:
            raise Unavailable("address_unreachable", host=host) from error
        if not found:
            raise Unavailable("address_unreachable", host=host)
        if not self.allows(host, port=port) and not all(map(is_public, found)):
            raise _refused(host, "it is not on the public internet")
        return found


class _Resolver:
    """Asks the system, in threads of its own: a name server that hangs holds up nobody else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="egress")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Checked(httpcore2.AsyncNetworkBackend):
    """Connects to an address that was checked; TLS goes on to ask for the host by its name."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        # Cast: the library defines it twice, once for where its own dependency is missing.
        self._network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the library calls it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        found = await self._egress.addresses(host, port=port)
        for place, address in enumerate(found[:_TRIED], start=1):
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if place == len(found[:_TRIED]):
                    raise
        raise _refused(host, "it has no address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Guarded(httpx2.AsyncBaseTransport):
    """Checks each request, and bounds each answer."""

    def __init__(
        self, egress: Egress, *, tls: ssl.SSLContext, limit_bytes: int, connections: int
    ) -> None:
        self._egress = egress
        self._limit_bytes = limit_bytes
        # Not the library's own transport: that one takes no say in where a connection goes.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=_Checked(egress),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._egress.check(request.url)
        url = request.url
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            told = await self._pool.handle_async_request(asked)
        answer = httpx2.Response(
            status_code=told.status,
            headers=told.headers,
            stream=_Bounded(told, limit_bytes=self._limit_bytes, host=url.host),
        )
        fault = None
        if answer.has_redirect_location:
            fault = _refused(url.host, "it redirects to another address")
        elif answer.headers.get("content-encoding", "").strip().lower() not in _IDENTITY:
            # A few compressed bytes can be as long as they like.
            fault = _refused(url.host, "it answers compressed, which was not asked for")
        elif _length(answer.headers) > self._limit_bytes:
            fault = _too_large(url.host, self._limit_bytes)
        if fault is not None:
            await answer.aclose()
            raise fault
        return answer

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """An answer's bytes, up to the limit."""

    def __init__(self, told: httpcore2.Response, *, limit_bytes: int, host: str) -> None:
        self._told = told
        self._limit_bytes = limit_bytes
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit_bytes
        with _translated():
            async for piece in self._told.aiter_stream():
                left -= len(piece)
                if left < 0:
                    raise _too_large(self._host, self._limit_bytes)
                yield piece

    async def aclose(self) -> None:
        await self._told.aclose()


class _translated:  # noqa: N801 - reads as a verb in a with statement
    """Turn the connection pool's errors into those that the client's users know."""

    def __enter__(self) -> None:
        """Watch the block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise what the error means to the client."""
        match error:
            case httpcore2.TimeoutException():
                raise httpx2.TimeoutException(str(error)) from error
            case (
                httpcore2.NetworkError()
                | httpcore2.ProtocolError()
                | httpcore2.UnsupportedProtocol()
            ):
                raise httpx2.TransportError(str(error)) from error
            case _:
                return


def _refused(host: str, detail: str) -> Forbidden:
    return Forbidden("address_refused", host=_cut(host), detail=detail)


def _too_large(host: str, limit_bytes: int) -> Unavailable:
    return Unavailable("answer_too_large", host=_cut(host), limit=limit_bytes)


def _length(headers: httpx2.Headers) -> int:
    told = headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= _LONGEST_LENGTH else 0


def _shown(url: str) -> str:
    try:
        return _cut(httpx2.URL(url).host)
    except httpx2.InvalidURL:
        return ""


def _cut(host: str) -> str:
    return host[:253]


@cache
def _tls() -> ssl.SSLContext:
    """Return whom the system trusts: read once, for that takes 40 ms."""
    return httpx2.create_ssl_context()
