"""The vault: credentials kept sealed, handed out as references, opened for one use at a time."""

import re
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID, uuid5

import structlog

from core.domain.credential import Credential
from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.errors import Forbidden, InvalidInput, Misconfigured, NotFound
from core.ports import Clock
from core.tools.faults import unstorable
from core.vault import Keyring, Resealed

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

RESERVED: Final = "sallyport/"
"""How the names of credentials begin that the platform uses itself."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}", re.ASCII)
# What no environment variable, header or file for people holds; a key in PEM has its line ends.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Shorter ones could not be told from other words where they must be blotted out of a result.
_SHORTEST: Final = 8
_LONGEST: Final = 65_536
_REFS: Final = UUID("5a11f0e7-0000-4000-8000-000000000003")
_BATCH: Final = 100


class CredentialRecords(Protocol):
    """Where credentials are kept, sealed."""

    async def keep(self, credential: Credential) -> None:
        """Keep a credential in place of the one with its id.

        Raises:
            NotFound: the owner is nobody of this tenant.
        """
        ...

    async def by_ref(self, tenant_id: TenantId, *, ref: CredentialRef) -> Credential | None:
        """Return the tenant's credential of that reference."""
        ...

    async def for_person(
        self, tenant_id: TenantId, *, name: str, person: PrincipalId
    ) -> Credential | None:
        """Return the person's own credential of that name, else the company's."""
        ...

    async def remove(self, tenant_id: TenantId, *, ref: CredentialRef) -> bool:
        """Forget a credential; return whether it was there."""
        ...

    async def page(
        self,
        tenant_id: TenantId,
        *,
        after: CredentialRef | None,
        limit: int,
        not_under: str | None = None,
    ) -> tuple[Credential, ...]:
        """Return the tenant's credentials by id, those behind ``after``.

        Only those sealed under another key, where ``not_under`` names one.
        """
        ...

    async def reseal(self, was: Credential, *, sealed: bytes, key_id: str) -> bool:
        """Seal one under another key; return whether it was still as ``was`` has it."""
        ...


