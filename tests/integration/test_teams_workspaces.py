"""Entra tenants: allowed without a token, one company's alone."""

from datetime import datetime

import pytest

from core.domain.audit import AuditRecord, audit_record
from core.domain.chat import Installation, Surface, Workspace, WorkspaceState
from core.domain.principal import Principal, Role
from core.errors import Conflict, NotFound
from core.identity.master import MasterKeys, NoMasterKey
from core.store.chat_workspaces import StoredWorkspaces
from core.store.database import Database
from core.store.directory import Directory
from core.vault import Resealed
from tests.builders import SteadyClock, make_person, make_tenant

ENTRA = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0001"


@pytest.fixture
async def carol(database: Database) -> Principal:
    return await make_person(database, await make_tenant(database), "carol@acme.test", Role.ADMIN)


@pytest.fixture
def workspaces(database: Database) -> StoredWorkspaces:
    """Where nothing is sealed, no master key is needed."""
    return StoredWorkspaces(database, directory=Directory(database), keyring=NoMasterKey())


def a_record(by: Principal, *, at: datetime) -> AuditRecord:
    return audit_record(by.tenant_id, at=at, action="teams.allowed", actor=by.email, content={})


async def allowed(workspaces: StoredWorkspaces, by: Principal, *, at: datetime) -> Workspace:
    return await workspaces.keep(
        by.tenant_id,
        installation=Installation(
            surface=Surface.TEAMS,
            workspace=ENTRA,
            name="Acme",
            app="app",
            bot_user="28:app",
            scopes=(),
            token="",
        ),
        installed_by=by.id,
        at=at,
        audit=a_record(by, at=at),
    )


async def test_an_allowed_tenant_is_active_and_has_no_token(
    workspaces: StoredWorkspaces, carol: Principal, clock: SteadyClock
) -> None:
    kept = await allowed(workspaces, carol, at=clock.now())
    assert (kept.sealed, kept.is_active) == (None, True)
    assert await workspaces.find(Surface.TEAMS, workspace=ENTRA) == kept
    with pytest.raises(NotFound, match="workspace_left"):
        workspaces.tokens(kept)


async def test_master_keys_have_nothing_to_do_with_it(
    workspaces: StoredWorkspaces, carol: Principal, clock: SteadyClock, database: Database
) -> None:
    await allowed(workspaces, carol, at=clock.now())
    rotating = StoredWorkspaces(
        database, directory=Directory(database), keyring=MasterKeys([b"k" * 32])
    )
    assert await rotating.reseal() == Resealed()


async def test_a_tenant_is_one_company_s_even_after_it_was_forgotten(
    workspaces: StoredWorkspaces, carol: Principal, clock: SteadyClock, database: Database
) -> None:
    kept, now = await allowed(workspaces, carol, at=clock.now()), clock.now()
    dave = await make_person(
        database, await make_tenant(database, "globex"), "dave@globex.test", Role.ADMIN
    )
    state = WorkspaceState.UNINSTALLED
    left = await workspaces.left(
        kept, state=state, before=now, at=now, audit=a_record(carol, at=now)
    )
    assert left
    found = await workspaces.find(Surface.TEAMS, workspace=ENTRA)
    assert found is not None
    assert not found.is_active
    with pytest.raises(Conflict, match="workspace_taken"):
        await allowed(workspaces, dave, at=now)
    again = await allowed(workspaces, carol, at=now)
    assert again.is_active
    assert await workspaces.remove(again, audit=a_record(carol, at=now))
    assert (await allowed(workspaces, dave, at=now)).tenant_id == dave.tenant_id
