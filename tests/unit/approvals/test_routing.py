"""Whose word counts: a table for each rule, and properties for what nobody can get round."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.routing import is_covered, objection, voice_of
from core.domain.approval import Answer, Decision
from core.domain.ids import PrincipalId
from core.domain.principal import Principal, Role
from core.domain.verdict import Approvers
from tests.nouns import a_decision, a_person, an_approval

ROLES = st.frozensets(st.sampled_from(Role))
GROUPS = st.frozensets(st.sampled_from(["finance", "legal"]))


def anybody(number: int, roles: frozenset[Role], groups: frozenset[str]) -> Principal:
    return replace(a_person(number), roles=roles, groups=groups)


PEOPLE = st.builds(anybody, st.integers(1, 5), ROLES, GROUPS)
APPROVERS = st.builds(
    Approvers,
    role=st.sampled_from(Role),
    needed=st.integers(1, 3),
    groups=GROUPS,
    people=st.frozensets(st.integers(1, 5).map(lambda number: a_person(number).email)),
    allow_requester=st.booleans(),
)
ANSWERS = st.dictionaries(
    st.integers(1, 5),
    st.tuples(st.sampled_from([Answer.APPROVE, Answer.DENY]), st.sampled_from(["shown", "other"])),
)
NOW = st.lists(PEOPLE, max_size=8).map(lambda many: {one.id: one for one in many})

REQUESTER = a_person(1).id
ONE = Approvers(role=Role.APPROVER)


def decided(answers: dict[int, tuple[Answer, str]]) -> tuple[Decision, ...]:
    return tuple(
        a_decision(a_person(number, Role.APPROVER), answer, digest=digest)
        for number, (answer, digest) in answers.items()
    )


@pytest.mark.parametrize(
    ("person", "approvers", "why"),
    [
        (a_person(2, Role.MEMBER), ONE, "not_eligible"),
        (a_person(2, Role.APPROVER), ONE, None),
        (a_person(2, Role.ADMIN), ONE, None),
        (a_person(2, Role.MEMBER), Approvers(role=Role.MEMBER), None),
        (a_person(2, Role.APPROVER), Approvers(role=Role.ADMIN), "not_eligible"),
        (a_person(2, Role.ADMIN), Approvers(role=Role.ADMIN), None),
        (a_person(1, Role.ADMIN), ONE, "self_approval"),
        (a_person(1, Role.ADMIN), replace(ONE, allow_requester=True), None),
        (a_person(1, Role.MEMBER), replace(ONE, allow_requester=True), "not_eligible"),
        (a_person(2, Role.APPROVER), replace(ONE, groups=frozenset({"legal"})), "not_eligible"),
        (
            a_person(2, Role.APPROVER, groups=["legal"]),
            replace(ONE, groups=frozenset({"legal"})),
            None,
        ),
        (a_person(2, Role.MEMBER, groups=["legal"]), replace(ONE, groups=frozenset({"legal"})),
         "not_eligible"),
        (a_person(2, Role.ADMIN), replace(ONE, people=frozenset({"x@y.test"})), "not_eligible"),
        (a_person(2, Role.ADMIN), replace(ONE, people=frozenset({"person2@acme.test"})), None),
    ],
)  # fmt: skip
def test_who_may_answer(person: Principal, approvers: Approvers, why: str | None) -> None:
    assert objection(person, approvers=approvers, requester=REQUESTER) == why


@given(PEOPLE, APPROVERS)
def test_the_requester_never_counts_unless_the_policy_says_so(
    person: Principal, approvers: Approvers
) -> None:
    if objection(person, approvers=approvers, requester=person.id) is None:
        assert approvers.allow_requester


@given(ANSWERS, APPROVERS, NOW)
def test_only_people_who_may_still_answer_count_and_each_of_them_once(
    answers: dict[int, tuple[Answer, str]],
    demanded: Approvers,
    now: dict[PrincipalId, Principal],
) -> None:
    decisions = decided(answers)
    approval = an_approval(*decisions, *decisions, digest="shown")
    count = sum(
        1
        for number, said in answers.items()
        if said == (Answer.APPROVE, "shown")
        and (person := now.get(a_person(number).id)) is not None
        and objection(person, approvers=demanded, requester=REQUESTER) is None
    )
    covered = is_covered(approval, digest="shown", demanded=demanded, people=now)
    assert covered is (count >= demanded.needed)


@given(ANSWERS, APPROVERS, NOW)
def test_nothing_counts_for_another_call(
    answers: dict[int, tuple[Answer, str]],
    demanded: Approvers,
    now: dict[PrincipalId, Principal],
) -> None:
    approval = an_approval(*decided(answers), digest="shown")
    assert not is_covered(approval, digest="other", demanded=demanded, people=now)


@given(ANSWERS, APPROVERS, NOW)
def test_a_no_never_helps_and_losing_a_role_never_helps(
    answers: dict[int, tuple[Answer, str]],
    demanded: Approvers,
    now: dict[PrincipalId, Principal],
) -> None:
    approval = an_approval(*decided(answers), digest="shown")
    yes = is_covered(approval, digest="shown", demanded=demanded, people=now)
    without = {number: said for number, said in answers.items() if said[0] is Answer.APPROVE}
    assert yes is is_covered(
        an_approval(*decided(without), digest="shown"),
        digest="shown",
        demanded=demanded,
        people=now,
    )
    for gone in now:
        fewer = {key: person for key, person in now.items() if key != gone}
        assert yes or not is_covered(approval, digest="shown", demanded=demanded, people=fewer)


def test_one_person_cannot_be_two() -> None:
    twice = a_decision(a_person(2, Role.APPROVER)), a_decision(a_person(2, Role.APPROVER))
    approval = an_approval(*twice)
    two = replace(ONE, needed=2)
    people = {one.principal.id: one.principal for one in twice}
    assert not is_covered(approval, digest=approval.digest, demanded=two, people=people)


FINANCE = Approvers(role=Role.APPROVER, groups=frozenset({"finance"}))
AWAY = a_person(2, Role.APPROVER, groups=["finance"])
DEPUTY = a_person(3, Role.APPROVER)


@pytest.mark.parametrize(
    ("deputy", "absent", "counts"),
    [
        (DEPUTY, AWAY, True),
        (None, AWAY, False),
        (DEPUTY, None, False),
        (replace(DEPUTY, roles=frozenset({Role.MEMBER})), AWAY, False),
        (DEPUTY, replace(AWAY, groups=frozenset[str]()), False),
        (replace(DEPUTY, id=REQUESTER), AWAY, False),
    ],
    ids=["both may", "deputy gone", "absent gone", "deputy demoted", "absent moved", "own call"],
)
def test_a_deputys_answer_counts_while_both_may(
    deputy: Principal | None, absent: Principal | None, *, counts: bool
) -> None:
    answer = replace(a_decision(deputy or DEPUTY), in_place_of=absent or AWAY)
    people = {one.id: one for one in (deputy, absent) if one is not None}
    approval = an_approval(answer)
    covered = is_covered(approval, digest=approval.digest, demanded=FINANCE, people=people)
    assert covered is counts


def test_an_answer_and_a_deputys_for_the_same_person_are_one() -> None:
    answers = (a_decision(AWAY), replace(a_decision(DEPUTY), in_place_of=AWAY))
    people = {one.id: one for one in (AWAY, DEPUTY)}
    two = replace(FINANCE, needed=2)
    approval = an_approval(*answers)
    assert is_covered(approval, digest=approval.digest, demanded=FINANCE, people=people)
    assert not is_covered(approval, digest=approval.digest, demanded=two, people=people)


@given(PEOPLE, st.lists(PEOPLE, max_size=3), APPROVERS)
def test_a_voice_is_always_of_somebody_who_may_answer(
    person: Principal, absent: list[Principal], approvers: Approvers
) -> None:
    voice = voice_of(person, absent=absent, approvers=approvers, requester=REQUESTER)
    if voice is not None:
        assert objection(voice, approvers=approvers, requester=REQUESTER) is None
        assert voice == person or (person.may_approve and person.id != REQUESTER)
