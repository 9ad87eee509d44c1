"""Runs, calls, approvals, undo and the audit from the command line, with no worker anywhere."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.command_line import CommandLine, CommandLineHere, Json
from tests.databases import Urls

ACME = "--tenant=acme"
ALICE = (ACME, "--as=alice@acme.test")
BOB = (ACME, "--as=bob@acme.test")


@pytest.fixture(scope="module")
def cli(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give the module one tenant with somebody who asks and somebody who decides."""
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    line = CommandLineHere(data_dir, environment=module_urls.settings)
    line.json("tenant", "create", "acme", "--tier=pro")
    line.json("principal", "create", ACME, "--email=alice@acme.test", "--role=member")
    line.json("principal", "create", ACME, "--email=bob@acme.test", "--role=approver")
    return line


@pytest.fixture
def title() -> str:
    """Give each test a task's title of its own."""
    return f"Fix links {uuid4().hex[:8]}"


def start(cli: CommandLine, task: str) -> Json:
    return cli.json("run", "start", *ALICE, task, "--wait")


def calls_of(run: Json, tool: str) -> list[str]:
    return [c["call_id"] for step in run["steps"] for c in step["calls"] if c["tool"] == tool]


def titles(cli: CommandLine) -> set[str]:
    project = cli.json("call", "list_projects", *ALICE)["result"]["projects"][0]["id"]
    arguments = json.dumps({"project_id": project, "limit": 50})
    made = cli.json("call", "list_tasks_in_project", *ALICE, f"--args={arguments}")
    return {task["title"] for task in made["result"]["tasks"]}


def deleted_by_bob(cli: CommandLine, title: str) -> Json:
    """Have the agent create a task and delete it with Bob's yes; return the run as it ended."""
    start(cli, f'Create the task "{title}"')
    run = start(cli, f'Delete the task "{title}"')
    approval = pending(cli, run)
    cli.json("approvals", "decide", approval["id"], "approve", *BOB)
    return cli.json("run", "show", run["run_id"], ACME)


def pending(cli: CommandLine, run: Json) -> Json:
    asked = cli.json("approvals", "list", ACME, "--state=pending")["items"]
    return next(one for one in asked if one["run_id"] == run["run_id"])


def test_run_is_driven_here_to_its_end_where_no_worker_is(cli: CommandLine, title: str) -> None:
    run = start(cli, f'Create the task "{title}"')
    assert run["status"] == "completed"
    assert run["id"] == run["run_id"]
    assert run["requester"] == "alice@acme.test"
    assert title in titles(cli)


def test_run_that_needs_people_comes_back_waiting_and_goes_on_with_their_yes(
    cli: CommandLine, title: str
) -> None:
    start(cli, f'Create the task "{title}"')
    run = start(cli, f'Delete the task "{title}"')
    assert run["status"] == "awaiting_approval"
    approval = pending(cli, run)
    assert (approval["tool"], approval["requester"]) == ("delete_task", "alice@acme.test")
    assert title in titles(cli)

    decided = cli.json("approvals", "decide", approval["id"], "approve", *BOB)

    assert decided["state"] == "approved"
    assert cli.json("run", "show", run["run_id"], ACME)["status"] == "completed"
    assert title not in titles(cli)


def test_denied_call_is_not_made_and_the_reason_reaches_the_agent(
    cli: CommandLine, title: str
) -> None:
    start(cli, f'Create the task "{title}"')
    run = start(cli, f'Delete the task "{title}"')
    reason = ("--reason", "We still need it")
    cli.json("approvals", "decide", pending(cli, run)["id"], "deny", *BOB, *reason)
    ended = cli.json("run", "show", run["run_id"], ACME)
    assert "We still need it" in ended["result"]
    assert title in titles(cli)


def test_deciding_another_digest_than_was_shown_is_refused(cli: CommandLine, title: str) -> None:
    start(cli, f'Create the task "{title}"')
    decide = ("approvals", "decide", pending(cli, start(cli, f'Delete the task "{title}"'))["id"])
    wrong = cli.json(*decide, "approve", *BOB, "--digest=0", code=1)
    assert wrong["error"]["code"] == "wrong_digest"
    own = cli.json(*decide, "approve", *ALICE, code=1)
    assert own["error"]["code"] == "missing_scope"


def test_person_is_shown_what_they_decide(cli: CommandLine, title: str) -> None:
    start(cli, f'Create the task "{title}"')
    approval = pending(cli, start(cli, f'Delete the task "{title}"'))
    assert title in cli.run("approvals", "list", ACME).out
    said = cli.run("approvals", "decide", approval["id"], "deny", *BOB).out
    assert f"- title: {title}" in said
    assert "It is denied. Its run: completed." in said


