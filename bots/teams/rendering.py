"""How Teams looks, all of it in one place: each part says in its own module what it is."""

from collections.abc import Mapping, Sequence
from typing import Final

from bots.filled import Typed
from bots.teams import cards, elements, forms, messages, notes
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


class TeamsRendering:
    """The Rendering of Teams: Adaptive Cards, and answers in markdown.

    A message is ``activity``, without what says where it goes; a form is ``card`` and ``title``.
    """

    def run_payload(self, view: RunView, *, asker: str) -> JsonObject:
        """Return what the message of a run should be: streamed or edited while it works."""
        told: JsonObject = {"status": _STATUS[view.stage], "asker": asker}
        match view.stage:
            case Stage.WORKING:
                stream = messages.run_stream(view)
                return {
                    **told,
                    "activity": messages.run_card(view),
                    "stream": stream,
                    "final": False,
                }
            case Stage.WAITING:
                return {**told, "activity": messages.run_card(view), "final": False}
            case _ if view.answered_below:
                return {**told, "activity": messages.closed_card(view), "final": False}
            case Stage.DONE | Stage.STOPPED:
                below = messages.closing(view)
                more: JsonObject = {"more": below} if below else {}
                return {**told, "activity": messages.answer(view), **more, "final": True}

    def approval_payload(self, view: ApprovalView, *, decides: bool) -> JsonObject:
        """Return what the card of a question should be, in a place of one or few people."""
        card = cards.decider_card(view) if decides else cards.told_card(view)
        return elements.message(cards.in_short(view), card=card)

    def shared_card(self, view: ApprovalView, *, viewers: Sequence[str]) -> JsonObject:
        """Return the message with the card of a question where many read it.

        It has no buttons; ``viewers`` (Teams' own ids, at most 60 count) are given theirs when
        their Teams asks. Without any, everybody's does.
        """
        card = cards.shared_card(view, viewers=viewers)
        return elements.message(cards.in_short(view), card=card)

    def decider_card(self, view: ApprovalView) -> JsonObject:
        """Return the card alone, with buttons: the answer to who may answer and asks for it."""
        return cards.decider_card(view)

    def reminder_payload(self, view: ApprovalView) -> JsonObject:
        """Return the message that reminds people of a question which waits."""
        return cards.reminder(view)

    def note(self, text: str) -> JsonObject:
        """Return a short message of our own words."""
        return notes.note(text)

    def refusal(self, error: SallyportError, *, asked: ApprovalView | None = None) -> JsonObject:
        """Return why not; below it the question as it is now, where one is given."""
        return notes.refusal(error, below=asked)

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
        return forms.deny_form(view)

    def edit_form(
        self, view: ApprovalView, *, schema: JsonObject, arguments: JsonObject
    ) -> JsonObject:
        """Return the form with the call's arguments."""
        return forms.edit_form(view, schema=schema, arguments=arguments)

    def retry_form(self, view: ApprovalView, *, schema: JsonObject, typed: Typed) -> JsonObject:
        """Return the form again, saying what was wrong."""
        return forms.retry_form(view, schema=schema, typed=typed)

    def confirm_form(self, view: ApprovalView, *, schema: JsonObject, edit: Edit) -> JsonObject:
        """Return what the call would do now, to be approved."""
        return forms.confirm_form(view, schema=schema, edit=edit)

    def ask_form(self, message: str, *, ids: Mapping[str, str]) -> JsonObject:
        """Return the form that asks about somebody's message."""
        return forms.ask_form(message, ids=ids)

    def feedback_form(self, run_id: RunId) -> JsonObject:
        """Return the form that asks what was wrong with an answer."""
        return forms.feedback_form(run_id)
