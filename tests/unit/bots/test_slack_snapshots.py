"""Every card, message, form and page as it was looked at, and as Slack's own models take it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from bots.slack import cards, home, messages, modals, notes
from core.domain.canonical import JsonObject
from core.errors import Forbidden
from tests import chat_views as views
from tests.slack_limits import mentioned, problems
from tests.snapshot_files import FOLDER, Snapshots

RENDERED: Mapping[str, Callable[[], JsonObject]] = {
    "run_working": lambda: messages.run_message(views.WORKING),
    "run_waiting": lambda: messages.run_message(views.WAITING),
    "run_done": lambda: messages.run_message(views.DONE),
    "run_stopped": lambda: messages.run_message(views.STOPPED),
    "approval_open": lambda: cards.approval_card(views.OPEN, with_buttons=True),
    "approval_told": lambda: cards.approval_card(views.OPEN, with_buttons=False),
    "approval_fresh": lambda: cards.approval_card(views.FRESH, with_buttons=True),
    "approval_create": lambda: cards.approval_card(views.CREATE, with_buttons=True),
    "approval_irreversible": lambda: cards.approval_card(views.IRREVERSIBLE, with_buttons=True),
    "approval_approved": lambda: cards.approval_card(views.APPROVED, with_buttons=True),
    "approval_denied": lambda: cards.approval_card(views.DENIED, with_buttons=True),
    "approval_expired": lambda: cards.approval_card(views.EXPIRED, with_buttons=True),
    "approval_withdrawn": lambda: cards.approval_card(views.WITHDRAWN, with_buttons=False),
    "outcome_open": lambda: cards.approval_card(views.UNKNOWN, with_buttons=True),
    "outcome_settled": lambda: cards.approval_card(views.HAPPENED, with_buttons=True),
    "form_deny": lambda: modals.deny_form(views.OPEN),
    "form_edit": lambda: modals.edit_form(
        views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS
    ),
    "form_ask": lambda: modals.ask_form(
        "<!channel> who moves *Old banner*?", ids={"c": "C0123", "m": "1763640000.000100"}
    ),
    "form_feedback": lambda: modals.feedback_form(views.DONE.run_id),
    "home": lambda: home.home(views.HOME),
    "home_empty": lambda: home.home(
        replace(
            views.HOME,
            can=(),
            asks=(),
            cannot=(),
            runs=(),
            questions=(),
            suggestions=(),
            switches=(),
            url=None,
        )
    ),
    "note_refusal": lambda: notes.refusal(Forbidden("not_eligible", approvers="an approver")),
    "note_sign_in": lambda: notes.sign_in("https://agents.acme.test/link/one-time"),
    "note_help": notes.help_message,
    "note_runs": lambda: notes.runs_message(views.HOME.runs),
    "note_no_runs": lambda: notes.runs_message(()),
    "note_approvals": lambda: notes.approvals_message((views.OPEN, views.FRESH)),
    "note_no_approvals": lambda: notes.approvals_message(()),
    "note_tools": lambda: notes.tools_message(views.HOME),
}

STREAMED = {
    "stream_working": views.WORKING,
    "stream_waiting": views.WAITING,
    "stream_done": views.DONE,
    "stream_stopped": views.STOPPED,
}


@pytest.mark.parametrize("name", RENDERED)
def test_it_looks_as_it_was_looked_at(name: str, snapshot: Snapshots) -> None:
    snapshot.check(f"slack/{name}", rendered=RENDERED[name]())


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_tells_what_it_was_seen_to_tell(name: str, snapshot: Snapshots) -> None:
    snapshot.check(f"slack/{name}", rendered=messages.run_stream(STREAMED[name]))


@pytest.mark.parametrize("name", RENDERED)
def test_slack_takes_it(name: str) -> None:
    assert problems(RENDERED[name]()) == []


@pytest.mark.parametrize("name", RENDERED)
def test_nobody_is_mentioned_but_who_is_meant(name: str) -> None:
    assert mentioned(RENDERED[name](), ours=["<@U0BOB12345>"]) == []


def test_nothing_is_kept_that_nobody_renders() -> None:
    kept = {path.stem for path in (FOLDER / "slack").glob("*.json")}
    assert kept - set(RENDERED) - set(STREAMED) == set()
