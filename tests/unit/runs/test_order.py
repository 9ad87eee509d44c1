"""Which calls go side by side, and which wait for each other."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import Json
from core.runs.order import waves
from tests.nouns import a_request

IDS = st.sampled_from(["project-1", "project-2", "task-0001", "task-0002", "short"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    IDS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(IDS, inner, max_size=3),
    max_leaves=4,
)
CALLS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), st.booleans()),
    max_size=7,
)


def named(value: Json) -> set[str]:
    """What a call names, said another way: every text of eight characters or more in its values."""
    match value:
        case str():
            return {value} if len(value) >= 8 else set()
        case dict():
            return {name for inner in value.values() for name in named(inner)}
        case list():
            return {name for inner in value for name in named(inner)}
        case _:
            return set()


@given(CALLS)
def test_every_call_is_made_once(asked: list[tuple[dict[str, Json], bool]]) -> None:
    made = waves([a_request(a) for a, _ in asked], has_effect=[effect for _, effect in asked])
    assert sorted(at for wave in made for at in wave) == list(range(len(asked)))
    assert all(made)


@given(CALLS)
def test_calls_that_depend_on_each_other_keep_their_order(
    asked: list[tuple[dict[str, Json], bool]],
) -> None:
    made = waves([a_request(a) for a, _ in asked], has_effect=[effect for _, effect in asked])
    level = {at: number for number, wave in enumerate(made) for at in wave}
    for earlier, later in combinations(range(len(asked)), 2):
        (first, first_acts), (second, second_acts) = asked[earlier], asked[later]
        if (first_acts or second_acts) and named(first) & named(second):
            assert level[earlier] < level[later]


@given(CALLS)
def test_a_call_waits_for_nothing_but_what_it_depends_on(
    asked: list[tuple[dict[str, Json], bool]],
) -> None:
    made = waves([a_request(a) for a, _ in asked], has_effect=[effect for _, effect in asked])
    level = {at: number for number, wave in enumerate(made) for at in wave}
    for later, (second, second_acts) in enumerate(asked):
        before = [
            level[earlier]
            for earlier in range(later)
            if (asked[earlier][1] or second_acts) and named(asked[earlier][0]) & named(second)
        ]
        assert level[later] == max(before, default=-1) + 1


def test_reading_the_same_thing_twice_goes_side_by_side() -> None:
    calls = [a_request({"project_id": "project-1"}) for _ in range(3)]
    assert waves(calls, has_effect=[False] * 3) == [[0, 1, 2]]


def test_a_change_stands_between_two_readings() -> None:
    calls = [a_request({"task_id": "task-0001"}) for _ in range(3)]
    assert waves(calls, has_effect=[False, True, False]) == [[0], [1], [2]]


def test_what_is_named_deep_inside_counts() -> None:
    calls = [a_request({"ids": [{"of": "task-0001"}]}), a_request({"task_id": "task-0001"})]
    assert waves(calls, has_effect=[True, False]) == [[0], [1]]
