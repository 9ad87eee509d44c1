"""What the vault keeps of a credential, which is never the secret itself."""

from dataclasses import dataclass, field
from datetime import datetime

from core.domain.ids import CredentialRef, PrincipalId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential of a tenant, or of one of its people where there is an ``owner``.

    ``sealed`` opens under the master key ``key_id`` and in this row's place only. ``owner_email``
    is there where the vault's list was asked.
    """

    id: CredentialRef
    tenant_id: TenantId
    name: str
    owner: PrincipalId | None
    sealed: bytes = field(repr=False)
    key_id: str
    expires_at: datetime | None
    created_at: datetime
    changed_at: datetime
    owner_email: str | None = None
