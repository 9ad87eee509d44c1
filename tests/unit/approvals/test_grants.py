"""Standing permissions: as wide as was said, for nobody who could not be asked."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.grants import fits, granted_by
from approvals.routing import objection
from core.domain.approval import Decision, Grant, GrantScope
from core.domain.canonical import Json
from core.domain.ids import PrincipalId
from core.domain.principal import Principal, Role
from core.domain.verdict import Approvers
from tests.nouns import NOON, a_decision, a_grant, a_person, an_approval
from tests.unit.approvals.test_routing import APPROVERS, NOW

ME = a_person(1)
BOB = a_person(2, Role.APPROVER)
CAROL = a_person(3, Role.ADMIN)
ONE = Approvers(role=Role.APPROVER)


def covers(
    grant: Grant,
    *people: Principal,
    requester: PrincipalId = ME.id,
    arguments: dict[str, Json] | None = None,
    demanded: Approvers = ONE,
    version: int = 1,
) -> bool:
    return fits(
        grant,
        requester=requester,
        tool_version=version,
        arguments=arguments or {},
        demanded=demanded,
        people={person.id: person for person in people},
        now=NOON,
    )


def grant_of(*decisions: Decision) -> Grant | None:
    return granted_by(an_approval(), decisions=decisions, now=NOON)


def test_a_yes_for_once_grants_nothing_more() -> None:
    assert grant_of(a_decision(BOB)) is None


def test_a_yes_for_the_run_is_the_requesters_in_that_run() -> None:
    grant = grant_of(a_decision(BOB, scope=GrantScope.RUN))
    assert grant is not None
    asked = an_approval()
    assert (grant.run_id, grant.requester_id) == (asked.run_id, asked.requester.id)
    assert (grant.tool, grant.tool_version, grant.granted_by) == ("delete_task", 1, (BOB,))


def test_a_yes_for_good_is_the_tenants_and_ends_after_a_year() -> None:
    grant = grant_of(a_decision(CAROL, scope=GrantScope.ALWAYS))
    assert grant is not None
    assert (grant.run_id, grant.requester_id) == (None, None)
    assert grant.expires_at == NOON + timedelta(days=365)


@given(st.lists(st.sampled_from(GrantScope), min_size=1, max_size=3))
def test_the_narrowest_of_the_scopes_holds(scopes: list[GrantScope]) -> None:
    grant = grant_of(*(a_decision(a_person(5 + at), scope=s) for at, s in enumerate(scopes)))
    if GrantScope.ONCE in scopes:
        assert grant is None
    else:
        assert grant is not None
        assert (grant.run_id is None) is (set(scopes) == {GrantScope.ALWAYS})
        assert len(grant.granted_by) == len(scopes)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True), APPROVERS, NOW)
def test_a_grant_covers_only_what_its_givers_could_allow_if_they_were_asked(
    givers: list[int], demanded: Approvers, now: dict[PrincipalId, Principal]
) -> None:
    grant = a_grant(granted_by=tuple(a_person(one, Role.ADMIN) for one in givers))
    if covers(grant, *now.values(), demanded=demanded):
        able = [
            person
            for one in givers
            if (person := now.get(a_person(one).id)) is not None
            and objection(person, approvers=demanded, requester=ME.id) is None
        ]
        assert len(able) >= demanded.needed
        assert any(person.id != ME.id for person in able)


@pytest.mark.parametrize("person", [BOB, CAROL], ids=["approver", "admin"])
def test_nobodys_own_grant_covers_their_own_call(person: Principal) -> None:
    grant = a_grant(granted_by=(person,), requester_id=None)
    assert covers(grant, person)
    assert not covers(grant, person, requester=person.id)
    asked = replace(ONE, allow_requester=True)
    assert not covers(grant, person, requester=person.id, demanded=asked)


def test_who_gave_half_of_a_grant_still_needs_another_half() -> None:
    both = a_grant(granted_by=(BOB, CAROL), requester_id=None)
    two = replace(ONE, needed=2)
    assert covers(both, BOB, CAROL, demanded=two)
    assert not covers(both, BOB, CAROL, demanded=two, requester=BOB.id)


@pytest.mark.parametrize(
    "now",
    [
        (),
        (replace(BOB, roles=frozenset({Role.MEMBER})),),
        (replace(BOB, roles=frozenset[Role]()),),
    ],
    ids=["disabled", "demoted", "no role"],
)
def test_who_may_not_approve_any_more_grants_nothing(now: tuple[Principal, ...]) -> None:
    assert not covers(a_grant(), *now)


@pytest.mark.parametrize(
    "demanded",
    [
        Approvers(role=Role.ADMIN),
        Approvers(role=Role.APPROVER, needed=2),
        Approvers(role=Role.APPROVER, groups=frozenset({"finance"})),
        Approvers(role=Role.APPROVER, people=frozenset({"carol@acme.test"})),
    ],
    ids=["an admin", "two", "a group", "a name"],
)
def test_a_grant_is_no_stronger_than_who_gave_it(demanded: Approvers) -> None:
    assert covers(a_grant(), BOB)
    assert not covers(a_grant(), BOB, demanded=demanded)


@pytest.mark.parametrize(
    "grant",
    [
        a_grant(expires_at=NOON),
        a_grant(expires_at=NOON - timedelta(days=1)),
        a_grant(uses_left=0),
        a_grant(tool_version=2),
        a_grant(pattern={"project_id": "p"}),
        a_grant(pattern={"n": 1}),
        a_grant(pattern={"gone": None}),
    ],
    ids=["over now", "over", "used up", "version", "pattern", "true is not 1", "absent"],
)
def test_what_a_grant_does_not_say_it_does_not_cover(grant: Grant) -> None:
    assert not covers(grant, BOB, arguments={"project_id": "q", "n": True})


def test_a_pattern_that_fits_covers() -> None:
    grant = a_grant(pattern={"project_id": "p", "ids": [1]}, uses_left=1)
    assert covers(grant, BOB, arguments={"project_id": "p", "ids": [1], "task_id": "any"})
