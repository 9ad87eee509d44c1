"""Who may have rights at all, by what Slack says of them; and for how long that is believed."""

import asyncio
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.profiles import FRESH_SECONDS
from bots.slack.identity import Profile, RememberedProfiles, objection, profile_of
from core.domain.account import Account
from core.domain.ids import TenantId
from core.errors import Unavailable
from tests.builders import SteadyClock
from tests.chat import account_of

Json = dict[str, Any]  # Any: a user object of Slack's

TENANT: Final = TenantId(uuid4())
ALICE: Final = account_of("U0ALICE")
MEMBER: Final[Json] = {
    "id": "U0ALICE",
    "team_id": "T0ACME",
    "name": "alice",
    "deleted": False,
    "is_bot": False,
    "is_restricted": False,
    "is_ultra_restricted": False,
    "is_email_confirmed": True,
    "profile": {"display_name": "Alice", "real_name": "Alice A.", "email": "alice@acme.test"},
}
OF_GRID: Final[Json] = {
    **MEMBER,
    "enterprise_user": {"id": "W0ALICE", "enterprise_id": "E0ACME", "teams": ["T0ACME", "T0LAB"]},
}


def judged(user: Json, *, workspace: str = "T0ACME", user_team: str = "") -> str | None:
    return objection(profile_of(user), workspace=workspace, user_team=user_team)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, None),
        ({"is_bot": True}, "account_is_bot"),
        ({"is_workflow_bot": True}, "account_is_bot"),
        ({"is_connector_bot": True}, "account_is_bot"),
        ({"id": "USLACKBOT"}, "account_is_bot"),
        ({"deleted": True}, "account_deactivated"),
        ({"is_restricted": True}, "account_guest"),
        ({"is_restricted": True, "is_ultra_restricted": True}, "account_guest"),
        ({"is_ultra_restricted": True}, "account_guest"),
        ({"is_stranger": True}, "account_outside"),
        ({"team_id": "T0ELSEWHERE"}, "account_outside"),
        ({"team_id": ""}, "account_outside"),
        ({"team_id": "T0ELSEWHERE", "is_restricted": True}, "account_outside"),
        ({"profile": {}}, None),
    ],
)
def test_who_may_have_no_rights_is_told_why(said: Json, code: str | None) -> None:
    assert judged({**MEMBER, **said}) == code


@pytest.mark.parametrize("missing", ["is_restricted", "is_ultra_restricted", "team_id"])
def test_what_slack_does_not_say_counts_against_the_account(missing: str) -> None:
    assert judged({key: value for key, value in MEMBER.items() if key != missing}) is not None


@pytest.mark.parametrize("user", [None, [], "U0ALICE", {}, {"id": ""}, {**MEMBER, "is_bot": "?"}])
def test_what_is_no_user_object_is_nobody(user: object) -> None:
    assert profile_of(user) is None
    assert objection(profile_of(user), workspace="T0ACME") == "account_unknown"


@pytest.mark.parametrize(
    ("user", "workspace", "user_team", "code"),
    [
        (MEMBER, "T0ACME", "T0ACME", None),
        (MEMBER, "T0ACME", "T0ELSEWHERE", "account_outside"),
        (MEMBER, "T0ACME", "E0ELSEWHERE", "account_outside"),
        # An app in one team of an organisation: whoever is in that team, wherever they are at home.
        (OF_GRID, "T0LAB", "T0ACME", None),
        (OF_GRID, "T0LAB", "E0ACME", None),
        (OF_GRID, "T0SALES", "T0ACME", "account_outside"),
        # An app for the whole organisation: whoever is in it, in whichever team.
        (OF_GRID, "E0ACME", "T0LAB", None),
        (OF_GRID, "E0ACME", "", None),
        (OF_GRID, "E0ACME", "T0ELSEWHERE", "account_outside"),
        (OF_GRID, "E0OTHER", "", "account_outside"),
        (MEMBER, "E0ACME", "", "account_outside"),
    ],
)
def test_people_of_other_teams_and_organisations_have_no_rights(
    user: Json, workspace: str, user_team: str, code: str | None
) -> None:
    assert judged(user, workspace=workspace, user_team=user_team) == code


