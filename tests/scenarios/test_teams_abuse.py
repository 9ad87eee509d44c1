"""What people and passers-by try on the agent in Teams: twice, in crowds, for others, with forgery.

Whatever comes with a token of Microsoft's is looked at; what it says of rights counts for nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bots import actions
from core.domain.account import Account
from core.domain.approval import Approval, ApprovalState
from core.domain.principal import Caller, Role
from core.domain.run import RunStatus
from tests.databases import Urls
from tests.teams.conversations import ALICE, BOB, CAROL, Person
from tests.teams.office import Office, allow, office_on
from tests.teams.people import BOT, Delivered, Shown, buttons_of
from tests.waiting import until
from tests.world import Company

Json = dict[str, Any]  # Any: what Teams takes and gives

SCRIPT = """
scripts:
  - contains: delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
      - say: It came to an end.
  - match: .
    turns: [{say: Here you are.}]
"""
OTHER_TENANT = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0002"
UNKNOWN_TENANT = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0003"
DAN = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0011"
GUEST = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0012"
NOBODY = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0013"
MALLORY = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0014"
STRANGER = "8a1c6f0e-77aa-4b43-9d10-5f2b9b0a0015"


@pytest.fixture
async def office(urls: Urls, tmp_path: Path) -> AsyncGenerator[Office]:
    async with office_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def asked(office: Office) -> tuple[Approval, Shown]:
    """Have Alice ask for a deletion; return the question, and its card in Bob's chat."""
    await office.people.says("please delete the old draft", by=ALICE)
    card = await office.shown(
        lambda one: one.button(actions.APPROVE) is not None, at=office.chat_of(BOB)
    )
    (question,) = await office.world.pending(office.company.admin)
    return question, card


def on_card(question: Approval) -> str:
    return actions.carried(actions.of_approval(question.id, digest=question.digest))


async def now(office: Office, question: Approval) -> Approval:
    return await office.world.app.approval(office.company.admin, approval_id=question.id)


async def still_waits(office: Office, question: Approval) -> bool:
    one = await now(office, question)
    return (one.state, one.decisions) == (ApprovalState.PENDING, ())


async def deletions(office: Office, question: Approval) -> list[int]:
    """Return how often each deletion of the run was tried, once it is over."""
    admin, found = office.company.admin, list[int]()

    async def is_over() -> bool:
        run = await office.world.app.run(admin, run_id=question.run_id)
        calls = [call for step in run.steps for call in step.calls]
        found[:] = [one.attempts for one in calls if one.call.tool == "delete_task"]
        return run.status is RunStatus.COMPLETED

    await until(is_over)
    return found


async def approver(office: Office, at: int) -> str:
    """Have one more approver, in Teams and here."""
    aad = office.connector.teams.add(Person(aad=str(uuid4()), name=f"Approver {at}"))
    person = await office.world.assembly.people.create_principal(
        office.company.tenant.id, email=f"a{at}@acme.test", roles=(Role.APPROVER,), groups=()
    )
    await office.link(aad, person)
    return aad


async def globex_in(office: Office) -> Company:
    """Have another company with an Entra tenant of its own, and Mallory for its admin."""
    world, teams = office.world, office.connector.teams
    globex = await world.company("globex")
    await allow(world.assembly, by=globex.admin.principal, tenant=OTHER_TENANT)
    teams.add(Person(aad=MALLORY, name="Mallory", tenant=OTHER_TENANT))
    account = Account(surface="teams", workspace=OTHER_TENANT, user=MALLORY)
    await world.assembly.linking.bind(globex.admin.principal, account=account, actor="operator")
    return globex


async def runs_of(office: Office, caller: Caller) -> int:
    return len(await office.world.app.runs(caller, before=None, limit=50))


async def test_twice_is_once_and_of_twenty_at_once_one_decides(office: Office) -> None:
    people = office.people
    said = people.activity("message", by=ALICE, text="please delete the old draft")
    for answered in await at_once(office, [said] * 5):
        assert (answered.status, answered.text) == (200, "")
    bobs = office.chat_of(BOB)
    card = await office.shown(lambda one: one.button(actions.APPROVE) is not None, at=bobs)
    assert (await people.sends(said)).status == 200
    (question,) = await office.world.pending(office.company.admin)
    assert await runs_of(office, office.company.admin) == 1

    crowd = [BOB, CAROL, *[await approver(office, at) for at in range(18)]]
    # A message of ours in a place where all of them are.
    there = Shown(conversation=people.general, id=card.id, activity={})
    pressed = [click(office, actions.APPROVE, on_card(question), by=one, at=there) for one in crowd]
    answers = await at_once(office, [one for one in pressed for _ in range(2)])
    assert {one.status for one in answers} == {200}
    assert len((await now(office, question)).decisions) == 1
    again = await people.sends(pressed[0])
    assert not list(buttons_of(again.json, actions.APPROVE))
    assert await deletions(office, question) == [1]
    names = await office.kept()
    assert len(names) == len(set(names)) == 1 + len(crowd)