def test_undo_brings_back_what_was_deleted(cli: CommandLine, title: str) -> None:
    run = deleted_by_bob(cli, title)
    (call_id,) = calls_of(run, "delete_task")
    assert cli.json("undo", call_id, *ALICE)["status"] == "succeeded"
    assert title in titles(cli)


def test_a_person_is_shown_the_id_that_undo_takes(cli: CommandLine, title: str) -> None:
    run = deleted_by_bob(cli, title)
    shown = cli.run("run", "show", run["run_id"], ACME).out
    told = [line.split() for line in shown.splitlines()]
    calls = [call for step in run["steps"] for call in step["calls"]]
    assert [line[::2] for line in told if line[1:2] == ["succeeded"]] == [
        [call["call_id"], call["tool"]] for call in calls
    ]


def test_call_with_an_effect_is_made_here_and_joins_nothing_that_is_over(
    cli: CommandLine, title: str
) -> None:
    project = cli.json("call", "list_projects", *ALICE)["result"]["projects"][0]["id"]
    arguments = json.dumps({"project_id": project, "title": title})
    call = ("call", "create_task", *ALICE, f"--args={arguments}")

    dry = cli.json(*call, "--dry-run")
    assert (dry["verdict"], title in dry["preview"]["summary"]) == ("allow", True)
    assert title not in titles(cli)

    first, second = cli.json(*call), cli.json(*call)
    assert first["status"] == "succeeded"
    assert first["result"]["task"]["id"] != second["result"]["task"]["id"]


def test_call_that_needs_people_says_who_and_how(cli: CommandLine, title: str) -> None:
    arguments = json.dumps({"recipient": "bob@acme.test", "text": title})
    call = ("call", "send_message_to_user", *ALICE, f"--args={arguments}")
    assert "Require approval." in cli.run(*call, "--dry-run").out
    told = cli.json(*call)
    assert told["status"] == "pending_approval"
    assert f"sallyport approvals decide {told['approval_id']}" in cli.run(*call).out


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("create_task", "--args={}"), "invalid_arguments"),
        (("no_such_tool",), "unknown_tool"),
        (("restore_task", "--args={}"), "unknown_tool"),
        (("delete_task", f'--args={{"task_id": "{uuid4()}"}}'), "not_found"),
    ],
)
def test_refused_call_ends_with_1_and_its_code(
    cli: CommandLine, call: tuple[str, ...], code: str
) -> None:
    assert cli.json("call", *call, *ALICE, code=1)["error"]["code"] == code


def test_run_without_wait_is_queued_and_can_be_cancelled(cli: CommandLine) -> None:
    said = cli.run("run", "start", *ALICE, "Hello")
    assert "sallyport worker" in said.out
    run = cli.json("run", "list", ACME, "--limit=1")["items"][0]
    assert run["status"] == "pending"
    assert cli.json("run", "cancel", run["run_id"], ACME)["status"] == "cancelled"
    again = cli.json("run", "cancel", run["run_id"], ACME, code=1)
    assert again["error"]["code"] == "run_ended"
    assert "cancelled" in cli.run("run", "show", run["run_id"], ACME).out


