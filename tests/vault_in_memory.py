"""The Vault port in memory, for tests of what is handed a reference."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.errors import Forbidden, NotFound
from core.ports import Clock

Place = tuple[TenantId, PrincipalId | None, str]


@dataclass(slots=True, kw_only=True)
class VaultInMemory:
    """Keeps secrets as they are: for tests only."""

    clock: Clock
    refs: dict[Place, CredentialRef] = field(default_factory=dict[Place, CredentialRef])
    kept: dict[tuple[TenantId, CredentialRef], tuple[str, datetime | None]] = field(
        default_factory=dict[tuple[TenantId, CredentialRef], tuple[str, datetime | None]]
    )

    async def put(
        self,
        tenant_id: TenantId,
        *,
        name: str,
        secret: str,
        owner: PrincipalId | None = None,
        expires_at: datetime | None = None,
    ) -> CredentialRef:
        ref = self.refs.setdefault((tenant_id, owner, name), CredentialRef(uuid4()))
        self.kept[tenant_id, ref] = secret, expires_at
        return ref

    async def reveal(self, tenant_id: TenantId, *, ref: CredentialRef) -> str:
        if (tenant_id, ref) not in self.kept:
            raise NotFound("credential_missing", name=str(ref))
        secret, expires_at = self.kept[tenant_id, ref]
        if expires_at is not None and expires_at <= self.clock.now():
            raise Forbidden("credential_expired", name=str(ref))
        return secret