def click(office: Office, verb: str, ids: str, *, by: str, at: Shown, **typed: object) -> Json:
    """Return a click as Teams would send it."""
    action = {"type": "Action.Execute", "verb": verb, "data": {"ids": ids, **typed}}
    return office.people.activity(
        "invoke",
        by=by,
        at=at.conversation,
        name="adaptiveCard/action",
        replyToId=at.id,
        value={"action": action, "trigger": "manual"},
    )


async def at_once(office: Office, activities: Sequence[Json]) -> list[Delivered]:
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(office.people.sends(one)) for one in activities]
    return [one.result() for one in sent]


async def test_who_may_not_decide_does_not_whatever_they_send(office: Office) -> None:
    people, teams = office.people, office.connector.teams
    question, card = await asked(office)
    dan = await office.world.assembly.people.create_principal(
        office.company.tenant.id, email="dan@acme.test", roles=(Role.MEMBER,), groups=()
    )
    teams.add(Person(aad=DAN, name="Dan"))
    await office.link(DAN, dan)
    teams.add(Person(aad=GUEST, name="Gus", role="guest"))
    teams.add(Person(aad=NOBODY, name="Nora"))
    there = Shown(conversation=people.general, id=card.id, activity={})
    for by, expected in (
        (ALICE, "You asked for this yourself; somebody else must decide."),
        (DAN, "You may not decide this. It needs an approver."),
        (GUEST, "Guests of a workspace"),
        (NOBODY, "Sign in once"),
    ):
        for verb in (actions.APPROVE, actions.DENY_FORM, actions.EDIT, actions.EDIT_FORM):
            told = await people.clicks(verb, ids=on_card(question), by=by, at=there)
            assert expected in told.text, (by, verb)
            assert not list(buttons_of(told.json, actions.APPROVE))
    assert await still_waits(office, question)

    # Bob's card, forged or broken: it is he who may answer, but not this.
    hostile: Sequence[tuple[str, dict[str, str], str]] = (
        ("{}", {}, "There is no such approval."),
        ("x" * 2_000, {}, "There is no such approval."),
        ("[" * 1_000, {}, "There is no such approval."),
        ('{"a":1}', {}, "There is no such approval."),
        (actions.carried({"a": "x" * 1_900}), {}, "There is no such approval."),
        (actions.carried({"a": str(uuid4()), "d": "0" * 12}), {}, "There is no such approval."),
        (actions.carried({"a": str(question.id)}), {}, "What you saw is not what would run."),
        (on_card(question), {"reason": "x" * 2_001}, "A reason has at most 2000 characters."),
    )
    for ids, typed, expected in hostile:
        verb = actions.DENY_FORM if typed else actions.APPROVE
        told = await people.clicks(verb, ids=ids, by=BOB, at=card, typed=typed)
        assert expected in told.text
    unknown = await people.clicks("drop_tables", ids=on_card(question), by=BOB, at=card)
    assert unknown.words == "There is no such button."
    missing = await people.clicks(actions.EDIT_FORM, ids=on_card(question), by=BOB, at=card)
    assert missing.status == 200
    assert await still_waits(office, question)

    kept = await office.kept()
    shapes: Sequence[Any] = (  # Any: JSON that is to be wrong
        None,
        [],
        {"action": "approve"},
        {"action": {"verb": "", "data": {}}},
        {"action": {"verb": "v" * 500, "data": {}}},
        {"action": {"verb": actions.APPROVE, "data": {str(at): "x" for at in range(101)}}},
        {"action": {"verb": actions.APPROVE, "data": [on_card(question)]}},
        nested(20),
    )
    for value in shapes:
        sent = click(office, actions.APPROVE, "{}", by=BOB, at=card) | {"value": value}
        told = await people.sends(sent)
        assert (told.status, told.json["statusCode"]) == (200, 403)
    for depth in (40, 900):
        deep = click(office, actions.APPROVE, "{}", by=BOB, at=card) | {"value": nested(depth)}
        assert (await people.sends(deep)).status == 400
    large = click(office, actions.APPROVE, "x" * 300_000, by=BOB, at=card)
    assert (await people.sends(large)).status == 413
    assert await office.kept() == kept
    extra = click(
        office, actions.APPROVE, on_card(question), by=BOB, at=card, role="admin", deep=["x"], n=1
    )
    assert "Approved" in (await people.sends(extra)).text