class StoredVault:
    """The Vault port over records and a keyring.

    Nothing that was opened is kept: every use reads and opens anew, so that what is replaced,
    removed or expired is so at once, in every process.
    """

    def __init__(self, records: CredentialRecords, *, keyring: Keyring, clock: Clock) -> None:
        """Take where credentials are kept, and what seals them."""
        self._records = records
        self._keyring = keyring
        self._clock = clock

    async def put(
        self,
        tenant_id: TenantId,
        *,
        name: str,
        secret: str,
        owner: PrincipalId | None = None,
        expires_at: datetime | None = None,
    ) -> CredentialRef:
        """Keep a credential, in place of one so named; see the port.

        Raises:
            InvalidInput: ``invalid_credential_name``, ``invalid_secret``, ``unstorable_secret``.
            NotFound: the owner is nobody of this tenant.
            Misconfigured: ``master_key_missing``.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidInput("invalid_credential_name")
        ref = _ref(tenant_id, owner=owner, name=name)
        context = _context(tenant_id, owner=owner, ref=ref, name=name)
        sealed = self._keyring.seal(_bytes(secret), context=context)
        now = self._clock.now()
        await self._records.keep(
            Credential(
                id=ref,
                tenant_id=tenant_id,
                name=name,
                owner=owner,
                sealed=sealed,
                key_id=self._keyring.key_id_of(sealed),
                expires_at=expires_at,
                created_at=now,
                changed_at=now,
            )
        )
        return ref

    async def reveal(self, tenant_id: TenantId, *, ref: CredentialRef) -> str:
        """Return the secret, for the one adapter that sends it on; see the port.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``.
            Misconfigured: ``master_key_unknown``, ``master_key_missing``.
        """
        return self._opened(await self._records.by_ref(tenant_id, ref=ref), name=str(ref))

    async def reveal_to(self, tenant_id: TenantId, *, name: str, person: PrincipalId) -> str:
        """Return the person's own secret of that name, else the company's; never another person's.

        Where their own has expired the company's is not taken instead: it may do more than theirs.
        What is ``RESERVED`` is no tool's.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``.
            Misconfigured: ``master_key_unknown``, ``master_key_missing``.
        """
        if name.startswith(RESERVED):
            raise NotFound("credential_missing", name=name[:200])
        found = await self._records.for_person(tenant_id, name=name, person=person)
        return self._opened(found, name=name)

    async def reveal_own(self, tenant_id: TenantId, *, name: str, owner: PrincipalId) -> str:
        """Return a person's secret of that name, what is ``RESERVED`` too; never the company's.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``.
            Misconfigured: ``master_key_unknown``, ``master_key_missing``.
        """
        ref = _ref(tenant_id, owner=owner, name=name)
        return self._opened(await self._records.by_ref(tenant_id, ref=ref), name=name)

    async def remove(
        self, tenant_id: TenantId, *, name: str, owner: PrincipalId | None = None
    ) -> None:
        """Forget a credential.

        Raises:
            NotFound: ``credential_missing``.
        """
        ref = _ref(tenant_id, owner=owner, name=name)
        if not await self._records.remove(tenant_id, ref=ref):
            raise NotFound("credential_missing", name=name[:200])

    async def page(
        self, tenant_id: TenantId, *, after: CredentialRef | None = None, limit: int = 100
    ) -> Sequence[Credential]:
        """Return the tenant's credentials by id, those behind ``after``; 1000 at most."""
        return await self._records.page(tenant_id, after=after, limit=limit)

    async def reseal(self, tenant_id: TenantId) -> Resealed:
        """Seal under the newest key whatever of this tenant is not, one credential at a time.

        What no key opens is left as it is, and counted. One that is replaced meanwhile is sealed
        under the newest key already.

        Raises:
            Misconfigured: ``master_key_missing``.
        """
        newest = self._keyring.newest
        total = Resealed()
        async for was in self._older(tenant_id, than=newest):
            context = _context_of(was)
            try:
                sealed = self._keyring.reseal(was.sealed, context=context)
            except Misconfigured as error:
                _log.error(
                    "credential.unreadable",
                    tenant_id=str(tenant_id),
                    name=was.name,
                    code=error.code,
                )
                total += Resealed(unreadable=1)
                continue
            if sealed is not None:
                key_id = self._keyring.key_id_of(sealed)
                done = await self._records.reseal(was, sealed=sealed, key_id=key_id)
                total += Resealed(resealed=int(done))
        return total

    async def _older(self, tenant_id: TenantId, *, than: str) -> AsyncGenerator[Credential]:
        after: CredentialRef | None = None
        while page := await self._records.page(
            tenant_id, after=after, limit=_BATCH, not_under=than
        ):
            for credential in page:
                yield credential
            after = page[-1].id

    def _opened(self, credential: Credential | None, *, name: str) -> str:
        if credential is None:
            raise NotFound("credential_missing", name=name[:200])
        if credential.expires_at is not None and credential.expires_at <= self._clock.now():
            raise Forbidden("credential_expired", name=credential.name)
        context = _context_of(credential)
        return self._keyring.open(credential.sealed, context=context).decode()


def _bytes(secret: str) -> bytes:
    """Return the secret as it is sealed; what is wrong with it is said without repeating it."""
    if unstorable(secret) or _CONTROL.search(secret):
        raise InvalidInput("unstorable_secret")
    plaintext = secret.encode()
    if len(secret) < _SHORTEST or not 0 < len(plaintext) <= _LONGEST:
        raise InvalidInput("invalid_secret", shortest=_SHORTEST, longest=_LONGEST)
    return plaintext


def _ref(tenant_id: TenantId, *, owner: PrincipalId | None, name: str) -> CredentialRef:
    """Return the id of the credential of that name: two that set it at once set the same one."""
    return CredentialRef(uuid5(_REFS, f"{tenant_id}/{owner or ''}/{name}"))


def _context(
    tenant_id: TenantId, *, owner: PrincipalId | None, ref: CredentialRef, name: str
) -> str:
    """Return what a sealed credential is bound to: in any other row it does not open."""
    return f"credential/{tenant_id}/{owner or ''}/{ref}/{name}"


def _context_of(credential: Credential) -> str:
    return _context(
        credential.tenant_id, owner=credential.owner, ref=credential.id, name=credential.name
    )
