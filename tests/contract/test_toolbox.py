"""What the door relies on from every ToolBox."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

import jsonschema_rs
import pytest

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.task import ProjectId
from core.domain.tool import Failed, Succeeded
from core.errors import Forbidden, InvalidInput, NotFound
from core.ports import ToolBox
from core.store.database import Database
from core.store.seeds import create_project
from core.store.tasks import TaskRepository
from core.tools.builtin.tasks.pack import TASKS
from core.tools.registry import Registry
from tests.builders import SteadyClock, make_person, make_tenant
from tests.notes_pack import NOTES, NoteStore
from tests.permits import OpenDoor, a_call, permitted

Arguments = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A ToolBox and calls of each kind: what a test needs to know of the tools in it."""

    toolbox: ToolBox
    person: Principal
    stranger: Principal
    safe: tuple[str, Arguments]
    effect: tuple[str, Arguments]
    filled_in: str
    absent: tuple[str, Arguments]


def notes_in_memory(clock: SteadyClock) -> Room:
    tenant_ids = TenantId(uuid4()), TenantId(uuid4())
    person, stranger = (
        Principal(
            id=PrincipalId(uuid4()),
            tenant_id=tenant_id,
            email="somebody@acme.test",
            roles=frozenset({Role.MEMBER}),
            groups=frozenset(),
        )
        for tenant_id in tenant_ids
    )
    store = NoteStore(notes={(person.tenant_id, "plan"): "rest"})
    return Room(
        toolbox=Registry([NOTES.bound(store)], clock=clock),
        person=person,
        stranger=stranger,
        safe=("read_note", {"name": "plan"}),
        effect=("write_note", {"name": "new"}),
        filled_in="text",
        absent=("erase_note", {"name": "missing"}),
    )


async def tasks_on_postgresql(database: Database, clock: SteadyClock) -> Room:
    acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    project_id = ProjectId(uuid4())
    async with database.for_tenant(acme.id) as connection:
        await create_project(
            connection, acme.id, project_id=project_id, name="Website", open_to_all=True
        )
    return Room(
        toolbox=Registry([TASKS.bound(TaskRepository(database))], clock=clock),
        person=await make_person(database, acme, "alice@acme.test"),
        stranger=await make_person(database, globex, "dave@globex.test"),
        safe=("list_tasks_in_project", {"project_id": str(project_id)}),
        effect=("create_task", {"project_id": str(project_id), "title": "New"}),
        filled_in="priority",
        absent=("delete_task", {"task_id": str(uuid4())}),
    )


@pytest.fixture(params=["notes in memory", "tasks on PostgreSQL"])
async def room(request: pytest.FixtureRequest, database: Database, clock: SteadyClock) -> Room:
    if request.param == "notes in memory":
        return notes_in_memory(clock)
    return await tasks_on_postgresql(database, clock)


async def test_tools_come_by_name_and_each_is_found_by_it(room: Room) -> None:
    names = [tool.name for tool in room.toolbox.tools()]

    assert names == sorted(set(names))
    for tool in room.toolbox.tools():
        assert room.toolbox.find(tool.name) == tool


async def test_what_is_not_registered_is_not_found(room: Room) -> None:
    assert room.toolbox.find("drop_database") is None
    with pytest.raises(NotFound, match="unknown_tool"):
        await room.toolbox.preview(a_call(room.person, "drop_database"))
    tool = replace(room.toolbox.tools()[0], name="drop_database")
    with pytest.raises(NotFound, match="unknown_tool"):
        room.toolbox.checked_arguments(tool, {})
    permit = permitted(a_call(room.person, "drop_database"), tool=tool)
    result = await room.toolbox.call(permit)
    assert isinstance(result, Failed)
    assert result.code == "unknown_tool"


async def test_definitions_are_whole(room: Room) -> None:
    for tool in room.toolbox.tools():
        assert tool.description
        assert len(tool.definition_digest) == 64
        assert tool.risk.has_effect or not tool.reversible
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema_rs.meta.validate(dict(schema))
            assert schema["type"] == "object"
            assert schema["additionalProperties"] is False


