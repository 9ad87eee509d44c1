"""A person lets a client act for them: its request, checked; their answer, kept; a code for it."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from core.domain.audit import AuditRecord, audit_record
from core.domain.authorization import AuthorizationRequest, Client, Code
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import SCOPES_OF_ROLE, Principal, Role, scopes_held
from core.domain.sign_in import SignedIn
from core.errors import AuthorizationRefused
from core.identity.clients import Clients
from core.identity.redirects import is_vouched_for, redirect_host, redirect_meant, redirect_to
from core.ports import Clock

ORDINARY_SCOPES: Final = ("tools:call", "runs:start", "runs:read", "approvals:read")
"""What a client gets that asks for nothing in particular."""
GRANTABLE_SCOPES: Final = tuple(
    dict.fromkeys((*ORDINARY_SCOPES, *sorted(SCOPES_OF_ROLE[Role.ADMIN] - {"approvals:decide"})))
)
"""What a sign-in may give at all. A model holds the token: it never decides."""

_REQUEST_LIFE: Final = timedelta(minutes=10)
_CODE_LIFE: Final = timedelta(seconds=60)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_LONGEST_STATE: Final = 4_000
# OpenID Connect's; clients ask for it to be given a refresh token, which ours are in any case.
_TAKEN_FOR_GRANTED: Final = frozenset({"offline_access"})


class RequestRecords(Protocol):
    """Where requests wait, what was answered is remembered, and codes are kept."""

    async def add_request(self, handle_hash: bytes, *, request: AuthorizationRequest) -> None:
        """Keep a request; the oldest ones go where there are too many."""
        ...

    async def claim_request(
        self, handle_hash: bytes, *, session_hash: bytes, at: datetime
    ) -> AuthorizationRequest | None:
        """Bind a request to the first session that is shown it, and return it.

        None where there is none, its time is over, or it is another session's.
        """
        ...

    async def end_request(self, handle_hash: bytes, *, session_hash: bytes) -> bool:
        """Remove the request of this session; False where it is gone already."""
        ...

    async def consented(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, client_id: str, host: str
    ) -> frozenset[str]:
        """Return the scopes that the person has allowed the client that answers to this host."""
        ...

    async def add_consent(self, code: Code, *, host: str, at: datetime) -> None:
        """Remember what the person has allowed, in place of what they had."""
        ...

    async def add_code(self, code: Code, *, code_hash: bytes) -> None:
        """Keep a new code."""
        ...


class Recorder(Protocol):
    """Keeps what the auditor is told."""

    async def record(self, *records: AuditRecord) -> None:
        """Keep records of one tenant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parameters of an authorization request as they came (RFC 6749 section 4.1.1).

    ``resources`` are those of RFC 8707; ``prompt`` is OpenID Connect's.
    """

    response_type: str | None
    state: str | None
    challenge: str | None
    challenge_method: str | None
    scope: str | None
    resources: Sequence[str]
    prompt: str | None = None


class Authorization:
    """Takes requests of clients, has people answer them, and sends the answer back.

    The answer carries ``iss`` (RFC 9207), whatever it says.
    """

    def __init__(
        self,
        records: RequestRecords,
        *,
        clients: Clients,
        recorder: Recorder,
        clock: Clock,
        issuer: str,
        resource: str,
    ) -> None:
        """Take our own address, ``issuer``, and what tokens are for, ``resource``."""
        self._records = records
        self._clients = clients
        self._recorder = recorder
        self._clock = clock
        self.issuer = issuer
        self.resource = resource

    async def target(self, client_id: str, *, redirect_uri: str | None) -> tuple[Client, str]:
        """Return who asks and where the answer goes. Until both are known, nobody is sent anywhere.

        Raises:
            AuthorizationRefused: ``unknown_client``, ``redirect_not_registered``.
        """
        client = await self._clients.find(client_id)
        if redirect_uri is None and len(client.redirect_uris) == 1:
            return client, client.redirect_uris[0]
        meant = redirect_meant(redirect_uri or "", registered=client.redirect_uris)
        if meant is None:
            raise AuthorizationRefused("redirect_not_registered")
        return client, meant

    async def ask(self, client: Client, *, redirect_uri: str, asked: Asked) -> str:
        """Keep a request for ten minutes, and return the handle that a page asks for it by.

        Raises:
            AuthorizationRefused: to be told to the client: ``invalid_request``, ``invalid_scope``,
                ``invalid_target``, ``login_required``, ``unsupported_response_type``.
        """
        request = AuthorizationRequest(
            client_id=client.id,
            client_name=client.name,
            redirect_uri=redirect_uri,
            state=asked.state,
            challenge=_checked_challenge(asked),
            resource=self._checked_resource(asked.resources),
            scopes=_checked_scopes(asked.scope),
            asks_anew="consent" in (asked.prompt or "").split(),
            expires_at=self._clock.now() + _REQUEST_LIFE,
        )
        if "none" in (asked.prompt or "").split():
            raise AuthorizationRefused("login_required")
        handle = secrets.token_urlsafe(32)
        await self._records.add_request(_hash(handle), request=request)
        return handle

    def refusal(
        self, error: AuthorizationRefused, *, redirect_uri: str, state: str | None, told: str
    ) -> str:
        """Return where to send the browser so that the client hears of a refusal."""
        return redirect_to(
            redirect_uri, error=error.code, error_description=told, state=state, iss=self.issuer
        )

    async def shown(self, handle: str, *, signed_in: SignedIn) -> AuthorizationRequest:
        """Return the request, which is this session's from now on, with what the person can give.

        Its scopes may be none at all.

        Raises:
            AuthorizationRefused: ``request_gone``.
        """
        request = await self._records.claim_request(
            _hash(handle), session_hash=_hash(signed_in.session_id), at=self._clock.now()
        )
        if request is None:
            raise AuthorizationRefused("request_gone")
        held = scopes_held(signed_in.principal) & frozenset(GRANTABLE_SCOPES)
        return replace(request, scopes=request.scopes & held)

    async def is_remembered(self, request: AuthorizationRequest, *, person: Principal) -> bool:
        """Return whether the person has allowed this already: client, host, and every scope."""
        if request.asks_anew or not is_vouched_for(request.redirect_uri):
            return False
        allowed = await self._records.consented(
            person.tenant_id,
            principal_id=person.id,
            client_id=request.client_id,
            host=redirect_host(request.redirect_uri),
        )
        return bool(request.scopes) and request.scopes <= allowed

    async def allow(self, handle: str, *, signed_in: SignedIn) -> str:
        """Answer the request with a code, once; return where to send the browser.

        Raises:
            AuthorizationRefused: ``request_gone``.
        """
        request = await self._answered(handle, signed_in=signed_in)
        if not request.scopes:
            return self._turned_down(request, "invalid_scope", "this person can give none of them")
        person, now = signed_in.principal, self._clock.now()
        code = Code(
            principal=person,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            challenge=request.challenge,
            resource=request.resource,
            scopes=request.scopes,
            family_id=uuid4(),
            how=signed_in.how,
            expires_at=now + _CODE_LIFE,
        )
        host = redirect_host(request.redirect_uri)
        told = secrets.token_urlsafe(32)
        await self._records.add_consent(code, host=host, at=now)
        await self._records.add_code(code, code_hash=_hash(told))
        await self._recorder.record(
            audit_record(
                person.tenant_id,
                at=now,
                action="client.allowed",
                actor=person.email,
                content={
                    "client": code.client_id,
                    "client_name": request.client_name,
                    "redirect_host": host,
                    "scopes": sorted(code.scopes),
                    "session": str(code.family_id),
                },
            )
        )
        return redirect_to(request.redirect_uri, code=told, state=request.state, iss=self.issuer)

    async def deny(self, handle: str, *, signed_in: SignedIn) -> str:
        """Answer the request with a no; return where to send the browser.

        Raises:
            AuthorizationRefused: ``request_gone``.
        """
        request = await self._answered(handle, signed_in=signed_in)
        return self._turned_down(request, "access_denied", "the person did not allow it")

    async def _answered(self, handle: str, *, signed_in: SignedIn) -> AuthorizationRequest:
        request = await self.shown(handle, signed_in=signed_in)
        if not await self._records.end_request(
            _hash(handle), session_hash=_hash(signed_in.session_id)
        ):
            raise AuthorizationRefused("request_gone")
        return request

    def _turned_down(self, request: AuthorizationRequest, error: str, detail: str) -> str:
        return redirect_to(
            request.redirect_uri,
            error=error,
            error_description=detail,
            state=request.state,
            iss=self.issuer,
        )

    def _checked_resource(self, resources: Sequence[str]) -> str:
        if list(resources) != [self.resource]:
            raise AuthorizationRefused("invalid_target", resource=self.resource)
        return self.resource


def verifies(verifier: str, *, challenge: str) -> bool:
    """Return whether ``challenge`` was made of ``verifier`` by S256 (RFC 7636 section 4.6)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = base64.urlsafe_b64encode(_hash(verifier)).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())


def _checked_challenge(asked: Asked) -> str:
    if asked.response_type != "code":
        if asked.response_type is None:
            raise AuthorizationRefused("invalid_request", detail="response_type is missing")
        raise AuthorizationRefused("unsupported_response_type")
    if asked.state is not None and len(asked.state) > _LONGEST_STATE:
        raise AuthorizationRefused("invalid_request", detail="state is too long")
    if asked.challenge is None or _CHALLENGE.fullmatch(asked.challenge) is None:
        detail = "code_challenge is missing or no SHA-256"
        raise AuthorizationRefused("invalid_request", detail=detail)
    # RFC 7636 section 4.3: a method that is not named is "plain", which hides nothing.
    if asked.challenge_method != "S256":
        raise AuthorizationRefused("invalid_request", detail="code_challenge_method is not S256")
    return asked.challenge


def _checked_scopes(scope: str | None) -> frozenset[str]:
    asked = frozenset((scope or "").split()) - _TAKEN_FOR_GRANTED
    if beyond := sorted(asked - frozenset(GRANTABLE_SCOPES)):
        raise AuthorizationRefused("invalid_scope", scopes=[one[:60] for one in beyond[:10]])
    return asked or frozenset(ORDINARY_SCOPES)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
