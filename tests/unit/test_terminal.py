"""What a person reads in a terminal about a run."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rich.console import Console

from core.domain.canonical import Json
from core.domain.event import EventKind, RunEvent, TextChunk
from core.domain.ids import RunId
from sallyport.terminal import Teller, dollars, line_of, preview_of

RUN = RunId(UUID(int=1))


class Screen:
    """A terminal without colours, and who tells of a run on it."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file, width=200, highlight=False)
        self.teller = Teller(self.console)
        self._seq = 0

    def happens(self, kind: EventKind, **data: Json) -> None:
        self._seq += 1
        self.teller.tell(event(kind, seq=self._seq, **data))

    def says(self, text: str, *, step: int = 1) -> None:
        self.teller.tell(TextChunk(run_id=RUN, step=step, seq=1, text=text))

    def answers(self, text: str, *, step: int = 1) -> None:
        self.happens(EventKind.THOUGHT, step=step, text=text, calls=["ping"], cost_micros=100)

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


@pytest.fixture
def screen() -> Screen:
    return Screen()


def event(kind: EventKind, *, seq: int = 1, **data: Json) -> RunEvent:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return RunEvent(run_id=RUN, seq=seq, kind=kind, data=data, at=at)


def test_text_is_told_once_however_it_comes(screen: Screen) -> None:
    screen.says("Good ")
    screen.says("morning")
    screen.answers("Good morning, Alice.")
    assert screen.lines == ["  agent   Good morning, Alice.  -> ping  $0.0001"]


def test_answer_whose_pieces_were_lost_is_told_whole(screen: Screen) -> None:
    screen.says("and this ")
    screen.answers("First this, and this too.")
    assert screen.lines == [
        "  agent   and this ",
        "  agent   First this, and this too.  -> ping  $0.0001",
    ]


def test_late_piece_of_an_answer_that_is_over_is_left_out(screen: Screen) -> None:
    screen.answers("Done.")
    screen.says("Done.")
    screen.says("Next", step=2)
    screen.happens(EventKind.CALL_SUCCEEDED, tool="ping", summary="")
    assert screen.lines[1:] == ["  agent   Next", "  done    ping"]


def test_event_is_told_once_and_resuming_is_not_told(screen: Screen) -> None:
    done = event(EventKind.CALL_SUCCEEDED, seq=1, tool="ping", summary="Ping Bob.")
    screen.teller.tell(done)
    screen.teller.tell(done)
    screen.teller.tell(event(EventKind.RESUMED, seq=2, segment=2))
    assert screen.lines == ["  done    ping (Ping Bob)"]


def test_result_that_was_just_said_is_not_said_again(screen: Screen) -> None:
    screen.answers("All is well.")
    screen.happens(EventKind.COMPLETED, result="All is well.", cost_micros=1_500_000)
    assert screen.lines[-1] == "  result  as said; $1.50 in all"


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        (EventKind.STARTED, {"task": "x", "budget_micros": 500_000}, "$0.5000 to spend at most"),
        (EventKind.CALL_ALLOWED, {}, "the policy allows it"),
        (EventKind.CALL_ALLOWED, {"approved_by": ["bob"], "how": "approval"}, "bob agreed"),
        (EventKind.CALL_FAILED, {"code": "x", "message": "Broken."}, "ping: Broken."),
        (EventKind.CALL_DENIED, {"code": "x", "reason": "No."}, "ping: No."),
        (EventKind.CALL_UNKNOWN, {}, "nobody knows whether it happened"),
        (EventKind.APPROVAL_ASKED, {"reason": "It destroys."}, "stopped. It destroys."),
        (EventKind.APPROVAL_DECIDED, {"answer": "deny", "by": "bob", "reason": "No"}, "denied: No"),
        (EventKind.APPROVAL_DECIDED, {"answer": "retry", "by": "bob", "reason": ""}, "bob: retry"),
        (
            EventKind.APPROVAL_DECIDED,
            {"answer": "approve", "by": "bob", "for": "carol", "reason": ""},
            "bob for carol: approved",
        ),
        (
            EventKind.APPROVAL_EDITED,
            {"by": "bob", "summary": "Ping Al."},
            "bob changed it: Ping Al",
        ),
        (EventKind.APPROVAL_REMINDED, {"summary": "Ping Al."}, "ping (Ping Al): still waits"),
        (EventKind.APPROVAL_ESCALATED, {"to": "admins"}, "admins were told"),
        (EventKind.APPROVAL_EXPIRED, {}, "nobody decided about ping in time"),
        (EventKind.APPROVAL_WITHDRAWN, {}, "the same yes covers ping"),
        (EventKind.COMPLETED, {"result": "Done.", "cost_micros": 100}, "Done.  ($0.0001 in all)"),
        (EventKind.STOPPED, {"message": "Stop.", "cost_micros": 0}, "Stop.  ($0.0000 in all)"),
    ],
)
def test_every_event_has_words(kind: EventKind, data: dict[str, Json], line: str) -> None:
    told = line_of(replace(event(kind), data={"tool": "ping", **data}))
    assert told is not None
    assert line in told.plain


def test_square_brackets_are_text_and_no_markup(screen: Screen) -> None:
    screen.answers("[bold]not bold[/bold]")
    assert "[bold]not bold[/bold]" in screen.lines[0]


def test_preview_reads_as_a_diff(screen: Screen) -> None:
    changes = [
        {"field": "title", "before": "Old [x]", "after": "New"},
        {"field": "owner", "before": None, "after": "bob"},
    ]
    shown = preview_of({"summary": "Rename it.", "changes": changes, "reversible": False})
    screen.console.print(shown)
    assert screen.lines == [
        "Rename it.",
        "- title: Old [x]",
        "+ title: New",
        "+ owner: bob",
        "It cannot be undone.",
    ]


@pytest.mark.parametrize(
    ("micros", "told"), [(0, "$0.0000"), (42, "$0.0000"), (4_200, "$0.0042"), (2_000_000, "$2.00")]
)
def test_money_is_told_in_dollars(micros: int, told: str) -> None:
    assert dollars(micros) == told
