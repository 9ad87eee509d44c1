"""Workspaces and their tokens: sealed, renewed once, and wiped at the end."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import select

from core.domain.audit import AuditRecord, audit_record
from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.principal import Role
from core.errors import Conflict, Misconfigured, NotFound, Unavailable
from core.identity.master import MasterKeys
from core.store.database import Database
from core.store.tables import audit_records
from core.vault import Resealed
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.slack_api import SlackApi, slack_here
from tests.slack_workspaces import KEY, Branch, branch_on, parts_on


@pytest.fixture
async def slack() -> AsyncGenerator[SlackApi]:
    async with slack_here() as here:
        yield here


@pytest.fixture
async def branch(database: Database, slack: SlackApi, clock: SteadyClock) -> AsyncGenerator[Branch]:
    async with branch_on(database, slack=slack, clock=clock) as made:
        yield made


def a_record(branch: Branch, action: str = "slack.tested") -> AuditRecord:
    return audit_record(
        branch.admin.tenant_id, at=branch.clock.now(), action=action, actor="operator", content={}
    )


async def audited(database: Database, branch: Branch) -> list[str]:
    query = select(audit_records.c.action).order_by(audit_records.c.seq)
    async with database.for_tenant(branch.admin.tenant_id) as connection:
        return list((await connection.execute(query)).scalars())


async def test_two_companies_that_install_at_once_leave_it_to_one(
    branch: Branch, database: Database
) -> None:
    globex = await make_tenant(database, "globex")
    dave = await make_person(database, globex, "dave@globex.test", Role.ADMIN)
    came = await asyncio.gather(
        branch.installed(), branch.installed(by=dave), return_exceptions=True
    )
    assert {type(one) for one in came} == {Workspace, Conflict}
    assert await branch.workspaces.find(Surface.SLACK, workspace="T0002") is None


async def test_what_is_sealed_opens_in_its_own_row_only(branch: Branch) -> None:
    one, other = await branch.installed("T0001"), await branch.installed("T0002")
    moved = Workspace(
        **{
            name: getattr(other if name == "sealed" else one, name)
            for name in Workspace.__dataclass_fields__
        }
    )
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        branch.workspaces.tokens(moved)


async def test_all_is_sealed_anew_under_a_new_master_key(
    branch: Branch, database: Database, slack: SlackApi
) -> None:
    workspace = await branch.installed()
    lost = MasterKeys([b"l" * 32])
    theirs = parts_on(database, slack=slack, clock=branch.clock, keyring=lost).workspaces
    assert await theirs.reseal() == Resealed(unreadable=1)
    both = MasterKeys([b"n" * 32, KEY])
    rotated = parts_on(database, slack=slack, clock=branch.clock, keyring=both).workspaces
    assert await rotated.reseal() == Resealed(resealed=1)
    assert await rotated.reseal() == Resealed()
    newest = MasterKeys([b"n" * 32])
    after = parts_on(database, slack=slack, clock=branch.clock, keyring=newest).workspaces
    now = await branch.now(workspace)
    assert after.tokens(now) == branch.workspaces.tokens(workspace)


async def test_a_client_speaks_with_the_workspace_s_token(branch: Branch) -> None:
    workspace = await branch.installed(token="xoxb-one")
    client = await branch.parts.clients.client_for(workspace)
    answer = await client.api_call("auth.test")  # pyright: ignore[reportUnknownMemberType] - untyped
    assert answer["token"] == "Bearer xoxb-one"
    assert await branch.parts.clients.client_for(await branch.now(workspace)) is client


async def test_a_client_takes_no_proxy_from_the_environment(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = await branch.parts.clients.client_for(await branch.installed())
    answer = await client.api_call("auth.test")  # pyright: ignore[reportUnknownMemberType] - untyped
    assert answer["ok"]


async def test_other_tokens_are_another_client(branch: Branch) -> None:
    before = await branch.parts.clients.client_for(await branch.installed(token="xoxb-one"))
    after = await branch.parts.clients.client_for(await branch.installed(token="xoxb-two"))
    assert (before.token, after.token) == ("xoxb-one", "xoxb-two")


async def test_a_rate_limit_is_not_waited_for_inside_a_client(branch: Branch) -> None:
    client = await branch.parts.clients.client_for(await branch.installed())
    assert [type(one).__name__ for one in client.retry_handlers] == [
        "AsyncConnectionErrorRetryHandler"
    ]


async def test_a_token_is_renewed_two_hours_before_its_end_and_no_earlier(branch: Branch) -> None:
    workspace = await branch.installed()
    branch.clock.move(seconds=10 * 3600 - 1)
    await branch.parts.clients.client_for(workspace)
    assert branch.slack.asked == []
    branch.clock.move(seconds=1)
    client = await branch.parts.clients.client_for(workspace)
    assert branch.slack.methods() == ["oauth.v2.access"]
    now = await branch.now(workspace)
    assert client.token == branch.workspaces.tokens(now).token
    assert client.token != branch.workspaces.tokens(workspace).token
    assert now.token_expires_at == branch.clock.now() + timedelta(seconds=43_200)
    # Whoever still holds the workspace as it was is given the new one too.
    assert await branch.parts.clients.client_for(workspace) is client
    assert len(branch.slack.asked) == 1


async def test_two_processes_that_renew_at_once_spend_the_refresh_token_once(
    branch: Branch, urls: Urls
) -> None:
    workspace = await branch.installed()
    branch.clock.move(seconds=11 * 3600)
    elsewhere = Database(urls.app, pool_size=5)
    async with parts_on(elsewhere, slack=branch.slack, clock=branch.clock) as other:
        clients = await asyncio.gather(
            *(parts.clients.client_for(workspace) for parts in (branch.parts, other) * 5)
        )
    await elsewhere.close()
    assert branch.slack.methods() == ["oauth.v2.access"]
    now = await branch.now(workspace)
    assert now.is_active
    good = {branch.workspaces.tokens(one).token for one in (workspace, now)}
    assert {client.token for client in clients} <= good
    assert (await branch.parts.clients.client_for(now)).token in good


async def test_a_token_sealed_anew_while_it_is_renewed_is_not_lost(
    branch: Branch, database: Database
) -> None:
    workspace = await branch.installed()
    claim = await branch.workspaces.begin_renewal(workspace)
    assert claim is not None
    both = MasterKeys([b"n" * 32, KEY])
    rotated = parts_on(database, slack=branch.slack, clock=branch.clock, keyring=both).workspaces
    assert await rotated.reseal() == Resealed(resealed=1)
    tokens = branch.workspaces.tokens(workspace)
    kept = await branch.workspaces.renewed(
        workspace, claim=claim, tokens=tokens, expires_at=None, at=branch.clock.now()
    )
    assert kept


async def test_tokens_renewed_for_an_installation_that_is_no_more_are_not_kept(
    branch: Branch,
) -> None:
    workspace = await branch.installed()
    claim = await branch.workspaces.begin_renewal(workspace)
    assert claim is not None
    again = await branch.installed(token="xoxb-again")
    tokens = branch.workspaces.tokens(workspace)
    kept = await branch.workspaces.renewed(
        workspace, claim=claim, tokens=tokens, expires_at=None, at=branch.clock.now()
    )
    assert not kept
    assert (await branch.now(workspace)).sealed == again.sealed


async def test_a_revoked_refresh_token_ends_it(branch: Branch, database: Database) -> None:
    workspace = await branch.installed()
    branch.slack.refresh_tokens.clear()
    branch.clock.move(seconds=11 * 3600)
    with pytest.raises(NotFound, match="workspace_left"):
        await branch.parts.clients.client_for(workspace)
    now = await branch.now(workspace)
    assert (now.state, now.sealed) == (WorkspaceState.TOKEN_REVOKED, None)
    assert await audited(database, branch) == ["slack.installed", "slack.token_revoked"]


async def test_a_slack_that_is_down_leaves_a_token_that_is_still_good(branch: Branch) -> None:
    workspace = await branch.installed()
    branch.slack.down = True
    branch.clock.move(seconds=11 * 3600)
    old = branch.workspaces.tokens(workspace).token
    for _ in range(3):
        assert (await branch.parts.clients.client_for(workspace)).token == old
    # Who could not renew it keeps the claim for a while: Slack is not asked again at once.
    assert len(branch.slack.asked) == 1
    branch.clock.move(seconds=3600)
    with pytest.raises(Unavailable, match="slack_unavailable"):
        await branch.parts.clients.client_for(workspace)
    assert (await branch.now(workspace)).is_active


async def test_a_token_that_does_not_expire_is_never_renewed(branch: Branch) -> None:
    workspace = await branch.installed(refreshed=False)
    branch.clock.move(seconds=10**8)
    await branch.parts.clients.client_for(workspace)
    assert branch.slack.asked == []


async def test_an_uninstalled_app_leaves_no_token(branch: Branch, database: Database) -> None:
    workspace = await branch.installed()
    at = branch.clock.now() + timedelta(seconds=5)
    assert await branch.parts.departures.app_uninstalled("T0001", at=at)
    now = await branch.now(workspace)
    assert (now.state, now.sealed, now.token_expires_at) == (
        WorkspaceState.UNINSTALLED,
        None,
        None,
    )
    with pytest.raises(NotFound, match="workspace_left"):
        await branch.parts.clients.client_for(now)
    with pytest.raises(NotFound, match="workspace_left"):
        branch.workspaces.tokens(now)
    # Slack tells it twice, and of the tokens too.
    assert not await branch.parts.departures.app_uninstalled("T0001", at=at)
    revoked = {"bot": ["U0BOT"], "oauth": []}
    assert not await branch.parts.departures.tokens_revoked("T0001", tokens=revoked, at=at)
    assert await audited(database, branch) == ["slack.installed", "slack.uninstalled"]


async def test_a_late_word_of_an_uninstallation_spares_what_was_installed_since(
    branch: Branch,
) -> None:
    at = branch.clock.now()
    branch.clock.move(seconds=60)
    workspace = await branch.installed()
    assert not await branch.parts.departures.app_uninstalled("T0001", at=at)
    assert (await branch.now(workspace)).is_active


async def test_only_our_own_bot_s_token_counts_among_the_revoked(branch: Branch) -> None:
    workspace = await branch.installed()
    departures, at = branch.parts.departures, branch.clock.now()
    for tokens in ({"oauth": ["U0BOT"]}, {"bot": ["U0OTHER"]}, {"bot": None}, {"bot": "U0BOT"}, {}):
        assert not await departures.tokens_revoked("T0001", tokens=dict(tokens), at=at)
    assert (await branch.now(workspace)).is_active
    assert await departures.tokens_revoked("T0001", tokens={"bot": ["U0BOT"]}, at=at)
    assert (await branch.now(workspace)).state is WorkspaceState.TOKEN_REVOKED


async def test_a_departure_of_nobody_s_changes_nothing(branch: Branch) -> None:
    at = branch.clock.now()
    assert not await branch.parts.departures.app_uninstalled("T9999", at=at)
    assert not await branch.parts.departures.tokens_revoked("T9999", tokens={}, at=at)


async def test_a_token_that_slack_calls_dead_is_wiped_if_it_is_still_the_one(
    branch: Branch,
) -> None:
    before = await branch.installed(token="xoxb-old")
    after = await branch.installed(token="xoxb-new")
    assert not await branch.parts.clients.token_died(before)
    assert (await branch.now(after)).is_active
    assert await branch.parts.clients.token_died(after)
    assert (await branch.now(after)).state is WorkspaceState.TOKEN_REVOKED


async def test_questions_are_routed_where_an_admin_says(branch: Branch) -> None:
    workspace = await branch.installed()
    assert workspace.approvals_channel is None
    for channel in ("C0001", None):
        assert await branch.workspaces.route(
            workspace, channel=channel, at=branch.clock.now(), audit=a_record(branch)
        )
        assert (await branch.now(workspace)).approvals_channel == channel


async def test_a_workspace_that_was_given_up_may_become_another_s(
    branch: Branch, database: Database
) -> None:
    workspace = await branch.installed()
    assert await branch.workspaces.remove(workspace, audit=a_record(branch, "slack.removed"))
    assert not await branch.workspaces.remove(workspace, audit=a_record(branch, "slack.removed"))
    globex = await make_tenant(database, "globex")
    dave = await make_person(database, globex, "dave@globex.test", Role.ADMIN)
    assert (await branch.installed(by=dave)).tenant_id == globex.id
    assert await audited(database, branch) == ["slack.installed", "slack.removed"]


async def test_workspaces_are_listed_company_by_company(branch: Branch, database: Database) -> None:
    globex = await make_tenant(database, "globex")
    dave = await make_person(database, globex, "dave@globex.test", Role.ADMIN)
    for team, by in (("T0003", None), ("T0001", None), ("T0002", dave)):
        await branch.installed(team, by=by)
    ours = branch.admin.tenant_id

    async def named(after: str = "", limit: int = 10) -> list[str]:
        found = await branch.workspaces.of_tenant(
            ours, surface=Surface.SLACK, after=after, limit=limit
        )
        return [one.workspace for one in found]

    assert await named() == ["T0001", "T0003"]
    assert await named(limit=1) == ["T0001"]
    assert await named(after="T0001") == ["T0003"]
    theirs = await branch.workspaces.of_id(ours, surface=Surface.SLACK, workspace="T0002")
    assert theirs is None
    assert await branch.workspaces.of_tenant(ours, surface=Surface.TEAMS) == ()
