"""What the nouns promise beyond holding values."""

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.audit import audit_record, head_of
from core.domain.canonical import canonical_json, digest_of
from core.domain.ids import CallId, RunId, approval_id_of, call_id_of
from core.domain.journal import Entry, ToolUsage
from core.domain.model import ToolUse
from core.domain.principal import SCOPES_OF_ROLE, Role, scopes_held
from core.domain.run import RunStatus
from core.domain.tool import CallState, Change, Preview, Risk
from core.domain.verdict import Approvers
from tests.nouns import NOON, TENANT, a_person, an_answer

DIGESTS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), max_size=6)


def test_a_call_has_the_same_id_whoever_asks_and_no_other_has_it() -> None:
    run, other = RunId(UUID(int=1)), RunId(UUID(int=2))
    ids = [
        call_id_of(one, step=step, index=index)
        for one in (run, other)
        for step in range(12)
        for index in range(12)
    ]
    assert len(set(ids)) == len(ids)
    assert call_id_of(run, step=1, index=11) == call_id_of(run, step=1, index=11)


def test_each_question_about_a_call_has_an_id_of_its_own() -> None:
    call = CallId(uuid4())
    asked = [approval_id_of(call, asked=number) for number in (*range(1, 4), *range(1000, 1004))]
    assert len(set(asked)) == len(asked)


def test_only_safe_tools_have_no_effect() -> None:
    assert [risk for risk in Risk if not risk.has_effect] == [Risk.SAFE]


def test_a_call_is_open_until_something_became_of_it() -> None:
    assert [state for state in CallState if not state.is_settled] == [
        CallState.REQUESTED,
        CallState.PENDING_APPROVAL,
        CallState.RUNNING,
        CallState.UNKNOWN,
    ]


def test_a_run_that_has_ended_is_final() -> None:
    assert [status for status in RunStatus if not status.is_final] == [
        RunStatus.PENDING,
        RunStatus.RUNNING,
        RunStatus.AWAITING_APPROVAL,
    ]


def test_what_is_volatile_is_shown_and_not_bound() -> None:
    preview = Preview(
        summary="Delete 3 tasks.",
        target="Inbox",
        changes=(Change(field="title", before="Old", after=None),),
        reversible=True,
        volatile={"as of": "noon"},
    )
    assert preview.as_json()["volatile"] == {"as of": "noon"}
    assert preview.bound() == replace(preview, volatile={"as of": "one"}).bound()
    assert preview.bound()["changes"] == [{"field": "title", "before": "Old", "after": None}]
    assert Preview.of_json(preview.as_json()) == preview


@pytest.mark.parametrize(
    ("approvers", "words"),
    [
        (Approvers(role=Role.APPROVER), "an approver"),
        (Approvers(role=Role.ADMIN), "an admin"),
        (Approvers(role=Role.MEMBER), "a member"),
        (
            Approvers(role=Role.ADMIN, needed=2, groups=frozenset({"legal", "finance"})),
            "2 different admins of finance, legal",
        ),
        (
            Approvers(role=Role.APPROVER, people=frozenset({"b@x.test", "a@x.test"})),
            "a@x.test, b@x.test",
        ),
    ],
)
def test_who_may_answer_is_said_in_words(approvers: Approvers, words: str) -> None:
    assert approvers.in_words() == words


@pytest.mark.parametrize(
    "roles", [(), (Role.MEMBER,), (Role.MEMBER, Role.APPROVER), tuple(Role)], ids=str
)
def test_a_person_holds_the_scopes_of_all_their_roles_and_no_other(roles: tuple[Role, ...]) -> None:
    person = replace(a_person(1), roles=frozenset(roles))
    assert scopes_held(person) == frozenset[str]().union(*(SCOPES_OF_ROLE[one] for one in roles))


def test_only_admins_administrate() -> None:
    able = {role for role, scopes in SCOPES_OF_ROLE.items() if "tenant:admin" in scopes}
    assert able == {Role.ADMIN}


@given(DIGESTS, DIGESTS)
def test_a_head_covers_every_digest_in_order(one: list[str], other: list[str]) -> None:
    assert (head_of("", one) == head_of("", other)) is (one == other)


@given(DIGESTS, DIGESTS)
def test_blocks_chain_as_one_would(first: list[str], then: list[str]) -> None:
    assert head_of(head_of("start", first), then) == head_of("start", first + then)


def test_a_head_depends_on_the_block_before() -> None:
    assert head_of("a", ["x"]) != head_of("b", ["x"])
    assert head_of("a", []) == "a"


RECORD = UUID(int=5)


# Any: the field of a record that a test changes, by its name.
def a_record(**changed: Any) -> str:  # noqa: ANN401 - as above
    fields: dict[str, Any] = {
        "at": NOON,
        "action": "call.executed",
        "actor": "alice@acme.test",
        "content": {"n": 1},
        "run_id": UUID(int=6),
        "call_id": UUID(int=7),
        "tool": "delete_task",
        "record_id": RECORD,
    }
    return audit_record(TENANT, **{**fields, **changed}).digest


CHANGES = [
    {"at": NOON + timedelta(microseconds=1)},
    {"action": "call.refused"},
    {"actor": "bob@acme.test"},
    {"content": {"n": True}},
    {"run_id": None},
    {"run_id": UUID(int=7)},
    {"call_id": None},
    {"call_id": UUID(int=6)},
    {"tool": None},
    {"record_id": UUID(int=8)},
]


@pytest.mark.parametrize("changed", CHANGES, ids=lambda one: next(iter(one)))
def test_a_record_is_bound_by_its_digest_whatever_is_changed(changed: dict[str, Any]) -> None:
    assert a_record(**changed) != a_record()


def test_a_record_says_the_same_in_another_time_zone_and_key_order() -> None:
    assert a_record(at=NOON.astimezone(timezone(timedelta(hours=5)))) == a_record()
    assert a_record(content={"a": 1, "b": 2}) == a_record(content={"b": 2, "a": 1})


def test_a_new_record_has_an_id_of_its_own() -> None:
    made = {audit_record(TENANT, at=NOON, action="a", actor="x", content={}).id for _ in range(9)}
    assert len(made) == 9


def test_a_write_costs_what_it_holds() -> None:
    used = ToolUsage(call_id=CallId(uuid4()), tool="t", agent="a", step=1, cost_micros=20)
    assert Entry().cost_micros == 0
    assert Entry(usage=(used, used)).cost_micros == 40


def test_an_answer_is_kept_whatever_the_provider_sent() -> None:
    deep: list[object] = ["bottom"]
    for _ in range(2000):
        deep = [deep]
    arguments: dict[str, Any] = {
        "n\x00": [1, True, None, 0.5, float("inf"), {"k\ud800": ("x\x00",)}],
        "deep": deep,
    }
    said = an_answer("a\x00", ToolUse(handle="h", name="t\x00", arguments=arguments))
    kept = replace(said, thinking="\udc00").storable()
    (call,) = kept.calls
    assert (kept.text, kept.thinking, call.name) == ("a\ufffd", "\ufffd", "t\ufffd")
    assert call.arguments["n\ufffd"] == [1, True, None, 0.5, "inf", {"k\ufffd": ["x\ufffd"]}]
    assert "nested too deep" in canonical_json(call.arguments)
    assert kept.storable() == kept


def test_a_digest_is_hexadecimal_and_long() -> None:
    assert len(bytes.fromhex(digest_of({}))) == 32
