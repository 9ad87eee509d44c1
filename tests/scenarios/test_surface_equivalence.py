"""One core, whoever asks and wherever: a task has the same verdicts, cost and audit from each."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from sqlalchemy import select

from bots import actions
from core.domain.ids import RunId
from core.domain.principal import Audience, Caller
from core.domain.run import Run
from core.store.tables import audit_records
from tests.databases import Urls
from tests.loopback import http_client
from tests.premises import Premises, premises_on
from tests.slack import office as slack_office
from tests.slack import web_api, workspace
from tests.slack.workspace import Slack
from tests.teams import connector, conversations
from tests.teams import office as teams_office
from tests.teams.connector import Connector
from tests.teams.login import signing_in
from tests.waiting import until
from tests.world import Company, World

Json = dict[str, Any]  # Any: what each surface answers

TASK = "Tidy up, please."
SCRIPT = """
scripts:
  - match: Tidy up
    turns:
      - say: I look around.
        calls:
          - {tool: search_documents, arguments: {query: draft}}
          - {tool: restore_task, arguments: {task_id: 00000000-0000-4000-8000-000000000001}}
      - calls: [{tool: list_projects}]
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Short-lived
      - calls:
          - tool: delete_task
            arguments: {task_id: "${{ results.create_task.task.id }}"}
      - {say: It is tidy.}
"""

ACTIONS = [
    "run.started",
    "call.refused",
    *["call.executed"] * 3,
    "approval.asked",
    "approval.decided",
    "call.executed",
    "run.ended",
]

# What may differ: ids, times, digests over ids, and the name of the surface.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
_LASTED = re.compile(r'("(?:active|duration)_ms": )\d+')
_SURFACE = re.compile(r'"(?:slack|teams|mcp|api)"')


def told(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return JSON in which ids are numbered in the order in which they come."""
    ids: dict[str, str] = {}
    text = json.dumps(value, default=str, sort_keys=True)
    text = _UUID.sub(lambda found: ids.setdefault(found[0], f"id {len(ids)}"), text)
    text = _LASTED.sub(r"\1 0", text)
    text = _SURFACE.sub('"surface"', _TIME.sub("time", _DIGEST.sub("digest", text)))
    return json.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A company whose people have the agent in Slack and in Teams."""

    premises: Premises
    slack: slack_office.Office
    teams: teams_office.Office

    @property
    def url(self) -> str:
        return self.premises.url

    @property
    def world(self) -> World:
        return self.premises.world

    @property
    def company(self) -> Company:
        return self.premises.company


@asynccontextmanager
async def office_on(urls: Urls, folder: Path) -> AsyncGenerator[Office]:
    """Serve a world whose company has the app in both."""
    async with (
        signing_in() as login,
        connector.serving(Connector(login)) as bot_connector,
        web_api.serving(Slack()) as slack,
        premises_on(
            urls,
            folder,
            script=SCRIPT,
            slack=slack_office.slack_settings(slack),
            teams=teams_office.teams_settings(login),
        ) as premises,
    ):
        yield Office(
            premises=premises,
            slack=await slack_office.office_in(premises, slack=slack),
            teams=await teams_office.office_in(premises, connector=bot_connector, login=login),
        )


class Seen:
    """What came of the same task, started by Alice and approved by Bob on one surface."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._app = office.world.app

    async def of(self, run_id: RunId) -> Mapping[str, Any]:
        asked = await self._office.world.assembly.approvals.of_run(
            self._office.company.tenant.id, run_id=run_id
        )
        approvals = [asdict(one) for one in asked]
        run = asdict(await self._run(run_id))
        # Where it is answered, and how long things took.
        assert (run.pop("conversation") is not None) == (run["via"] in {"slack", "teams"})
        return told({"run": run, "approvals": approvals, "audit": await self._audit(run_id)})

    async def waits(self, run_id: RunId) -> None:
        async def is_waiting() -> bool:
            return (await self._run(run_id)).status == "awaiting_approval"

        await until(is_waiting)

    async def asks(self, *, other_than: RunId | None) -> tuple[RunId, str]:
        """Return the next run, and the id of the question that it waits for."""

        async def is_there() -> bool:
            return await newest(self._office) != other_than

        await until(is_there)
        run_id = await newest(self._office)
        assert run_id is not None
        await self.waits(run_id)
        (asked,) = await self._office.world.assembly.approvals.of_run(
            self._office.company.tenant.id, run_id=run_id
        )
        return run_id, str(asked.id)

    async def ends(self, run_id: RunId) -> None:
        async def is_over() -> bool:
            return (await self._run(run_id)).status.is_final

        await until(is_over)

    async def _run(self, run_id: RunId) -> Run:
        return await self._app.run(self._office.company.member, run_id=run_id)

    async def _audit(self, run_id: RunId) -> list[Json]:
        tenant_id = self._office.company.tenant.id
        kept = audit_records.c
        query = (
            select(kept.action, kept.actor, kept.tool, kept.content)
            .where(kept.tenant_id == tenant_id, kept.run_id == run_id)
            .order_by(kept.seq)
        )
        async with self._office.world.assembly.database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return [
            {"action": action, "actor": actor, "tool": tool, "content": json.loads(content)}
            for action, actor, tool, content in (tuple(row) for row in rows)
        ]