def nested(depth: int) -> Json:
    told: Json = {}
    for _ in range(depth):
        told = {"action": told}
    return told


async def test_nothing_crosses_from_one_company_to_another(office: Office) -> None:
    people, world, company = office.people, office.world, office.company
    question, card = await asked(office)
    globex = await globex_in(office)
    mallorys = office.chat_of(MALLORY)
    for verb in (actions.APPROVE, actions.DENY_FORM, actions.EDIT, actions.HAPPENED):
        at = Shown(conversation=mallorys, id="1", activity={})
        told = await people.clicks(verb, ids=on_card(question), by=MALLORY, at=at)
        assert told.words == "There is no such approval."
        looked = await people.clicks("refresh", ids=on_card(question), by=MALLORY, at=at)
        assert looked.json["statusCode"] == 403
    run = actions.carried(actions.of_run(question.run_id))
    for verb in (actions.STOP, actions.UNDO, actions.FEEDBACK):
        told = await people.clicks(
            verb, ids=run, by=MALLORY, at=Shown(conversation=mallorys, id="1", activity={})
        )
        assert "There is no such" in told.words

    # In a channel of Acme's that Mallory can write in, they are nobody's.
    shared = people.activity(
        "message", by=MALLORY, at=people.general, text="<at>S</at> approvals", entities=mention()
    )
    shared["channelData"] = {"tenant": {"id": office.connector.teams.people[BOB].tenant}}
    shared["conversation"]["tenantId"] = office.connector.teams.people[BOB].tenant
    assert (await people.sends(shared)).status == 200
    await office.kept()
    assert not any("Old draft" in one.words for one in office.messages(mallorys))

    before = await office.kept()
    for field, tenant in (
        ("channelData", office.connector.teams.people[BOB].tenant),
        ("channelData", UNKNOWN_TENANT),
    ):
        torn = click(office, actions.APPROVE, on_card(question), by=MALLORY, at=card)
        torn[field] = {"tenant": {"id": tenant}}
        assert (await people.sends(torn)).status == 400
    stray = people.activity("message", by=BOB, text="What is late?")
    stray["channelData"] = {}
    stray["conversation"]["tenantId"] = UNKNOWN_TENANT
    nowhere = people.activity("message", by=BOB, text="What is late?")
    nowhere["channelData"] = {}
    del nowhere["conversation"]["tenantId"]
    for activity in (stray, nowhere):
        assert (await people.sends(activity)).status == 200
    assert await office.kept() == before
    assert await still_waits(office, question)
    assert await runs_of(office, globex.admin) == 0
    assert await runs_of(office, company.admin) == 1

    await people.says("please delete the old draft", by=MALLORY)

    async def waits() -> bool:
        return bool(await world.pending(globex.admin))

    await until(waits)
    (theirs,) = await world.pending(globex.admin)
    told = await people.clicks(actions.APPROVE, ids=on_card(theirs), by=BOB, at=card)
    assert told.words == "There is no such approval."
    said = [
        one.words
        for at in office.connector.teams.conversations.values()
        if at is not mallorys
        for one in office.messages(at)
    ]
    assert not any(str(theirs.id) in one or "globex" in one for one in said)


def mention() -> list[Json]:
    return [{"type": "mention", "mentioned": {"id": BOT, "name": "S"}, "text": "<at>S</at>"}]


