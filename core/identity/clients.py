"""Which program is asking: one that registered itself, or one known by a document of its own."""

import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from core.domain.authorization import Client, ClientAuth
from core.domain.canonical import Json
from core.egress import Fetched
from core.errors import AuthorizationRefused, Forbidden, Unavailable
from core.identity.redirects import checked_redirects
from core.ports import Clock

_DOCUMENT_BYTES: Final = 20_000
_DOCUMENT_SECONDS: Final = 5.0
_FRESH_SECONDS: Final = 300.0
# Whoever has us fetch what is not there does not have us fetch it for each of their requests.
_FAILED_SECONDS: Final = 30.0
_REMEMBERED: Final = 1_000
_LONGEST_ID: Final = 500
_LONGEST_NAME: Final = 60
_OK: Final = 200


class ClientRecords(Protocol):
    """Where clients that registered themselves are kept."""

    async def add_client(self, client: Client, *, at: datetime) -> None:
        """Keep a new client; the longest unused ones go where there are too many."""
        ...

    async def client(self, client_id: str) -> Client | None:
        """Return the client of that id."""
        ...


class Documents(Protocol):
    """Gets what an address holds that somebody else has named: ``core.egress.Egress``."""

    async def fetch(self, url: str, *, seconds: float, limit_bytes: int) -> Fetched:
        """Get ``url``.

        Raises:
            Forbidden: ``address_refused``: not https, not public, or a redirect.
            Unavailable: it cannot be reached, takes too long or is too large.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a client brings to the token endpoint: its id, and how it says that it is the one."""

    client_id: str
    auth: ClientAuth
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    outcome: Client | str
    """The client, or what is wrong about its document."""
    until: float


class Clients:
    """Registers clients, finds them, and has them prove themselves."""

    def __init__(self, records: ClientRecords, *, documents: Documents, clock: Clock) -> None:
        """Take where clients are kept, and who fetches the documents of others."""
        self._records = records
        self._documents = documents
        self._clock = clock
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def register(
        self, *, name: str, redirect_uris: Sequence[str], auth: ClientAuth
    ) -> tuple[Client, str | None]:
        """Keep a client that names itself (RFC 7591); return it, with its secret if it has one.

        Raises:
            AuthorizationRefused: ``invalid_redirect_uri``.
        """
        secret = None if auth is ClientAuth.NONE else secrets.token_urlsafe(32)
        client = Client(
            id=f"spc_{secrets.token_urlsafe(16)}",
            name=_shown(name) or "An unnamed program",
            redirect_uris=checked_redirects(redirect_uris),
            auth=auth,
            secret_hash=None if secret is None else _hash(secret),
        )
        await self._records.add_client(client, at=self._clock.now())
        return client, secret

    async def find(self, client_id: str) -> Client:
        """Return the client of that id; an https URL is the address of its document.

        Raises:
            AuthorizationRefused: ``unknown_client``.
        """
        if not client_id.startswith("https://"):
            known = None
            if len(client_id) <= _LONGEST_ID:
                known = await self._records.client(client_id)
            if known is None:
                raise AuthorizationRefused("unknown_client", detail="it has not registered here")
            return known
        seen = self._seen.get(client_id)
        if seen is None or seen.until <= self._clock.monotonic():
            seen = await self._look(client_id)
        if isinstance(seen.outcome, str):
            raise _unknown(seen.outcome)
        return seen.outcome

    async def proven(self, proof: Proof) -> str:
        """Return the id of the client that the proof is of.

        One that is known by a document has no secret, and its document is not asked again: what it
        presents is bound to its id.

        Raises:
            AuthorizationRefused: ``invalid_client``.
        """
        if proof.client_id.startswith("https://"):
            if proof.auth is not ClientAuth.NONE:
                raise AuthorizationRefused("invalid_client")
            return proof.client_id
        try:
            client = await self.find(proof.client_id)
        except AuthorizationRefused as error:
            raise AuthorizationRefused("invalid_client") from error
        is_right = client.secret_hash is None or hmac.compare_digest(
            client.secret_hash, _hash(proof.secret)
        )
        if proof.auth is not client.auth or not is_right:
            raise AuthorizationRefused("invalid_client")
        return client.id

    async def _look(self, client_id: str) -> _Seen:
        now = self._clock.monotonic()
        try:
            seen = _Seen(outcome=await self._fetched(client_id), until=now + _FRESH_SECONDS)
        except AuthorizationRefused as error:
            seen = _Seen(outcome=str(error.facts["detail"]), until=now + _FAILED_SECONDS)
        self._seen[client_id] = seen
        self._seen.move_to_end(client_id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen

    async def _fetched(self, url: str) -> Client:
        _check_address(url)
        try:
            answer = await self._documents.fetch(
                url, seconds=_DOCUMENT_SECONDS, limit_bytes=_DOCUMENT_BYTES
            )
        except (Forbidden, Unavailable) as error:
            raise _unknown("its document cannot be had from there") from error
        if answer.status != _OK:
            raise _unknown("there is no document at the address that it goes by")
        return _client_of(answer.body, url=url)


def _check_address(url: str) -> None:
    """Refuse an id that is no address of a document (draft-ietf-oauth-client-id-metadata-document).

    Raises:
        AuthorizationRefused: ``unknown_client``.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    steps = parts.path.split("/")
    if (
        len(url) > _LONGEST_ID
        or not url.isascii()
        or not url.isprintable()
        or not host
        or "@" in parts.netloc
        or "#" in url
        or parts.path in {"", "/"}
        or {".", ".."} & set(steps)
    ):
        raise _unknown("the address that it goes by is none of a document")


def _client_of(body: bytes, *, url: str) -> Client:
    """Return the client that its document tells of.

    Raises:
        AuthorizationRefused: ``unknown_client``.
    """
    try:
        told: Json = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unknown("its document is no JSON") from error
    if not isinstance(told, dict):
        raise _unknown("its document is no JSON object")
    if told.get("client_id") != url:
        raise _unknown("its document is another client's")
    if told.get("token_endpoint_auth_method", "none") != "none" or "client_secret" in told:
        raise _unknown("its document asks for a proof that is not taken here")
    uris, name = told.get("redirect_uris"), told.get("client_name", "")
    if not isinstance(uris, list) or not isinstance(name, str):
        raise _unknown("its document names no redirect URIs")
    try:
        redirects = checked_redirects([str(uri) for uri in uris])
    except AuthorizationRefused as error:
        raise _unknown("its document names a redirect URI that is not allowed") from error
    host = urlsplit(url).netloc.lower()
    # The host is what the client has proven; its name is only what it says.
    shown = f"{_shown(name)} ({host})" if _shown(name) else host
    return Client(id=url, name=shown[:100], redirect_uris=redirects, auth=ClientAuth.NONE)


def _unknown(detail: str) -> AuthorizationRefused:
    return AuthorizationRefused("unknown_client", detail=detail)


def _shown(name: str) -> str:
    """Return a name without what is invisible or turns the direction of reading."""
    visible = "".join(sign if sign.isprintable() else " " for sign in name)
    return " ".join(visible.split())[:_LONGEST_NAME]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
