"""The seam to secrets: who seals them, and who keeps them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.domain.ids import CredentialRef, PrincipalId, TenantId


class Cipher(Protocol):
    """Keeps what must be read again, and by nobody else: credentials, private keys."""

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """Return ``plaintext`` sealed, under the newest key; ``context`` is bound to it."""
        ...

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Return what was sealed in the same ``context``.

        Raises:
            Misconfigured: ``master_key_unknown``: sealed under a key that is not there, or another
                context, or changed since.
        """
        ...


class Keyring(Cipher, Protocol):
    """A cipher whose keys follow one another, so that what is sealed must follow too."""

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        ...

    def key_id_of(self, sealed: bytes) -> str:
        """Return the id of the key that ``sealed`` was sealed under."""
        ...

    def reseal(self, sealed: bytes, *, context: str) -> bytes | None:
        """Return the same under the newest key, None where it is under that already.

        Raises:
            Misconfigured: ``master_key_unknown``, as ``open``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How many were sealed anew, and how many no key of ours opens: those are left alone."""

    resealed: int = 0
    unreadable: int = 0

    def __add__(self, other: "Resealed") -> "Resealed":
        """Return the sum of both."""
        return Resealed(
            resealed=self.resealed + other.resealed, unreadable=self.unreadable + other.unreadable
        )


class Resealable(Protocol):
    """Something that keeps sealed rows, and is told when the newest key is another one."""

    @property
    def noun(self) -> str:
        """What its rows are, as a report calls them: ``signing_keys``."""
        ...

    async def reseal(self) -> Resealed:
        """Seal under the newest key whatever is not, in small steps that are each kept.

        Broken off anywhere, it goes on where it was when it is called again.
        """
        ...


class Vault(Protocol):
    """Credentials of tenants and of people, handed out as references only."""

    async def put(
        self,
        tenant_id: TenantId,
        *,
        name: str,
        secret: str,
        owner: PrincipalId | None = None,
        expires_at: datetime | None = None,
    ) -> CredentialRef:
        """Keep a credential, in place of one so named; one person's where there is an ``owner``.

        The reference stays the same for as long as tenant, owner and name do.

        Raises:
            InvalidInput: ``invalid_credential_name``, ``invalid_secret``, ``unstorable_secret``.
            NotFound: the owner is nobody of this tenant.
        """
        ...

    async def reveal(self, tenant_id: TenantId, *, ref: CredentialRef) -> str:
        """Return the secret, for the one adapter that sends it on; it is never stored or logged.

        Raises:
            NotFound: ``credential_missing``: no such credential of this tenant.
            Forbidden: ``credential_expired``: it must be renewed, or its person sign in again.
        """
        ...
