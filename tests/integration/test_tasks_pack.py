"""The tasks pack on real tables: who sees what, what happens once, what can be taken back."""

import asyncio
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from core.domain.principal import Principal, Role
from core.domain.task import NewTask, Priority, ProjectId, TaskId
from core.domain.tool import Failed, Succeeded
from core.errors import Conflict, InvalidInput, NotFound
from core.store.database import Database
from core.store.seeds import add_member, create_project, seed_tasks
from core.store.tables import messages, principals, projects, tasks
from core.store.tasks import TaskRepository
from core.tools.builtin.tasks.pack import TASKS
from core.tools.registry import Registry
from tests.builders import SteadyClock, make_person, make_tenant
from tests.permits import OpenDoor

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Two tenants: acme with an open and a closed project, and globex that must see nothing."""

    database: Database
    door: OpenDoor
    alice: Principal
    bob: Principal
    carol: Principal
    dave: Principal
    open_id: ProjectId
    closed_id: ProjectId

    async def task(self, title: str = "Write the report", **more: object) -> str:
        output = await self.door.output(
            self.alice, "create_task", project_id=str(self.open_id), title=title, **more
        )
        return output["task"]["id"]

    async def titles(self, viewer: Principal, **more: object) -> list[str]:
        output = await self.door.output(
            viewer, "list_tasks_in_project", project_id=str(self.open_id), **more
        )
        return [task["title"] for task in output["tasks"]]


@pytest.fixture
async def company(database: Database, clock: SteadyClock) -> Company:
    acme = await make_tenant(database, "acme")
    globex = await make_tenant(database, "globex")
    alice = await make_person(database, acme, "alice@acme.test")
    bob = await make_person(database, acme, "bob@acme.test", Role.APPROVER)
    carol = await make_person(database, acme, "carol@acme.test", Role.ADMIN)
    dave = await make_person(database, globex, "dave@globex.test", Role.ADMIN)
    open_id, closed_id = ProjectId(uuid4()), ProjectId(uuid4())
    async with database.for_tenant(acme.id) as connection:
        await create_project(
            connection, acme.id, project_id=open_id, name="Website", open_to_all=True
        )
        await create_project(
            connection, acme.id, project_id=closed_id, name="Merger", open_to_all=False
        )
        await add_member(connection, acme.id, project_id=closed_id, principal_id=bob.id)
    registry = Registry([TASKS.bound(TaskRepository(database))], clock=clock)
    return Company(
        database=database,
        door=OpenDoor(registry),
        alice=alice,
        bob=bob,
        carol=carol,
        dave=dave,
        open_id=open_id,
        closed_id=closed_id,
    )


async def disable(company: Company, person: Principal) -> None:
    async with company.database.for_tenant(person.tenant_id) as connection:
        await connection.execute(
            update(principals).where(principals.c.id == person.id).values(disabled_at=func.now())
        )


async def names_seen_by(company: Company, viewer: Principal) -> dict[str, int]:
    output = await company.door.output(viewer, "list_projects")
    return {
        one["name"]: one["member_count"] for one in output["projects"] if one["name"] != "Inbox"
    }


async def test_people_see_open_projects_and_those_they_are_members_of(company: Company) -> None:
    assert await names_seen_by(company, company.alice) == {"Website": 3}
    assert await names_seen_by(company, company.bob) == {"Merger": 1, "Website": 3}
    assert await names_seen_by(company, company.carol) == {"Merger": 1, "Website": 3}
    assert await names_seen_by(company, company.dave) == {}


async def test_disabled_people_are_not_counted_as_members(company: Company) -> None:
    await disable(company, company.bob)

    assert await names_seen_by(company, company.carol) == {"Merger": 0, "Website": 2}


async def test_projects_come_by_name_a_page_at_a_time_and_none_is_lost(company: Company) -> None:
    acme = company.alice.tenant_id
    async with company.database.for_tenant(acme) as connection:
        for name in ("Twins", "Twins", "Zebra", "Äpfel"):
            await create_project(
                connection, acme, project_id=ProjectId(uuid4()), name=name, open_to_all=True
            )
    whole = await company.door.output(company.alice, "list_projects")
    assert whole["next_cursor"] is None

    paged: list[object] = []
    cursor = None
    while True:
        page = await company.door.output(
            company.alice, "list_projects", limit=2, **({"cursor": cursor} if cursor else {})
        )
        assert len(page["projects"]) <= 2
        paged += page["projects"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert paged == whole["projects"]


async def test_listed_projects_have_the_documented_shape(company: Company) -> None:
    output = await company.door.output(company.bob, "list_projects")

    merger = next(one for one in output["projects"] if one["name"] == "Merger")
    assert merger == {
        "id": str(company.closed_id),
        "name": "Merger",
        "status": "active",
        "member_count": 1,
    }


async def test_a_created_task_is_listed_with_the_documented_shape(company: Company) -> None:
    task_id = await company.task(assignee="Bob@Acme.test", priority="high", due_date="2026-12-01")

    output = await company.door.output(
        company.alice, "list_tasks_in_project", project_id=str(company.open_id)
    )

    assert output == {
        "tasks": [
            {
                "id": task_id,
                "title": "Write the report",
                "status": "todo",
                "assignee": "bob@acme.test",
                "due_date": "2026-12-01",
                "priority": "high",
            }
        ],
        "next_cursor": None,
    }


async def test_tasks_are_filtered_by_status_assignee_and_due_date(company: Company) -> None:
    await company.task("Early", due_date="2026-11-30", assignee="bob@acme.test")
    await company.task("Late", due_date="2026-12-01", assignee=str(company.alice.id))
    done = await company.task("Done")
    await company.door.output(company.alice, "update_task_status", task_id=done, status="done")

    assert await company.titles(company.alice, due_before="2026-12-01") == ["Early"]
    assert await company.titles(company.alice, assignee="alice@acme.test") == ["Late"]
    assert await company.titles(company.alice, status="done") == ["Done"]
    assert await company.titles(company.alice, status="todo") == ["Early", "Late"]


async def test_tasks_of_somebody_who_has_left_can_still_be_found(company: Company) -> None:
    await company.task("Orphan", assignee="bob@acme.test")
    await disable(company, company.bob)

    assert await company.titles(company.alice, assignee="bob@acme.test") == ["Orphan"]


async def test_tasks_come_oldest_first_a_page_at_a_time(company: Company) -> None:
    new = {
        TaskId(uuid4()): NewTask(
            project_id=company.open_id,
            title=f"Task {number}",
            priority=Priority.NORMAL,
            assignee="bob@acme.test" if number == 0 else None,
            due_date=date(2026, 12, 1),
        )
        for number in range(12)
    }
    async with company.database.for_tenant(company.alice.tenant_id) as connection:
        await seed_tasks(connection, company.alice, new=new)

    first = await company.door.output(
        company.alice, "list_tasks_in_project", project_id=str(company.open_id)
    )
    second = await company.door.output(
        company.alice,
        "list_tasks_in_project",
        project_id=str(company.open_id),
        cursor=first["next_cursor"],
    )

    titles = [task["title"] for task in (*first["tasks"], *second["tasks"])]
    assert titles == [f"Task {number}" for number in range(12)]
    assert len(first["tasks"]) == 10
    assert second["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["%%%", "bm90IGpzb24", "WyJ4Il0", "e30", "WyIyMDI2IiwgIngiXQ"])
async def test_a_cursor_that_is_not_ours_is_refused(company: Company, cursor: str) -> None:
    for name, arguments in (
        ("list_projects", {}),
        ("list_tasks_in_project", {"project_id": str(company.open_id)}),
    ):
        result = await company.door.call(company.alice, name, cursor=cursor, **arguments)

        assert isinstance(result, Failed)
        assert result.code == "invalid_cursor"


async def test_creating_twice_under_one_key_creates_once_and_answers_the_same(
    company: Company,
) -> None:
    arguments = {"project_id": str(company.open_id), "title": "Once"}

    first = await company.door.under("one").call(company.alice, "create_task", **arguments)
    second = await company.door.under("one").call(company.alice, "create_task", **arguments)

    assert isinstance(first, Succeeded)
    assert first == second
    assert await company.titles(company.alice) == ["Once"]


async def test_the_same_call_many_times_at_once_has_one_effect(company: Company) -> None:
    arguments = {"project_id": str(company.open_id), "title": "Once"}

    results = await asyncio.gather(
        *(
            company.door.under("one").call(company.alice, "create_task", **arguments)
            for _ in range(6)
        )
    )

    assert len({str(result) for result in results}) == 1
    assert isinstance(results[0], Succeeded)
    assert await company.titles(company.alice) == ["Once"]


async def test_a_repeated_status_change_answers_with_the_same_inverse(company: Company) -> None:
    task_id = await company.task()
    arguments = {"task_id": task_id, "status": "done"}

    first = await company.door.under("one").call(company.alice, "update_task_status", **arguments)
    second = await company.door.under("one").call(company.alice, "update_task_status", **arguments)

    assert first == second
    assert isinstance(second, Succeeded)
    assert second.inverse is not None
    assert second.inverse.arguments == {"task_id": task_id, "status": "todo", "put": "done"}


async def test_repeated_effects_of_every_kind_happen_once(company: Company) -> None:
    task_id = await company.task()
    chain: list[tuple[str, dict[str, object]]] = [
        ("assign_task", {"task_id": task_id, "assignee": "bob@acme.test"}),
        ("send_message_to_user", {"recipient": "bob@acme.test", "text": "Yours."}),
        ("delete_task", {"task_id": task_id}),
        ("restore_task", {"task_id": task_id}),
    ]
    for name, arguments in chain:
        first = await company.door.under(name).call(company.alice, name, **arguments)
        second = await company.door.under(name).call(company.alice, name, **arguments)
        assert isinstance(first, Succeeded)
        assert first == second

    async with company.database.for_tenant(company.alice.tenant_id) as connection:
        assert await connection.scalar(select(func.count()).select_from(messages)) == 1


async def test_undoing_a_status_change_brings_the_old_status_back(company: Company) -> None:
    task_id = await company.task()
    done = await company.door.call(
        company.alice, "update_task_status", task_id=task_id, status="done"
    )

    await company.door.undo(company.alice, done)

    assert await company.titles(company.alice, status="todo") == ["Write the report"]


@pytest.mark.parametrize(
    ("name", "mine", "theirs"),
    [
        ("update_task_status", {"status": "done"}, {"status": "blocked"}),
        ("assign_task", {"assignee": "bob@acme.test"}, {"assignee": "alice@acme.test"}),
    ],
)
async def test_undo_does_not_overwrite_what_somebody_changed_since(
    company: Company, name: str, mine: dict[str, object], theirs: dict[str, object]
) -> None:
    task_id = await company.task()
    changed = await company.door.under("one").call(company.alice, name, task_id=task_id, **mine)
    await company.door.under("two").call(company.bob, name, task_id=task_id, **theirs)

    undone = await company.door.undo(company.alice, changed)

    assert isinstance(undone, Failed)
    assert undone.code == "changed_since"


async def test_undoing_an_assignment_brings_the_old_assignee_back(company: Company) -> None:
    task_id = await company.task(assignee="bob@acme.test")
    taken = await company.door.call(company.alice, "assign_task", task_id=task_id, assignee=None)
    assert await company.titles(company.alice, assignee="bob@acme.test") == []

    await company.door.undo(company.alice, taken)

    assert await company.titles(company.alice, assignee="bob@acme.test") == ["Write the report"]


async def test_a_deleted_task_is_gone_until_undo_brings_it_back_as_it_was(
    company: Company, clock: SteadyClock
) -> None:
    task_id = await company.task(assignee="bob@acme.test", due_date="2026-12-01")
    deleted = await company.door.call(company.alice, "delete_task", task_id=task_id)

    assert isinstance(deleted, Succeeded)
    assert deleted.output == {"task_id": task_id, "deleted": True}
    assert await company.titles(company.alice) == []
    with pytest.raises(NotFound):
        await company.door.preview(company.alice, "delete_task", task_id=task_id)

    clock.move(seconds=30 * DAY)
    preview = await company.door.preview(company.alice, "restore_task", task_id=task_id)
    assert preview is not None
    restored = await company.door.undo(company.alice, deleted)
    assert isinstance(restored, Succeeded)
    assert await company.titles(company.alice, assignee="bob@acme.test") == ["Write the report"]


async def test_what_was_deleted_more_than_thirty_days_ago_stays_deleted(
    company: Company, clock: SteadyClock
) -> None:
    task_id = await company.task()
    deleted = await company.door.call(company.alice, "delete_task", task_id=task_id)
    clock.move(seconds=30 * DAY + 1)

    undone = await company.door.undo(company.alice, deleted)

    assert isinstance(undone, Failed)
    assert undone.code == "too_late_to_undo"
    assert undone.facts == {"days": 30}
    with pytest.raises(Conflict, match="too_late_to_undo"):
        await company.door.preview(company.alice, "restore_task", task_id=task_id)


async def test_restoring_what_is_not_deleted_finds_nothing(company: Company) -> None:
    task_id = await company.task()

    result = await company.door.call(company.alice, "restore_task", task_id=task_id)

    assert isinstance(result, Failed)
    assert result.code == "not_found"


async def test_undoing_a_creation_removes_the_task(company: Company) -> None:
    created = await company.door.call(
        company.alice, "create_task", project_id=str(company.open_id), title="Oops"
    )

    undone = await company.door.under("undo").undo(company.alice, created)
    again = await company.door.under("undo").undo(company.alice, created)

    assert isinstance(undone, Succeeded)
    assert undone == again
    assert await company.titles(company.alice) == []


async def test_a_creation_that_others_have_worked_on_is_left_alone(company: Company) -> None:
    created = await company.door.call(
        company.alice, "create_task", project_id=str(company.open_id), title="Shared"
    )
    assert isinstance(created, Succeeded)
    assert created.inverse is not None
    task_id = created.inverse.arguments["task_id"]
    for person in (company.bob, company.alice):
        await company.door.output(person, "update_task_status", task_id=task_id, status="blocked")

    undone = await company.door.undo(company.alice, created)

    assert isinstance(undone, Failed)
    assert undone.code == "changed_since"
    assert await company.titles(company.alice) == ["Shared"]


async def test_a_creation_is_taken_back_by_its_creator_or_an_admin_only(company: Company) -> None:
    created = await company.door.call(
        company.alice, "create_task", project_id=str(company.open_id), title="Mine"
    )

    by_another = await company.door.undo(company.bob, created)
    by_an_admin = await company.door.undo(company.carol, created)

    assert isinstance(by_another, Failed)
    assert by_another.code == "not_found"
    assert isinstance(by_an_admin, Succeeded)


async def test_what_a_person_may_not_see_answers_as_what_is_not_there(company: Company) -> None:
    output = await company.door.output(
        company.bob, "create_task", project_id=str(company.closed_id), title="Secret"
    )
    hidden: list[tuple[str, dict[str, object]]] = [
        ("list_tasks_in_project", {"project_id": str(company.closed_id)}),
        ("create_task", {"project_id": str(company.closed_id), "title": "x"}),
        *(
            (name, {"task_id": output["task"]["id"], **more})
            for name, more in (
                ("update_task_status", {"status": "done"}),
                ("assign_task", {"assignee": None}),
                ("delete_task", {}),
                ("remove_created_task", {}),
                ("restore_task", {}),
            )
        ),
    ]
    for viewer in (company.alice, company.dave):
        for name, arguments in hidden:
            absent = {**arguments}
            absent[next(iter(absent))] = str(uuid4())
            refused = await company.door.call(viewer, name, **arguments)
            assert isinstance(refused, Failed)
            assert refused == await company.door.call(viewer, name, **absent)
            assert refused.code == "not_found"
            if name != "list_tasks_in_project":
                with pytest.raises(NotFound):
                    await company.door.preview(viewer, name, **arguments)


@pytest.mark.parametrize("named", ["bob@acme.test", "dave@globex.test", "nobody@acme.test"])
async def test_nobody_disabled_or_foreign_is_assigned_or_messaged(
    company: Company, named: str
) -> None:
    task_id = await company.task()
    await disable(company, company.bob)
    attempts: list[tuple[str, dict[str, object]]] = [
        ("assign_task", {"task_id": task_id, "assignee": named}),
        ("send_message_to_user", {"recipient": named, "text": "Hello"}),
        ("create_task", {"project_id": str(company.open_id), "title": "x", "assignee": named}),
    ]

    for name, arguments in attempts:
        result = await company.door.call(company.alice, name, **arguments)
        assert isinstance(result, Failed)
        assert (result.code, result.facts) == ("not_found", {"noun": "person"})
        with pytest.raises(NotFound):
            await company.door.preview(company.alice, name, **arguments)


async def test_an_archived_project_takes_no_new_tasks(company: Company) -> None:
    async with company.database.for_tenant(company.alice.tenant_id) as connection:
        await connection.execute(
            update(projects).where(projects.c.id == company.open_id).values(status="archived")
        )
    arguments = {"project_id": str(company.open_id), "title": "Too late"}

    result = await company.door.call(company.alice, "create_task", **arguments)

    assert isinstance(result, Failed)
    assert result.code == "project_archived"
    with pytest.raises(Conflict, match="project_archived"):
        await company.door.preview(company.alice, "create_task", **arguments)


async def test_a_message_reaches_its_recipient_in_full(company: Company) -> None:
    text = "Ünïcode, 'quotes' and {braces}\n" * 100
    output = await company.door.output(
        company.alice, "send_message_to_user", recipient="bob@acme.test", text=text
    )

    async with company.database.for_tenant(company.alice.tenant_id) as connection:
        row = (await connection.execute(select(messages))).one()
    assert row.id == UUID(output["message_id"])
    assert (row.sender_id, row.recipient_id, row.text) == (company.alice.id, company.bob.id, text)


async def test_previews_tell_what_would_change_and_change_nothing(company: Company) -> None:
    task_id = await company.task(assignee="bob@acme.test", due_date="2026-12-01")
    told: dict[str, object] = {}
    for name, arguments in (
        ("create_task", {"project_id": str(company.open_id), "title": "New"}),
        ("update_task_status", {"task_id": task_id, "status": "done"}),
        ("assign_task", {"task_id": task_id, "assignee": "alice@acme.test"}),
        ("delete_task", {"task_id": task_id}),
        ("remove_created_task", {"task_id": task_id}),
        ("send_message_to_user", {"recipient": "bob@acme.test", "text": "Hello"}),
    ):
        preview = await company.door.preview(company.alice, name, **arguments)
        assert preview is not None
        changes = {change.field: (change.before, change.after) for change in preview.changes}
        told[name] = (preview.summary, changes, preview.reversible)

    assert told == {
        "create_task": (
            'Create the task "New" in Website.',
            {"title": (None, "New"), "status": (None, "todo"), "priority": (None, "normal")},
            True,
        ),
        "update_task_status": (
            'Set "Write the report" in Website to done.',
            {"status": ("todo", "done")},
            True,
        ),
        "assign_task": (
            'Assign "Write the report" in Website to alice@acme.test.',
            {"assignee": ("bob@acme.test", "alice@acme.test")},
            True,
        ),
        "delete_task": (
            'Delete the task "Write the report" in Website.',
            {
                "title": ("Write the report", None),
                "status": ("todo", None),
                "priority": ("normal", None),
                "assignee": ("bob@acme.test", None),
                "due_date": ("2026-12-01", None),
            },
            True,
        ),
        "remove_created_task": (
            'Take back the new task "Write the report" in Website.',
            {"task": ("Write the report", None)},
            False,
        ),
        "send_message_to_user": (
            "Send a message to bob@acme.test.",
            {"text": (None, "Hello")},
            False,
        ),
    }
    async with company.database.for_tenant(company.alice.tenant_id) as connection:
        assert await connection.scalar(select(func.count()).select_from(tasks)) == 1
    assert await company.titles(company.alice, assignee="bob@acme.test") == ["Write the report"]


async def test_taking_a_task_from_everybody_is_shown_as_such(company: Company) -> None:
    task_id = await company.task(assignee="bob@acme.test")

    preview = await company.door.preview(
        company.alice, "assign_task", task_id=task_id, assignee=None
    )

    assert preview is not None
    assert preview.summary == 'Assign "Write the report" in Website to nobody.'
    assert [(change.before, change.after) for change in preview.changes] == [
        ("bob@acme.test", None)
    ]


async def test_a_title_of_nothing_but_space_is_refused(company: Company) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await company.task("   ")

    assert refusal.value.facts["path"] == "title"
