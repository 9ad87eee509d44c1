"""A digest changes with anything that people looked at, and with nothing else."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import Json
from core.domain.ids import CallId, RunId, TenantId
from core.domain.tool import Change, Preview, Tool, ToolCall
from core.governance.digest import approval_digest, idempotency_key, request_digest
from tests.nouns import a_person, a_request, a_tool

CALL = a_request({"task_id": "t-1", "force": True})
TOOL = a_tool()
SHOWN = Preview(
    summary="Delete it.",
    target="Old draft",
    changes=(Change(field="title", before="Old draft", after=None),),
    reversible=True,
    volatile={"comments": "3"},
)


def digest(call: ToolCall = CALL, tool: Tool = TOOL, shown: Preview = SHOWN) -> str:
    return approval_digest(call, tool=tool, bound=shown.bound())


OTHERS = {
    "tenant": digest(replace(CALL, tenant_id=TenantId(UUID(int=2)))),
    "requester": digest(replace(CALL, requester=a_person(2))),
    "argument": digest(replace(CALL, arguments={"task_id": "t-2", "force": True})),
    "argument's kind": digest(replace(CALL, arguments={"task_id": "t-1", "force": 1})),
    "argument gone": digest(replace(CALL, arguments={"task_id": "t-1"})),
    "tool": digest(tool=replace(TOOL, name="delete_tasks")),
    "version": digest(tool=replace(TOOL, version=2)),
    "definition": digest(tool=replace(TOOL, definition_digest="d2")),
    "summary": digest(shown=replace(SHOWN, summary="Delete them.")),
    "target": digest(shown=replace(SHOWN, target="New draft")),
    "changes": digest(shown=replace(SHOWN, changes=())),
    "before": digest(
        shown=replace(SHOWN, changes=(Change(field="title", before="New", after=None),))
    ),
    "reversible": digest(shown=replace(SHOWN, reversible=False)),
}


@pytest.mark.parametrize("changed", OTHERS)
def test_anything_that_people_looked_at_is_bound(changed: str) -> None:
    assert OTHERS[changed] != digest()
    assert list(OTHERS.values()).count(OTHERS[changed]) == 1


@pytest.mark.parametrize(
    "same",
    [
        digest(shown=replace(SHOWN, volatile={"comments": "4", "as of": "now"})),
        digest(replace(CALL, arguments={"force": True, "task_id": "t-1"})),
        digest(replace(CALL, asked=2, via="mcp", handle="other", agent="other")),
        digest(replace(CALL, id=CallId(UUID(int=9)))),
        digest(tool=replace(TOOL, timeout_seconds=1.0, description="Other words.")),
    ],
    ids=["volatile", "key order", "bookkeeping", "call", "what the definition's digest covers"],
)
def test_nothing_else_is_bound(same: str) -> None:
    assert same == digest()


@given(
    st.dictionaries(st.text(max_size=4), st.integers() | st.booleans() | st.text(max_size=4)),
    st.dictionaries(st.text(max_size=4), st.integers() | st.booleans() | st.text(max_size=4)),
)
def test_two_requests_are_one_where_their_arguments_are(
    one: dict[str, Json], other: dict[str, Json]
) -> None:
    first, second = replace(CALL, arguments=one), replace(CALL, arguments=other)
    same = digest(first) == digest(second)
    assert (request_digest(first, tool=TOOL) == request_digest(second, tool=TOOL)) is same
    assert (idempotency_key(first, tool=TOOL) == idempotency_key(second, tool=TOOL)) is same


def test_a_request_is_one_persons() -> None:
    mine = request_digest(CALL, tool=TOOL)
    assert mine != request_digest(replace(CALL, requester=a_person(2)), tool=TOOL)
    assert mine != request_digest(CALL, tool=replace(TOOL, version=2))


def test_each_place_in_each_run_has_an_effect_of_its_own() -> None:
    places = [
        replace(CALL, tenant_id=TenantId(UUID(int=tenant)), run_id=run, step=step, index=index)
        for tenant in (1, 2)
        for run in (RunId(UUID(int=1)), RunId(UUID(int=2)), None)
        for step in (1, 2, 11)
        for index in (0, 1, 11)
    ]
    keys = {idempotency_key(one, tool=TOOL) for one in places}
    assert len(keys) == len(places)
    assert idempotency_key(CALL, tool=TOOL) not in keys


def test_the_same_call_made_again_has_the_same_key() -> None:
    again = replace(CALL, asked=2, requester=a_person(1), via="other")
    assert idempotency_key(again, tool=TOOL) == idempotency_key(CALL, tool=TOOL)
