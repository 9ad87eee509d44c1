"""How Slack looks, all of it in one place: each part says in its own module what it is."""

from collections.abc import Mapping, Sequence
from typing import Final

from bots.filled import Typed
from bots.slack import cards, editing, home, messages, modals, notes
from bots.views import ApprovalView, HomeView, RunSummary, RunView, Stage
from core.domain.approval import Edit
from core.domain.canonical import JsonObject
from core.domain.ids import RunId
from core.errors import SallyportError

_STATUS: Final = {
    Stage.WORKING: "processing",
    Stage.WAITING: "suspended",
    Stage.DONE: "active",
    Stage.STOPPED: "active",
}
# What a message shows at most; more is cut there, and attached as a whole.
_LONGEST_ANSWER: Final = 11_800


class SlackRendering:
    """The Rendering of Slack, and its Page: Block Kit."""

    def run_payload(self, view: RunView, *, asker: str) -> JsonObject:
        """Return what the message of a run should be: streamed while it works, then edited."""
        is_final = view.stage in {Stage.DONE, Stage.STOPPED}
        return {
            **messages.run_message(view),
            "stream": messages.run_stream(view),
            "status": _STATUS[view.stage],
            "asker": asker,
            "final": is_final,
            **(_report(view) if is_final and len(view.text) > _LONGEST_ANSWER else {}),
        }

    def approval_payload(self, view: ApprovalView, *, decides: bool) -> JsonObject:
        """Return what the card of a question should be."""
        return cards.approval_card(view, with_buttons=decides)

    def reminder_payload(self, view: ApprovalView) -> JsonObject:
        """Return the message that reminds people of a question which waits."""
        return cards.reminder(view)

    def note(self, text: str) -> JsonObject:
        """Return a short message of our own words."""
        return notes.note(text)

    def refusal(self, error: SallyportError, *, asked: ApprovalView | None = None) -> JsonObject:
        """Return why not; below it the question as it is now, where one is given."""
        below = cards.approval_card(asked, with_buttons=True) if asked else None
        return notes.refusal(error, below=below)

    def sign_in(self, url: str) -> JsonObject:
        """Return the way to sign in."""
        return notes.sign_in(url)

    def help(self) -> JsonObject:
        """Return what can be asked, and how."""
        return notes.help_message()

    def runs(self, runs: Sequence[RunSummary]) -> JsonObject:
        """Return somebody's last runs."""
        return notes.runs_message(runs)

    def approvals(self, questions: Sequence[ApprovalView]) -> JsonObject:
        """Return the questions that wait for somebody, with their buttons."""
        return notes.approvals_message(questions)

    def tools(self, view: HomeView) -> JsonObject:
        """Return what the agent may do for somebody."""
        return notes.tools_message(view)

    def deny_form(self, view: ApprovalView) -> JsonObject:
        """Return the form that asks why not."""
        return modals.deny_form(view)

    def edit_form(
        self, view: ApprovalView, *, schema: JsonObject, arguments: JsonObject
    ) -> JsonObject:
        """Return the form with the call's arguments."""
        return editing.first_form(view, schema=schema, arguments=arguments)

    def retry_form(self, view: ApprovalView, *, schema: JsonObject, typed: Typed) -> JsonObject:
        """Return the form again, saying what was wrong."""
        return editing.retry_form(view, schema=schema, typed=typed)

    def confirm_form(self, view: ApprovalView, *, schema: JsonObject, edit: Edit) -> JsonObject:
        """Return what the call would do now, to be approved."""
        return editing.confirm_form(view, schema=schema, edit=edit)

    def ask_form(self, message: str, *, ids: Mapping[str, str]) -> JsonObject:
        """Return the form that asks about somebody's message."""
        return modals.ask_form(message, ids=ids)

    def feedback_form(self, run_id: RunId) -> JsonObject:
        """Return the form that asks what was wrong with an answer."""
        return modals.feedback_form(run_id)

    def home(self, view: HomeView) -> JsonObject:
        """Return what somebody's page should be."""
        return _page(home.home(view))

    def home_note(self, message: JsonObject) -> JsonObject:
        """Return a page that says what the note says."""
        return _page({"type": "home", "blocks": message["blocks"]})


def _page(view: JsonObject) -> JsonObject:
    return {"text": "", "blocks": [], "final": True, "view": view}


def _report(view: RunView) -> JsonObject:
    """Return the whole of an answer that no message holds, as a file."""
    name = f"answer-{str(view.run_id)[:8]}.md"
    return {"file": {"name": name, "title": "The whole answer", "content": view.text}}