async def test_what_microsoft_has_not_signed_for_us_is_not_kept(office: Office) -> None:
    people, login = office.people, office.login
    question, card = await asked(office)
    kept = await office.kept()
    claims = login.claims(office.connector.service_url)
    approve = click(office, actions.APPROVE, on_card(question), by=BOB, at=card)
    for authorization in (
        "",
        "Bearer x.y.z",
        login.signed(claims | {"aud": str(uuid4())}),
        login.signed(claims | {"exp": claims["exp"] - 9_000}),
        login.signed(claims | {"serviceurl": "https://smba.trafficmanager.net/emea/"}),
    ):
        told = await people.sends(approve, authorization=authorization)
        assert (told.status, told.json["code"]) == (401, "teams_not_signed")
    for url in (
        "https://evil.example/",
        "http://169.254.169.254/",
        "https://x@smba.trafficmanager.net/",
    ):
        told = await people.sends(approve | {"serviceUrl": url})
        assert told.status == 401
    through = await people.sends(approve | {"channelId": "webchat"})
    assert through.status == 401
    assert await office.kept() == kept
    assert await still_waits(office, question)
    assert not [one for one in office.connector.calls if "evil" in one.headers.get("Host", "")]


async def test_somebody_else_s_id_in_ones_own_chat_is_nobody_s(office: Office) -> None:
    people, teams = office.people, office.connector.teams
    question, card = await asked(office)
    alices = Shown(conversation=office.chat_of(ALICE), id=card.id, activity={})
    stolen = click(office, actions.APPROVE, on_card(question), by=ALICE, at=alices)
    stolen["from"] = {"id": teams.people[ALICE].mri, "name": "Bob", "aadObjectId": BOB}
    assert "does not know this account" in (await people.sends(stolen)).text
    borrowed = click(office, actions.APPROVE, on_card(question), by=ALICE, at=alices)
    borrowed["from"] = {"id": teams.people[BOB].mri, "name": "Bob", "aadObjectId": BOB}
    assert "does not know this account" in (await people.sends(borrowed)).text
    assert await still_waits(office, question)
    # What is Bob's is still told to Bob, and to nobody where Alice is.
    await people.says("please delete the old draft", by=ALICE)
    first = {card.id}
    await office.shown(
        lambda one: one.button(actions.APPROVE) is not None and one.id not in first,
        at=office.chat_of(BOB),
    )
    assert not any(one.button(actions.APPROVE) for one in office.messages(office.chat_of(ALICE)))


async def test_a_service_that_moves_is_followed_and_one_who_left_does_nothing(
    office: Office,
) -> None:
    people, connector = office.people, office.connector
    question, card = await asked(office)
    moved = connector.service_url.replace("127.0.0.1", "localhost")
    said = people.activity("message", by=ALICE, text="What is late?") | {"serviceUrl": moved}
    assert (await people.sends(said)).status == 200
    await office.shown(lambda one: "Here you are." in one.words, at=office.chat_of(ALICE))
    assert any(one.headers["Host"].startswith("localhost") for one in connector.made("send"))

    gone = people.activity("installationUpdate", by=BOB, action="remove")
    assert (await people.sends(gone)).status == 200
    await office.kept()
    parts = office.world.assembly
    await parts.enrolment.disable(
        office.company.tenant.id, email="bob@acme.test", at=parts.clock.now()
    )
    told = await people.presses(card, actions.APPROVE, by=BOB)
    assert "Approved" not in told.text
    assert await still_waits(office, question)
    # Whoever has taken the app out and presses what is left of it is known as before.
    other = await office.shown(
        lambda one: one.button(actions.APPROVE) is not None, at=office.chat_of(CAROL)
    )
    await people.sends(people.activity("installationUpdate", by=CAROL, action="remove"))
    await office.kept()
    assert "Approved" in (await people.presses(other, actions.APPROVE, by=CAROL)).text


async def test_what_cannot_be_kept_is_sent_again_and_taken_then(office: Office, urls: Urls) -> None:
    people = office.people
    question, card = await asked(office)
    await office.kept()
    said = people.activity("message", by=ALICE, text="What is late?")
    approve = click(office, actions.APPROVE, on_card(question), by=BOB, at=card)
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        name = str(conninfo_to_dict(urls.app)["dbname"])
        limit = sql.SQL("alter database {} connection limit {}")
        connection.execute(limit.format(sql.Identifier(name), sql.Literal(0)))
        try:
            connection.execute(
                """select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = %s and pid <> pg_backend_pid()""",
                [name],
            )
            for activity in (said, approve):
                told = await people.sends(activity)
                assert (told.status, told.json["code"]) == (503, "database_unavailable")
        finally:
            connection.execute(limit.format(sql.Identifier(name), sql.Literal(-1)))
    for activity in (said, approve):
        assert (await people.sends(activity)).status == 200
    await office.shown(lambda one: "Here you are." in one.words, at=office.chat_of(ALICE))
    assert await deletions(office, question) == [1]