async def test_checked_arguments_have_their_defaults_and_stay_as_they_are(room: Room) -> None:
    name, arguments = room.effect
    tool = OpenDoor(room.toolbox).tool(name)

    checked = room.toolbox.checked_arguments(tool, arguments)

    assert room.filled_in not in arguments
    assert room.filled_in in checked
    assert room.toolbox.checked_arguments(tool, checked) == checked


@pytest.mark.parametrize("wrong", [{}, {"unknown": 1}, {"cursor": 5}, {"": None}])
async def test_arguments_that_do_not_fit_are_refused_in_words(
    room: Room, wrong: dict[str, object]
) -> None:
    name, arguments = room.safe
    given = {**arguments, **wrong} if wrong else {}
    tool = OpenDoor(room.toolbox).tool(name)

    with pytest.raises(InvalidInput) as refusal:
        room.toolbox.checked_arguments(tool, a_call(room.person, name, **given).arguments)

    assert refusal.value.code == "invalid_arguments"
    assert refusal.value.facts["tool"] == name
    assert refusal.value.facts["detail"]


async def test_a_safe_tool_has_no_preview(room: Room) -> None:
    name, arguments = room.safe

    assert await OpenDoor(room.toolbox).preview(room.person, name, **arguments) is None


async def test_an_effect_has_a_preview_that_says_whether_it_can_be_undone(room: Room) -> None:
    name, arguments = room.effect

    preview = await OpenDoor(room.toolbox).preview(room.person, name, **arguments)

    assert preview is not None
    assert preview.changes
    assert preview.reversible == OpenDoor(room.toolbox).tool(name).reversible


async def test_a_preview_refuses_what_is_not_there(room: Room) -> None:
    name, arguments = room.absent

    with pytest.raises(NotFound):
        await OpenDoor(room.toolbox).preview(room.person, name, **arguments)


async def test_a_call_for_another_tenant_is_refused(room: Room) -> None:
    name, arguments = room.effect
    mixed = replace(a_call(room.person, name, **arguments), tenant_id=room.stranger.tenant_id)

    with pytest.raises(Forbidden, match="tenant_mismatch"):
        await room.toolbox.preview(mixed)
    result = await room.toolbox.call(permitted(mixed, tool=OpenDoor(room.toolbox).tool(name)))

    assert isinstance(result, Failed)
    assert result.code == "tenant_mismatch"


async def test_outputs_fit_their_schema_and_inverses_can_be_called(room: Room) -> None:
    door = OpenDoor(room.toolbox)
    for name, arguments in (room.safe, room.effect):
        tool = door.tool(name)
        result = await door.call(room.person, name, **arguments)

        assert isinstance(result, Succeeded)
        jsonschema_rs.validate(dict(tool.output_schema), result.output)
        assert (result.inverse is not None) == tool.reversible
        if result.inverse is not None:
            inverse = door.tool(result.inverse.tool)
            checked = room.toolbox.checked_arguments(inverse, result.inverse.arguments)
            assert checked == result.inverse.arguments
            assert isinstance(await door.undo(room.person, result), Succeeded)


async def test_a_refusal_within_a_tool_is_a_result(room: Room) -> None:
    name, arguments = room.absent

    result = await OpenDoor(room.toolbox).call(room.person, name, **arguments)

    assert isinstance(result, Failed)
    assert result.code == "not_found"
    assert result.message.startswith("There is no such ")


async def test_a_call_with_arguments_that_were_never_checked_fails(room: Room) -> None:
    name, _ = room.safe
    tool = OpenDoor(room.toolbox).tool(name)

    result = await room.toolbox.call(permitted(a_call(room.person, name, evil=1), tool=tool))

    assert isinstance(result, Failed)
    assert result.code == "invalid_arguments"