@given(
    flags=st.fixed_dictionaries(
        {
            name: st.booleans()
            for name in (
                "deleted",
                "is_bot",
                "is_workflow_bot",
                "is_restricted",
                "is_ultra_restricted",
                "is_stranger",
            )
        }
    ),
    name=st.text(),
)
def test_no_mark_against_an_account_is_outvoted_by_another_or_by_a_name(
    flags: dict[str, bool], name: str
) -> None:
    words = {"display_name": name, "email": "alice@acme.test"}
    user = {**MEMBER, **flags, "name": name, "profile": words}
    assert (judged(user) is None) == (not any(flags.values()))


def test_an_email_that_slack_has_not_confirmed_is_none() -> None:
    silent = {key: value for key, value in MEMBER.items() if key != "is_email_confirmed"}
    for user in (silent, {**MEMBER, "is_email_confirmed": False}):
        profile = profile_of(user)
        assert profile
        assert profile.email is None


# What is remembered.


class Workspaces:
    """The Profiles port, in a test's hand."""

    def __init__(self) -> None:
        known = profile_of(MEMBER)
        assert known
        self.known: Profile | None = known
        self.asked: list[Account] = []
        self.is_down = False
        self.was_asked = asyncio.Event()
        self.held: asyncio.Event | None = None

    async def profile(self, tenant_id: TenantId, *, account: Account) -> Profile | None:
        del tenant_id
        self.asked.append(account)
        self.was_asked.set()
        known = self.known
        if self.held is not None:
            await self.held.wait()
        if self.is_down:
            raise Unavailable("slack_unavailable", detail="down")
        return known


@pytest.fixture
def workspaces() -> Workspaces:
    return Workspaces()


@pytest.fixture
def profiles(workspaces: Workspaces, clock: SteadyClock) -> RememberedProfiles:
    return RememberedProfiles(workspaces, clock=clock, most=3)


async def test_a_profile_is_believed_for_a_minute_at_most(
    profiles: RememberedProfiles, workspaces: Workspaces, clock: SteadyClock
) -> None:
    for _ in range(3):
        assert await profiles.profile(TENANT, account=ALICE) == workspaces.known
    clock.move(seconds=FRESH_SECONDS - 1)
    await profiles.profile(TENANT, account=ALICE)
    assert workspaces.asked == [ALICE]
    workspaces.known = None
    clock.move(seconds=1)
    assert await profiles.profile(TENANT, account=ALICE) is None
    assert workspaces.asked == [ALICE, ALICE]


async def test_one_that_changed_is_asked_for_again(
    profiles: RememberedProfiles, workspaces: Workspaces
) -> None:
    await profiles.profile(TENANT, account=ALICE)
    workspaces.known = None
    profiles.forget(TENANT, account=ALICE)
    assert await profiles.profile(TENANT, account=ALICE) is None


async def test_an_answer_that_a_change_has_overtaken_is_not_remembered(
    profiles: RememberedProfiles, workspaces: Workspaces
) -> None:
    workspaces.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        old = group.create_task(profiles.profile(TENANT, account=ALICE))
        await workspaces.was_asked.wait()
        profiles.forget(TENANT, account=ALICE)
        workspaces.held.set()
    assert old.result() is not None
    workspaces.known = None
    assert await profiles.profile(TENANT, account=ALICE) is None


async def test_a_failure_is_not_remembered(
    profiles: RememberedProfiles, workspaces: Workspaces
) -> None:
    workspaces.is_down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await profiles.profile(TENANT, account=ALICE)
    workspaces.is_down = False
    assert await profiles.profile(TENANT, account=ALICE)


async def test_no_more_are_remembered_than_there_is_room_for_and_each_for_its_tenant(
    profiles: RememberedProfiles, workspaces: Workspaces
) -> None:
    people = [replace(ALICE, user=f"U{place}") for place in range(4)]
    for one in people:
        await profiles.profile(TENANT, account=one)
    await profiles.profile(TENANT, account=people[-1])
    assert len(workspaces.asked) == 4
    await profiles.profile(TENANT, account=people[0])
    assert len(workspaces.asked) == 5
    await profiles.profile(TenantId(uuid4()), account=people[0])
    assert len(workspaces.asked) == 6
