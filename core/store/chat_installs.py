"""Where installations under way are kept, by digest: each is taken once, in its own browser."""

from datetime import datetime

from sqlalchemy import delete, insert

from core.domain.chat import InstallState, Surface
from core.domain.ids import PrincipalId, TenantId
from core.store.chat_tables import chat_install_states
from core.store.database import Database
from core.store.directory import Directory
from core.store.rows import AnyRow


class StoredInstallStates:
    """Installations under way, on PostgreSQL."""

    def __init__(self, database: Database, *, directory: Directory) -> None:
        """Take the database, and the directory that says whose a digest is."""
        self._database = database
        self._directory = directory

    async def keep(self, state: InstallState, *, state_hash: bytes, now: datetime) -> None:
        """Keep an installation that leaves; those that never came back are forgotten."""
        states = chat_install_states.c
        async with self._database.for_tenant(state.tenant_id) as connection:
            await connection.execute(
                delete(chat_install_states).where(
                    states.tenant_id == state.tenant_id, states.expires_at <= now
                )
            )
            await connection.execute(
                insert(chat_install_states).values(
                    tenant_id=state.tenant_id,
                    state_hash=state_hash,
                    browser_hash=state.browser_hash,
                    surface=state.surface.value,
                    principal_id=state.principal_id,
                    expires_at=state.expires_at,
                )
            )

    async def take(
        self,
        surface: Surface,
        *,
        state_hash: bytes,
        browser_hash: bytes,
        principal_id: PrincipalId,
        now: datetime,
    ) -> InstallState | None:
        """Return the installation that this person began in this browser, and forget it.

        Another browser or person that comes with the state leaves it untouched.
        """
        tenant_id = await self._directory.install_state(state_hash)
        if tenant_id is None:
            return None
        states = chat_install_states.c
        taken = (
            delete(chat_install_states)
            .where(
                states.tenant_id == tenant_id,
                states.state_hash == state_hash,
                states.browser_hash == browser_hash,
                states.surface == surface.value,
                states.principal_id == principal_id,
                states.expires_at > now,
            )
            .returning(*states)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(taken)).one_or_none()
        return _state(row) if row is not None else None


def _state(row: AnyRow) -> InstallState:
    return InstallState(
        tenant_id=TenantId(row.tenant_id),
        surface=Surface(row.surface),
        principal_id=PrincipalId(row.principal_id),
        browser_hash=row.browser_hash,
        expires_at=row.expires_at,
    )