async def by_rest(office: Office, seen: Seen) -> RunId:
    run_id = RunId((await asked(office, office.company.member, "/runs", {"task": TASK}))["run_id"])
    await seen.waits(run_id)
    await approved(office, run_id)
    return run_id


async def asked(office: Office, who: Caller, path: str, body: object = None) -> Json:
    token = await office.world.token(who.principal, audience=Audience.API)
    async with http_client(headers={"authorization": f"Bearer {token}"}, timeout=30) as http:
        url = f"{office.url}/api/v1{path}"
        answer = await (http.get(url) if body is None else http.post(url, json=body))
        assert answer.is_success, answer.text
        return answer.json()


async def approved(office: Office, run_id: RunId) -> None:
    bob = office.company.approver
    (waiting,) = [
        one
        for one in (await asked(office, bob, "/approvals?state=pending"))["items"]
        if one["run_id"] == str(run_id)
    ]
    decision = {"decision": "approve", "digest": waiting["digest"]}
    await asked(office, bob, f"/approvals/{waiting['id']}/decision", decision)


async def by_mcp(office: Office, seen: Seen) -> RunId:
    token = await office.world.token(office.company.member.principal, audience=Audience.MCP)
    async with (
        http_client(headers={"authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{office.url}/mcp", http_client=http), mode="auto") as mcp,
    ):
        answer = await mcp.call_tool("start_run", {"task": TASK})
    assert answer.structured_content is not None
    run_id = RunId(answer.structured_content["run_id"])
    await seen.waits(run_id)
    await approved(office, run_id)
    return run_id


async def by_slack(office: Office, seen: Seen) -> RunId:
    slack, before = office.slack, await newest(office)
    await slack.people.says(TASK, by=workspace.ALICE)
    run_id, question = await seen.asks(other_than=before)
    bobs = slack.at.im(workspace.BOB).id
    card = await slack.shown(lambda one: one.channel == bobs and question in str(one.blocks))
    await slack.people.clicks(card, actions.APPROVE, by=workspace.BOB)
    return run_id


async def by_teams(office: Office, seen: Seen) -> RunId:
    teams, before = office.teams, await newest(office)
    await teams.people.says(TASK, by=conversations.ALICE)
    run_id, question = await seen.asks(other_than=before)
    bobs = teams.chat_of(conversations.BOB)
    card = await teams.shown(lambda one: question in one.words, at=bobs)
    await teams.people.presses(card, actions.APPROVE, by=conversations.BOB)
    return run_id


async def newest(office: Office) -> RunId | None:
    runs = await office.world.app.runs(office.company.member, before=None, limit=1)
    return runs[0].id if runs else None


async def test_a_task_comes_to_the_same_by_rest_by_mcp_in_slack_and_in_teams(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path) as office:
        seen, found = Seen(office), dict[str, Mapping[str, Any]]()
        for start in (by_slack, by_teams, by_rest, by_mcp):
            run_id = await start(office, seen)
            await seen.ends(run_id)
            found[start.__name__] = await seen.of(run_id)
    slack = found["by_slack"]
    assert [one["state"] for one in slack["approvals"]] == ["approved"]
    assert [one["action"] for one in slack["audit"]] == ACTIONS
    assert slack["run"]["cost_micros"] > 0
    for other in ("by_teams", "by_rest", "by_mcp"):
        assert found[other] == slack