def test_story_of_a_run_is_told_to_people_and_its_events_to_programs(
    cli: CommandLine, title: str
) -> None:
    said = cli.run("run", "start", *ALICE, f'Create the task "{title}"', "--wait").out
    assert "I look at your projects first.  -> list_projects" in said
    assert "the policy allows it" in said
    run_id = cli.json("run", "list", ACME, "--limit=1")["items"][0]["run_id"]
    events = cli.json("run", "events", run_id, ACME)["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("run.started", "run.completed")
    later = cli.json("run", "events", run_id, ACME, "--after=1")["items"]
    assert later == events[1:]
    assert "in all" in cli.run("run", "events", run_id, ACME).out


def test_lists_go_on_where_their_cursor_says(cli: CommandLine) -> None:
    cli.json("run", "start", *ALICE, "Hello")
    cli.json("run", "start", *ALICE, "Hello")
    first = cli.json("run", "list", ACME, "--limit=1")
    second = cli.json("run", "list", ACME, "--limit=1", f"--cursor={first['next_cursor']}")
    assert first["items"][0]["id"] != second["items"][0]["id"]
    bad = cli.json("approvals", "list", ACME, "--cursor=x", code=1)
    assert bad["error"]["code"] == "invalid_cursor"


def test_what_is_done_as_somebody_is_audited_as_the_operator_on_their_behalf(
    cli: CommandLine, title: str
) -> None:
    run = deleted_by_bob(cli, title)
    records = cli.json("audit", "export", ACME)["items"]
    actors = {
        record["action"]: record["actor"]
        for record in records
        if record.get("run_id") == run["run_id"]
    }
    assert actors["run.started"] == "operator on behalf of alice@acme.test"
    assert actors["approval.decided"] == "operator on behalf of bob@acme.test"


def test_export_is_verified_without_a_database_and_tampering_is_found(
    cli: CommandLine, title: str, tmp_path: Path
) -> None:
    start(cli, f'Create the task "{title}"')
    found = cli.json("audit", "verify", ACME)
    assert found["ok"] is True
    assert found["sealed"] > 0
    assert found["records"] == found["sealed"] + found["waiting"]

    export = tmp_path / "audit.jsonl"
    export.write_text(cli.run("audit", "export", ACME).out)
    key = tmp_path / "key.pem"
    key.write_text(cli.json("audit", "key")["public_key"])
    elsewhere = CommandLineHere(tmp_path)
    verify = ("audit", "verify", f"--file={export}", f"--key={key}")
    assert elsewhere.json(*verify)["ok"] is True

    export.write_text(export.read_text().replace("alice@acme.test", "carol@acme.test"))
    broken = elsewhere.run(*verify, code=1).out
    assert "record altered" in broken
    assert "not to be trusted" in broken


def test_a_file_with_nothing_in_it_is_not_called_right(cli: CommandLine, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    for nothing in ("/dev/null", str(empty)):
        refused = cli.json("audit", "verify", f"--file={nothing}", code=1)
        assert refused["error"]["code"] == "nothing_to_verify"
    empty.write_text("\n")
    assert cli.json("audit", "verify", f"--file={empty}", code=1)["ok"] is False


def test_export_holds_what_was_asked_for(cli: CommandLine) -> None:
    assert cli.run("audit", "export", ACME, "--format=csv").out.startswith("id,at,action,actor")
    nothing = cli.json("audit", "export", ACME, "--from=2001-01-01", "--to=2001-01-02")
    assert [one for one in nothing["items"] if one["kind"] == "record"] == []
    wrong = cli.json("audit", "export", ACME, "--from=yesterday", code=2)
    assert wrong["error"]["code"] == "wrong_usage"


def test_an_approver_changes_what_is_approved(cli: CommandLine, title: str) -> None:
    other = f"{title} too"
    for one in (title, other):
        start(cli, f'Create the task "{one}"')
    run = start(cli, f'Delete the task "{title}"')
    approval = pending(cli, run)
    project = cli.json("call", "list_projects", *ALICE)["result"]["projects"][0]["id"]
    listed = json.dumps({"project_id": project, "limit": 50})
    tasks = cli.json("call", "list_tasks_in_project", *ALICE, f"--args={listed}")["result"]["tasks"]
    arguments = json.dumps({"task_id": next(one["id"] for one in tasks if one["title"] == other)})

    decided = cli.json(
        "approvals", "decide", approval["id"], "approve", *BOB, f"--args={arguments}"
    )

    assert (decided["state"], decided["edited_by"]) == ("approved", "bob@acme.test")
    assert title in titles(cli)
    assert other not in titles(cli)


def test_somebody_decides_for_who_is_away(cli: CommandLine) -> None:
    cli.json("principal", "create", ACME, "--email=beth@acme.test", "--role=approver")
    until = ("--until=2199-01-01",)
    refused = cli.json("approvals", "away", *BOB, *until, "--to=beth@acme.test", code=1)
    assert refused["error"]["code"] == "invalid_absence"
    soon = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()  # noqa: TID251 - of the real clock
    away = ("approvals", "away", *BOB, f"--until={soon}")
    assert cli.json(*away, "--to=alice@acme.test", code=1)["error"]["code"] == "invalid_deputy"
    said = cli.run(*away, "--to=beth@acme.test").out
    assert "beth@acme.test decides for bob@acme.test until" in said
    assert cli.json("approvals", "back", *BOB) == {"person": "bob@acme.test", "was_away": True}
    assert "was not away" in cli.run("approvals", "back", *BOB).out


def test_a_company_says_when_to_remind(cli: CommandLine) -> None:
    shown = ("approvals", "reminders", ACME)
    assert cli.json(*shown) == {
        "remind_minutes": [60, 1440],
        "escalate_minutes": 1440,
        "escalate_to": "admins",
    }
    told = cli.run(*shown, "--after=30", "--escalate-after=120", "--escalate-to=legal").out
    assert told.strip() == "Reminded after 30 minutes; after 120 minutes legal are told as well."
    told = cli.run(*shown, "--after=5").out
    assert told.strip() == "Reminded after 5 minutes; nobody else is told."
    cli.run(*shown, *["--after=5"] * 11, code=2)
    assert cli.json(*shown, "--default")["remind_minutes"] == [60, 1440]
