"""How a surface looks: what it makes of runs, questions, notes and forms. Pure, all of it.

The payloads are the surface's own to read: of messages by its outbox, of forms by its screens.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bots.filled import Typed
from bots.views import ApprovalView, HomeView, RunSummary, RunView
from core.domain.approval import Edit
from core.domain.canonical import JsonObject
from core.domain.ids import RunId
from core.errors import SallyportError


class Told(Protocol):
    """What a place reads that looks the same wherever it is."""

    def run_payload(self, view: RunView, *, asker: str) -> JsonObject:
        """Return what the message of a run should be."""
        ...

    def reminder_payload(self, view: ApprovalView) -> JsonObject:
        """Return the message that reminds people of a question which waits."""
        ...


class Cards(Told, Protocol):
    """What a place reads of runs and questions, and goes on reading while they change."""

    def approval_payload(self, view: ApprovalView, *, decides: bool) -> JsonObject:
        """Return what the card of a question should be, with buttons where it ``decides``."""
        ...


class Notes(Protocol):
    """What is said to one person, once."""

    def note(self, text: str) -> JsonObject:
        """Return a short message of our own words; nothing in it is anybody's data."""
        ...

    def refusal(self, error: SallyportError, *, asked: ApprovalView | None = None) -> JsonObject:
        """Return why not; below it the question as it is now, where one is given."""
        ...

    def sign_in(self, url: str) -> JsonObject:
        """Return the way to sign in, and nothing else. The link is theirs alone."""
        ...

    def help(self) -> JsonObject:
        """Return what can be asked, and how."""
        ...

    def runs(self, runs: Sequence[RunSummary]) -> JsonObject:
        """Return somebody's last runs."""
        ...

    def approvals(self, questions: Sequence[ApprovalView]) -> JsonObject:
        """Return the questions that wait for somebody, with their buttons."""
        ...

    def tools(self, view: HomeView) -> JsonObject:
        """Return what the agent may do for somebody."""
        ...


class Forms(Protocol):
    """What somebody fills in. A form carries ids only; what it is about is looked up anew."""

    def deny_form(self, view: ApprovalView) -> JsonObject:
        """Return the form that asks why not; it may be sent without a reason."""
        ...

    def edit_form(
        self, view: ApprovalView, *, schema: JsonObject, arguments: JsonObject
    ) -> JsonObject:
        """Return the form with the call's arguments; sending it approves nothing yet."""
        ...

    def retry_form(self, view: ApprovalView, *, schema: JsonObject, typed: Typed) -> JsonObject:
        """Return the form again, saying what was wrong with what was typed."""
        ...

    def confirm_form(self, view: ApprovalView, *, schema: JsonObject, edit: Edit) -> JsonObject:
        """Return what the call would do now; sent as it is, it approves just that."""
        ...

    def ask_form(self, message: str, *, ids: Mapping[str, str]) -> JsonObject:
        """Return the form that asks about somebody's message. ``ids`` say which one it is."""
        ...

    def feedback_form(self, run_id: RunId) -> JsonObject:
        """Return the form that asks what was wrong with an answer."""
        ...


class Rendering(Cards, Notes, Forms, Protocol):
    """All of a surface's looks."""


class Page(Protocol):
    """The agent's own page, of a surface that has one."""

    def home(self, view: HomeView) -> JsonObject:
        """Return what somebody's page should be."""
        ...

    def home_note(self, message: JsonObject) -> JsonObject:
        """Return a page that says what the note says, and nothing else."""
        ...
