"""The error tree: codes and facts, and who may be told what."""

import pytest

from core.errors import LimitReached, Refused, SallyportError


def test_a_limit_says_when_it_is_worth_coming_back() -> None:
    error = LimitReached("rate_limited", retry_after_seconds=30, tool="look")
    assert error.retry_after_seconds == 30
    assert error.facts == {"retry_after_seconds": 30, "tool": "look"}
    assert isinstance(error, Refused)


def test_facts_cannot_be_changed_on_the_way() -> None:
    error = SallyportError("x", key="a")
    with pytest.raises(TypeError):
        error.facts["key"] = "b"  # pyright: ignore[reportIndexIssue] - the point
