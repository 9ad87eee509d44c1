"""What crash tests have in common: tenants, a front door without a worker, and processes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.app import App
from core.domain.principal import Tenant
from core.errors import Unavailable
from core.identity.keys import TrustedKeys
from core.store.sealing import Sealer
from tests.databases import Urls
from tests.scenarios.crash.diary import Diary
from tests.scenarios.crash.invariants import Ledger, connect, task_of
from tests.scenarios.crash.mortal import MortalAssembly
from tests.scenarios.crash.processes import (
    Journey,
    Life,
    Processes,
    approve_pending,
    processes,
)
from tests.world import Company, World, world_on

_LOOK_SECONDS = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One database; ``door`` answers people and drives nothing, processes drive."""

    world: World
    door: App
    life: Life
    processes: Processes
    urls: Urls

    @property
    def diary(self) -> Diary:
        return self.life.diary

    def journey(self, company: Company) -> Life:
        """Return the life of a worker that starts the tenant's run and decides about it."""
        tenant_id = company.tenant.id
        return replace(
            self.life,
            journey=Journey(
                tenant_id=tenant_id,
                member=company.member.principal.id,
                approver=company.approver.principal.id,
                task=task_of(tenant_id),
            ),
        )

    async def approve_until_ended(self, company: Company, *, seconds: float = 60.0) -> None:
        """Be a patient approver until the tenant's runs have ended, or that time is over."""
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            try:
                await approve_pending(self.door, company.approver)
                runs = await self.door.runs(company.admin, before=None, limit=50)
            except Unavailable:
                runs = ()
            if runs and all(run.status.is_final for run in runs):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def problems(self, company: Company) -> list[str]:
        """Return what is wrong with the tenant's only run."""
        tenant_id = company.tenant.id
        with connect(self.urls.privileged) as connection:
            ledger = Ledger(connection, tenant_id=tenant_id)
            asked = self.diary.read(what="asked", about=task_of(tenant_id))
            return [*ledger.problems(asked=asked), *await self.audit_problems(company.tenant)]

    async def audit_problems(self, tenant: Tenant) -> list[str]:
        """Seal what is not sealed yet and return what an auditor would object to."""
        assembly = self.world.assembly
        sealer = Sealer(
            assembly.database,
            directory=assembly.directory,
            signer=assembly.signer,
            clock=assembly.clock,
        )
        await sealer.seal_due()
        found = await assembly.audit.verify(
            tenant.id, keys=TrustedKeys([assembly.signer.public_pem()])
        )
        return [str(problem) for problem in found.problems]


@asynccontextmanager
async def scene_on(
    urls: Urls, folder: Path, *, script: str, kind: type[MortalAssembly] = MortalAssembly
) -> AsyncGenerator[Scene]:
    """Set a scene on a test's database."""
    async with world_on(urls, folder, script=script) as world:
        path = world.assembly.settings.models.script
        assert path is not None
        life = Life(url=urls.app, folder=folder, script=path, kind=kind)
        with processes() as started:
            async with world.assembly.serving() as door:
                yield Scene(world=world, door=door, life=life, processes=started, urls=urls)
