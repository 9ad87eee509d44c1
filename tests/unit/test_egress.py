"""What others name is reached on the public internet only, whatever tricks the name plays."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from core.egress import Egress, Fetched, is_public
from core.errors import Forbidden, SallyportError, Unavailable

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - refused
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.215.14",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%lo",
        "2606:4700::1%lo",
        "fec0::1",
        "ff02::1",
        "localhost",
        "",
    ],
)
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "172.32.0.1", "2606:4700::1111"])
def test_a_public_address_is_known_as_such(address: str) -> None:
    assert is_public(address)


async def nobody(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Hang up at once."""


def answering(*told: bytes) -> Handle:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in told:
            writer.write(piece)

    return answer


@asynccontextmanager
async def listening(handle: Handle) -> AsyncGenerator[int]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(10):
            try:
                await handle(reader, writer)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
                done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        await done.wait()


class Names:
    """A name server that answers with the next of its answers each time, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


async def refusal(egress: Egress, url: str, **given: float) -> SallyportError:
    with pytest.raises(SallyportError) as caught:
        await egress.fetch(url, **given)  # pyright: ignore[reportArgumentType] - seconds, limits
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test/",
        "ftp://example.test/",
        "file:///etc/passwd",
        "example.test",
        "https://user:word@example.test/",
        "https://user@example.test/",
    ],
)
async def test_an_address_is_refused_for_what_it_says_before_anybody_is_asked(url: str) -> None:
    names = Names([PUBLIC])
    error = await refusal(Egress(resolve=names), url)
    assert isinstance(error, Forbidden)
    assert (error.code, names.asked) == ("address_refused", [])


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://localhost/",
        "https://localhost./",
        "https://LOCALHOST/",
    ],
)
async def test_loopback_is_refused_however_it_is_written(url: str) -> None:
    error = await refusal(Egress(), url)
    assert error.code in {"address_refused", "address_unreachable"}


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], ["::1"], ["fe80::1%1"]]
)
async def test_a_name_with_one_address_that_is_not_public_is_refused(answer: list[str]) -> None:
    names = Names(answer)
    error = await refusal(Egress(resolve=names), "https://example.test/")
    assert (error.code, names.asked) == ("address_refused", ["example.test"])


async def test_a_name_that_is_not_there_is_unreachable() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(host, port)

    assert (await refusal(Egress(resolve=unknown), "https://a.test/")).code == "address_unreachable"
    assert (await refusal(Egress(resolve=Names([])), "https://a.test/")).code == (
        "address_unreachable"
    )


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name server that says something else when it is asked again (DNS rebinding) is not."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with listening(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as port:
        egress = Egress(allow_private=[f"inner.test:{port}"], resolve=names)
        fetched = await egress.fetch(f"http://inner.test:{port}/")
    assert fetched == Fetched(status=200, headers={"content-length": "2"}, body=b"ok")
    assert names.asked == ["inner.test"]


async def test_a_name_that_turns_private_later_is_refused_then() -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    egress = Egress(resolve=names)
    assert await egress.addresses("example.test", port=443) == (PUBLIC,)
    assert (await refusal(egress, "https://example.test/")).code == "address_refused"


async def test_an_allowed_host_is_allowed_at_its_port_only() -> None:
    async with listening(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        egress = Egress(allow_private=[f"127.0.0.1:{port}", "[::1]:8"])
        assert (await egress.fetch(f"http://127.0.0.1:{port}/")).status == 204
        assert (await refusal(egress, f"http://127.0.0.1:{port + 1}/")).code == "address_refused"
        assert egress.allows("::1", port=8)
        assert not egress.allows("::1", port=9)


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/", "/elsewhere", "https://example.test/"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int, location: str) -> None:
    told = f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
    async with listening(answering(told)) as port:
        egress = Egress(allow_private=["127.0.0.1"])
        error = await refusal(egress, f"http://127.0.0.1:{port}/")
    assert (error.code, "redirect" in str(error.facts["detail"])) == ("address_refused", True)


@pytest.mark.parametrize(
    "told",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024),
    ],
    ids=["said", "unsaid", "chunked"],
)
async def test_an_answer_is_cut_off_at_its_limit(told: tuple[bytes, ...]) -> None:
    async with listening(answering(*told)) as port:
        egress = Egress(allow_private=["127.0.0.1"])
        error = await refusal(egress, f"http://127.0.0.1:{port}/", limit_bytes=100)
    assert isinstance(error, Unavailable)
    assert error.code == "answer_too_large"


async def test_a_compressed_answer_is_refused() -> None:
    told = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx"
    async with listening(answering(told)) as port:
        error = await refusal(Egress(allow_private=["127.0.0.1"]), f"http://127.0.0.1:{port}/")
    assert error.code == "address_refused"


async def test_an_answer_that_does_not_come_is_given_up_on() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        del writer

    async with listening(silent) as port:
        egress = Egress(allow_private=["127.0.0.1"])
        error = await refusal(egress, f"http://127.0.0.1:{port}/", seconds=0.1)
    assert error.code == "address_timeout"


async def test_a_name_server_that_does_not_answer_is_given_up_on() -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise OSError(host, port)

    egress = Egress(resolve=hangs)
    assert (await refusal(egress, "https://a.test/", seconds=0.1)).code == "address_timeout"


async def test_a_broken_connection_is_unreachable() -> None:
    async with listening(nobody) as port:
        error = await refusal(Egress(allow_private=["127.0.0.1"]), f"http://127.0.0.1:{port}/")
    assert error.code == "address_unreachable"


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with listening(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        egress = Egress(allow_private=["127.0.0.1"])
        assert (await egress.fetch(f"http://127.0.0.1:{port}/")).status == 204


async def test_a_form_is_posted() -> None:
    seen: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"a=1"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with listening(keep) as port:
        egress = Egress(allow_private=["127.0.0.1"])
        await egress.fetch(f"http://127.0.0.1:{port}/", form={"a": "1"}, headers={"x-y": "z"})
    assert seen[0].startswith(b"POST / ")
    assert b"accept-encoding: identity" in seen[0].lower()
    assert b"x-y: z" in seen[0]
