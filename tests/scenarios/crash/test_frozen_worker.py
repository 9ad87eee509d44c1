"""A worker that froze and woke up after its run went on elsewhere writes and calls nothing."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.databases import Urls
from tests.scenarios.crash.fate import Moment
from tests.scenarios.crash.invariants import SCRIPT, Ledger, connect
from tests.scenarios.crash.processes import exit_of, is_stopped
from tests.scenarios.crash.scene import Scene, scene_on
from tests.waiting import until
from tests.world import Company

MOMENTS = (
    Moment(boundary="effect", when="before", nth=1),
    Moment(boundary="answer", when="before", nth=1),
    Moment(boundary="running", when="before", nth=1),
    Moment(boundary="settle", when="before", nth=1),
    Moment(boundary="ask", when="before", nth=1),
    Moment(boundary="park", when="before", nth=1),
    Moment(boundary="finish", when="before", nth=1),
)

_EVERYTHING = """
    select jsonb_build_object(
        'runs', (select jsonb_agg(to_jsonb(t)) from runs t where t.tenant_id = x.id),
        'calls', (select jsonb_agg(to_jsonb(t) order by t.id) from tool_calls t
                  where t.tenant_id = x.id),
        'steps', (select jsonb_agg(to_jsonb(t) order by t.number) from steps t
                  where t.tenant_id = x.id),
        'events', (select jsonb_agg(to_jsonb(t) order by t.seq) from run_events t
                   where t.tenant_id = x.id),
        'usage', (select jsonb_agg(to_jsonb(t) order by t.id) from usage_events t
                  where t.tenant_id = x.id),
        'approvals', (select jsonb_agg(to_jsonb(t) order by t.id) from approvals t
                      where t.tenant_id = x.id),
        'audit', (select count(*) from audit_records t where t.tenant_id = x.id),
        'effects', (select jsonb_agg(to_jsonb(t) order by t.key) from tool_effects t
                    where t.tenant_id = x.id),
        'tasks', (select jsonb_agg(to_jsonb(t) order by t.id) from tasks t
                  where t.tenant_id = x.id))::text
    from tenants x where x.id = %s
"""


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def test_who_wakes_up_too_late_writes_nothing_and_calls_nothing(scene: Scene) -> None:
    companies = [await scene.world.company(str(moment).replace(" ", "-")) for moment in MOMENTS]
    frozen = [
        scene.processes.start(replace(scene.journey(company), moment=moment, strike=signal.SIGSTOP))
        for company, moment in zip(companies, MOMENTS, strict=True)
    ]

    async def all_are_stopped() -> bool:
        return all(map(is_stopped, frozen))

    await until(all_are_stopped, seconds=60)
    await scene.processes.start_ready(scene.life)
    async with asyncio.TaskGroup() as group:
        for company in companies:
            group.create_task(scene.approve_until_ended(company))
    before = [_everything(scene, company) for company in companies]

    for process in frozen:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
    # Each was to see its own run to the end: it does, by reading that another one did.
    codes = [await exit_of(process) for process in frozen]

    assert codes == [0] * len(frozen)
    assert len(scene.diary.read(what="woke")) == len(MOMENTS)
    assert [_everything(scene, company) for company in companies] == before
    lost = _lost(scene)
    for company, moment in zip(companies, MOMENTS, strict=True):
        assert str(company.tenant.id) in lost, f"nobody was told that {moment} was too late"
        assert await scene.problems(company) == []


def _everything(scene: Scene, company: Company) -> object:
    with connect(scene.urls.privileged) as connection:
        return Ledger(connection, tenant_id=company.tenant.id).one(_EVERYTHING)


def _lost(scene: Scene) -> set[str]:
    """Return the tenants whose driver was told that it had lost its lease."""
    lines = (scene.life.folder / "log.txt").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    return {line["tenant_id"] for line in said if line["event"] == "segment.lease_lost"}
