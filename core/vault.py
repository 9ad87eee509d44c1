"""The seam to secrets: who seals them, and who keeps them."""

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
        """Keep a credential, in place of one so named; one person's where there is an ``owner``."""
        ...

    async def reveal(self, tenant_id: TenantId, *, ref: CredentialRef) -> str:
        """Return the secret, for the one adapter that sends it on; it is never stored or logged.

        Raises:
            NotFound: ``credential_missing``: no such credential of this tenant.
            Forbidden: ``credential_expired``: it must be renewed, or its person sign in again.
        """
        ...
