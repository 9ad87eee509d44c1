"""Every card, message and form as it was looked at, and as Teams documents that it takes them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from bots.filled import Typed
from bots.teams.rendering import TeamsRendering
from core.domain.canonical import JsonObject
from core.errors import Conflict, Forbidden
from tests import chat_views as views
from tests.snapshot_files import FOLDER, Snapshots
from tests.teams.adaptive_cards import hidden, problems

TEAMS = TeamsRendering()
BOB = "7c6e1b7a-6c1f-4d53-9b1e-0e9d8c0b0b01"
OPEN = replace(views.OPEN, mention=(BOB,))
EFFORT = next(one for one in views.OFFERED if one.name == "effort")
WRONG = Typed(arguments=views.ARGUMENTS, problems={EFFORT.block: "Give a whole number."})

RENDERED: Mapping[str, Callable[[], JsonObject]] = {
    "run_working": lambda: TEAMS.run_payload(views.SAYING, asker=BOB),
    "run_waiting": lambda: TEAMS.run_payload(views.WAITING, asker=BOB),
    "run_done": lambda: TEAMS.run_payload(views.DONE, asker=BOB),
    "run_stopped": lambda: TEAMS.run_payload(views.STOPPED, asker=BOB),
    "approval_open": lambda: TEAMS.decider_card(OPEN),
    "approval_personal": lambda: TEAMS.approval_payload(views.FRESH, decides=True),
    "approval_told": lambda: TEAMS.approval_payload(views.OPEN, decides=False),
    "approval_shared": lambda: TEAMS.shared_card(OPEN, viewers=["29:1bob", "29:1beth"]),
    "approval_irreversible": lambda: TEAMS.decider_card(views.IRREVERSIBLE),
    "approval_approved": lambda: TEAMS.shared_card(views.APPROVED, viewers=["29:1bob"]),
    "approval_denied": lambda: TEAMS.approval_payload(views.DENIED, decides=True),
    "approval_expired": lambda: TEAMS.approval_payload(views.EXPIRED, decides=True),
    "approval_withdrawn": lambda: TEAMS.approval_payload(views.WITHDRAWN, decides=False),
    "outcome_open": lambda: TEAMS.decider_card(views.UNKNOWN),
    "outcome_settled": lambda: TEAMS.approval_payload(views.HAPPENED, decides=True),
    "reminder": lambda: TEAMS.reminder_payload(views.OPEN),
    "form_deny": lambda: TEAMS.deny_form(views.OPEN),
    "form_edit": lambda: TEAMS.edit_form(
        views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS
    ),
    "form_retry": lambda: TEAMS.retry_form(views.CREATE, schema=views.SCHEMA, typed=WRONG),
    "form_confirm": lambda: TEAMS.confirm_form(
        views.CREATE, schema=views.SCHEMA, edit=views.EDITED
    ),
    "form_ask": lambda: TEAMS.ask_form("<at>Bob</at> who moves *Old banner*?", ids={"m": "1"}),
    "form_feedback": lambda: TEAMS.feedback_form(views.DONE.run_id),
    "note": lambda: TEAMS.note("✅ That account is yours no more."),
    "note_refusal": lambda: TEAMS.refusal(Forbidden("not_eligible", approvers="an approver")),
    "note_changed": lambda: TEAMS.refusal(Conflict("wrong_digest"), asked=views.FRESH),
    "note_sign_in": lambda: TEAMS.sign_in("https://agents.acme.test/link/one-time"),
    "note_help": TEAMS.help,
    "note_runs": lambda: TEAMS.runs(views.HOME.runs),
    "note_no_runs": lambda: TEAMS.runs(()),
    "note_approvals": lambda: TEAMS.approvals((views.OPEN, views.FRESH)),
    "note_no_approvals": lambda: TEAMS.approvals(()),
    "note_tools": lambda: TEAMS.tools(views.HOME),
}


@pytest.mark.parametrize("name", RENDERED)
def test_it_looks_as_it_was_looked_at(name: str, snapshot: Snapshots) -> None:
    snapshot.check(f"teams/{name}", rendered=RENDERED[name]())


@pytest.mark.parametrize("name", RENDERED)
def test_teams_takes_it(name: str) -> None:
    assert problems(RENDERED[name]()) == []


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_is_read_in_it_but_what_is_meant(name: str) -> None:
    assert hidden(RENDERED[name]()) == []


def test_nothing_is_kept_that_nobody_renders() -> None:
    kept = {path.stem for path in (FOLDER / "teams").glob("*.json")}
    assert kept - set(RENDERED) == set()
