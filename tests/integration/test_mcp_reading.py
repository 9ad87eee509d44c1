"""What an MCP client of either era reads, fills in and completes: the person's own, and no more."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.types import (
    CompletionArgument,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from core.cedar import CedarPolicy
from core.domain.principal import Audience, Caller, Role
from core.domain.task import NewTask, Priority, ProjectId, TaskId
from core.errors import Misconfigured, NotFound
from core.handbook import Handbook
from core.ports import Policy
from core.store.seeds import create_project, seed_tasks
from mcp_server.completions import Completions
from mcp_server.prompts import Prompts
from mcp_server.resources import Resources
from sallyport.assembly import Assembly
from tests.builders import make_person
from tests.databases import Urls
from tests.mcp_door import LEGACY, MODERN, called, mcp_door
from tests.scenarios.break_in import SCRIPT, Planted, plant
from tests.world import World, world_on

ERAS = pytest.mark.parametrize("mode", [LEGACY, MODERN])
NOT_FOUND = {LEGACY: -32002, MODERN: -32602}
ASKED_TO_READ = """
@id("reading-asks")
@reason("Even looking needs somebody's consent here.")
@approval
permit (principal is User, action == Action::"call", resource is Tool)
when { resource.name == "list_projects" || resource.name == "search_documents" };
"""
MANY = 130
TEMPLATES = {
    "sallyport://tools/{name}": "name",
    "sallyport://runs/{run_id}": "run_id",
    "sallyport://runs/{run_id}/page": "run_id",
    "sallyport://approvals/{approval_id}": "approval_id",
}


class ReadingAsks(Assembly):
    """A company in which people are asked before anybody looks at projects."""

    def build_policy(self) -> Policy:
        return CedarPolicy(added=ASKED_TO_READ)


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def read(client: Client, uri: str) -> str:
    """Return the text at an address, and see that it says where it is and is for nobody else."""
    result = await client.read_resource(uri)
    (content,) = result.contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    assert (result.ttl_ms, result.cache_scope) == (0, "private")
    return content.text


async def prompted(client: Client, name: str, **arguments: str) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def suggested(client: Client, name: str, argument: str, typed: str) -> list[str]:
    told = await client.complete(PromptReference(name=name), {"name": argument, "value": typed})
    return told.completion.values


async def found(client: Client, template: str, argument: str, typed: str) -> list[str]:
    told = await client.complete(
        ResourceTemplateReference(uri=template), {"name": argument, "value": typed}
    )
    return told.completion.values


async def project(
    world: World, creator: Caller, name: str, *titles: str, is_open: bool = True
) -> None:
    project_id = ProjectId(uuid4())
    new = {
        TaskId(uuid4()): NewTask(
            project_id=project_id,
            title=title,
            priority=Priority.NORMAL,
            assignee=None,
            due_date=None,
        )
        for title in titles
    }
    async with world.assembly.database.for_tenant(creator.tenant_id) as connection:
        await create_project(
            connection, creator.tenant_id, project_id=project_id, name=name, open_to_all=is_open
        )
        await seed_tasks(connection, creator.principal, new=new)


@ERAS
async def test_what_can_be_read_is_listed_and_can_be_read(world: World, mode: str) -> None:
    planted = await plant(world, "acme")
    async with mcp_door(world) as door, door.client(planted.company.member, mode=mode) as client:
        assert client.server_capabilities.resources
        listed = await client.list_resources()
        read_all = {one.uri: await read(client, one.uri) for one in listed.resources}
    assert (listed.ttl_ms, listed.cache_scope) == (0, "private")
    assert listed.next_cursor is None
    uris = [one.uri for one in listed.resources]
    assert uris == sorted(uris)
    assert {"sallyport://tools", "sallyport://policies", "sallyport://usage"} < set(uris)
    assert "sallyport://tools/delete_task" in uris
    waiting = planted.ids["run"][1]
    assert f"sallyport://runs/{waiting}" in uris
    (open_approval,) = [uri for uri in uris if "approvals" in uri]
    assert json.loads(read_all[open_approval])["run_id"] == str(waiting)
    for one in listed.resources:
        assert one.title
        assert one.description
        if one.mime_type == "application/json":
            json.loads(read_all[one.uri])
        else:
            assert one.mime_type == "text/markdown"
            assert read_all[one.uri].startswith("# ")


@ERAS
async def test_the_contract_page_tells_all_that_a_person_may_do(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        told = await read(client, "sallyport://tools")
        delete = await read(client, "sallyport://tools/delete_task")
    for tool in await world.app.tools(acme.member):
        assert f"### `{tool.name}`" in told
    assert "restore_task" not in told
    assert (
        "- Who is asked: an approver, unless an earlier yes covers it. This destroys something"
        in delete
    )
    assert "- Can it be undone: yes, by Undo" in delete
    assert "- Limits: 30 calls a minute, of your whole company; 30 seconds for a call" in delete
    assert '"task_id"' in delete


async def test_a_tool_that_is_switched_off_is_not_in_the_contract(world: World) -> None:
    acme = await world.company()
    await world.assembly.people.set_tool(acme.tenant.id, tool="delete_task", enabled=False)
    async with mcp_door(world) as door, door.client(acme.member) as client:
        assert "delete_task" not in await read(client, "sallyport://tools")
        with pytest.raises(MCPError):
            await client.read_resource("sallyport://tools/delete_task")
        names = {prompt.name for prompt in (await client.list_prompts()).prompts}
        with pytest.raises(MCPError) as refused:
            await client.get_prompt("clean_up_done_tasks", {"project": "Inbox"})
    assert "clean_up_done_tasks" not in names
    assert "weekly_overview" in names
    assert refused.value.error.data == {"code": "unknown_prompt"}


async def test_the_policies_are_told_in_words(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        told = await read(client, "sallyport://policies")
    for rule in world.app.handbook.rules(acme.member):
        assert f"`{rule.name}`" in told
    assert "- `destructive`: people are asked: whoever the tool's contract names. This" in told


@ERAS
async def test_a_run_is_told_with_steps_calls_and_verdicts(world: World, mode: str) -> None:
    planted = await plant(world, "acme")
    done, waiting, denied = planted.ids["run"]
    async with mcp_door(world) as door, door.client(planted.company.member, mode=mode) as client:
        told = json.loads(await read(client, f"sallyport://runs/{done}"))
        page = await read(client, f"sallyport://runs/{denied}/page")
        status = await called(client, "run_status", {"run_id": str(waiting)})
    assert (told["status"], told["task"][:9]) == ("completed", "For acme:")
    assert told["result"].startswith("It says")
    (call,) = told["steps"][0]["calls"]
    assert (call["tool"], call["status"]) == ("read_document", "succeeded")
    assert call["verdict"]["verdict"] == "allow"
    assert "the secret of acme" in str(call["result"])
    assert "`delete_task`: `denied`" in page
    (question,) = status["waiting_for"]
    assert status["approvals"] == [question["approval_id"]]
    assert question["summary"].startswith("Delete the task")
    assert question["approvers"] == "an approver"
    (step,) = status["steps"]
    assert [(one["tool"], one["status"]) for one in step["calls"]] == [
        ("delete_task", "pending_approval")
    ]
    assert status["budget_micros"] == 500_000


NOWHERE = (
    "sallyport://runs/11111111-1111-4111-8111-111111111111",
    "sallyport://runs/x",
    "sallyport://runs/{11111111-1111-4111-8111-111111111111}",
    "sallyport://runs/",
    "sallyport://runs/../tools",
    "sallyport://approvals/11111111-1111-4111-8111-111111111111",
    "sallyport://tools/no_such_tool",
    "sallyport://tools/restore_task",
    "sallyport://tools/" + "a" * 600,
    "sallyport://tool",
    "sallyport:",
    "file:///etc/passwd",
    "https://example.com",
    "",
)


@ERAS
async def test_what_is_not_there_is_answered_with_the_protocols_code(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        for uri in NOWHERE:
            with pytest.raises(MCPError) as raised:
                await client.read_resource(uri)
            error = raised.value.error
            assert (error.code, error.message) == (NOT_FOUND[mode], "There is no such resource.")
            assert error.data["code"] == "not_found"


async def test_a_narrow_token_reads_only_what_its_scopes_open(world: World) -> None:
    acme = await plant(world, "acme")
    async with mcp_door(world) as door:
        narrow = await world.assembly.tokens.issue(
            acme.company.member.principal,
            audience=Audience.MCP,
            scopes=frozenset({"runs:start"}),
            ttl=timedelta(hours=1),
        )
        async with door.client_with(narrow) as client:
            assert (await client.list_resources()).resources == []
            assert (await client.list_resource_templates()).resource_templates == []
            assert (await client.list_prompts()).prompts == []
            for uri in (
                "sallyport://tools",
                "sallyport://policies",
                "sallyport://usage",
                f"sallyport://runs/{acme.ids['run'][0]}",
            ):
                with pytest.raises(MCPError):
                    await client.read_resource(uri)
            for template, argument in TEMPLATES.items():
                assert await found(client, template, argument, "") == []


@ERAS
async def test_templates_name_families_of_addresses(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        listed = await client.list_resource_templates()
    assert [one.uri_template for one in listed.resource_templates] == sorted(TEMPLATES)
    assert (listed.ttl_ms, listed.cache_scope) == (0, "private")


async def test_pages_join_up_to_the_whole(world: World) -> None:
    planted = await plant(world, "acme")
    caller = planted.company.member
    whole = await Resources(world.app).listed(caller, cursor=None)
    paged = Resources(world.app, page=3)
    seen: list[str] = []
    cursor = None
    while True:
        page = await paged.listed(caller, cursor=cursor)
        seen += [one.uri for one in page.resources]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [one.uri for one in whole.resources]
    first = await Prompts(world.app, page=4).listed(caller, cursor=None)
    rest = await Prompts(world.app, page=4).listed(caller, cursor=first.next_cursor)
    names = [prompt.name for prompt in (*first.prompts, *rest.prompts)]
    assert names == sorted(names)
    assert len(names) == 6
    some = paged.templates(caller, cursor=None)
    more = paged.templates(caller, cursor=some.next_cursor)
    assert len(some.resource_templates) + len(more.resource_templates) == len(TEMPLATES)


@ERAS
async def test_prompts_are_listed_and_filled_in(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        assert client.server_capabilities.prompts
        listed = await client.list_prompts()
        weekly = await prompted(client, "weekly_overview", project="{project} # {name}")
        handed = await prompted(client, "hand_over_tasks", from_person="a", to_person="b")
    assert (listed.ttl_ms, listed.cache_scope) == (0, "private")
    hand_over = next(one for one in listed.prompts if one.name == "hand_over_tasks")
    assert [(one.name, one.required) for one in hand_over.arguments or []] == [
        ("from_person", True),
        ("to_person", True),
        ("project", False),
    ]
    assert 'Give me an overview of the project "{project} # {name}".' in weekly
    assert "a hands their open tasks over to b, in: every project that I can see." in handed


@ERAS
async def test_a_prompt_that_is_not_there_or_lacks_something_is_invalid_params(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        for name, arguments, code in (
            ("no_such_prompt", {}, "unknown_prompt"),
            ("weekly_overview", {}, "invalid_prompt"),
            ("weekly_overview", {"project": "a", "more": "b"}, "invalid_prompt"),
        ):
            with pytest.raises(MCPError) as raised:
                await client.get_prompt(name, arguments)
            assert raised.value.error.code == -32602
            assert raised.value.error.data == {"code": code}


@ERAS
async def test_arguments_are_completed_from_what_is_there(world: World, mode: str) -> None:
    planted = await plant(world, "acme")
    company = planted.company
    await project(world, company.member, "Bin of inboxes", "Report the report", is_open=True)
    async with mcp_door(world) as door, door.client(company.member, mode=mode) as client:
        assert client.server_capabilities.completions is not None
        projects = await suggested(client, "weekly_overview", "project", "INB")
        every = await suggested(client, "weekly_overview", "project", "")
        wild = await suggested(client, "weekly_overview", "project", "%")
        tasks = await suggested(client, "split_task", "task_id", "report")
        people = await suggested(client, "hand_over_tasks", "from_person", "b")
        titles = await suggested(client, "find_and_summarise", "topic", "secret")
        documents = await suggested(client, "write_up", "document", "secret")
        free = await suggested(client, "write_up", "title", "x")
        tools = await found(client, "sallyport://tools/{name}", "name", "list")
        runs = await found(client, "sallyport://runs/{run_id}", "run_id", "for acme: read")
        by_id = await found(
            client, "sallyport://runs/{run_id}/page", "run_id", str(planted.ids["run"][1])[:8]
        )
        approvals = await found(
            client, "sallyport://approvals/{approval_id}", "approval_id", "delete_task"
        )
    assert projects == ["Inbox", "Bin of inboxes"]
    assert every == ["Bin of inboxes", "Inbox"]
    assert wild == []
    assert len(tasks) == 2
    assert tasks[1] == str(company.task_ids[0])
    assert people == ["beth@acme.test", "bob@acme.test"]
    assert titles == ["secret of acme"]
    assert documents == [str(planted.ids["document"][0])]
    assert free == []
    assert tools == ["list_projects", "list_tasks_in_project"]
    assert runs == [str(planted.ids["run"][0])]
    assert by_id == [str(planted.ids["run"][1])]
    assert set(approvals) == {str(one) for one in planted.ids["approval"]}


@ERAS
async def test_what_has_no_completion_is_invalid_params(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        for reference, argument in (
            (PromptReference(name="no_such_prompt"), "project"),
            (PromptReference(name="weekly_overview"), "no_such_argument"),
            (ResourceTemplateReference(uri="sallyport://runs/{run_id}"), "name"),
            (ResourceTemplateReference(uri="file:///{path}"), "path"),
        ):
            with pytest.raises(MCPError) as raised:
                await client.complete(reference, {"name": argument, "value": ""})
            assert raised.value.error.code == -32602
            assert raised.value.error.data == {"code": "unknown_completion"}


async def test_whatever_is_typed_there_is_an_answer(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        for typed in ("a\x00b", "x" * 201, "\\", "_", "'; drop table tasks; --"):
            assert await suggested(client, "weekly_overview", "project", typed) == []
            assert await found(client, "sallyport://runs/{run_id}", "run_id", typed) == []


async def test_a_hundred_are_suggested_at_most_and_that_there_are_more_is_said(
    world: World,
) -> None:
    acme = await world.company()
    await project(world, acme.member, "Big", *(f"Number {n:03}" for n in range(MANY)))
    reference = PromptReference(name="split_task")
    async with mcp_door(world) as door, door.client(acme.member) as client:
        many = await client.complete(reference, {"name": "task_id", "value": "number"})
        few = await client.complete(reference, {"name": "task_id", "value": "number 00"})
    assert len(set(many.completion.values)) == 100
    assert (many.completion.has_more, many.completion.total) == (True, None)
    assert (few.completion.has_more, few.completion.total) == (False, 10)


async def test_a_project_that_somebody_may_not_see_is_not_suggested_to_them(world: World) -> None:
    acme = await world.company()
    await project(world, acme.admin, "Layoffs", "Call the lawyer", is_open=False)
    async with mcp_door(world) as door:
        async with door.client(acme.member) as client:
            names = await suggested(client, "weekly_overview", "project", "lay")
            tasks = await suggested(client, "split_task", "task_id", "lawyer")
        async with door.client(acme.admin) as client:
            seen = await suggested(client, "weekly_overview", "project", "lay")
    assert (names, tasks, seen) == ([], [], ["Layoffs"])


async def test_where_people_are_asked_before_reading_nothing_is_suggested(
    urls: Urls, tmp_path: Path
) -> None:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=ReadingAsks) as world:
        acme = await world.company()
        async with mcp_door(world) as door, door.client(acme.member) as client:
            assert "- Who is asked: an approver" in await read(
                client, "sallyport://tools/list_projects"
            )
            assert await suggested(client, "weekly_overview", "project", "") == []
            assert await suggested(client, "find_and_summarise", "topic", "") == []


async def test_two_prompts_of_one_name_are_an_error_where_they_are_put_together(
    world: World,
) -> None:
    parts = world.assembly
    with pytest.raises(Misconfigured) as refused:
        Handbook(
            people=parts.people,
            judge=parts.judge,
            policy=CedarPolicy(),
            packs=[*parts.packs(), *parts.packs()],
        )
    assert refused.value.facts["detail"] == "two prompts share a name"


async def test_a_person_who_is_disabled_is_not_suggested(world: World) -> None:
    acme = await world.company()
    gone = await make_person(world.assembly.database, acme.tenant, "gone@acme.test", Role.MEMBER)
    async with world.assembly.database.for_tenant(acme.tenant.id) as connection:
        await connection.exec_driver_sql(
            "update principals set disabled_at = now() where id = $1", (gone.id,)
        )
    async with mcp_door(world) as door, door.client(acme.member) as client:
        assert await suggested(client, "hand_over_tasks", "to_person", "gone") == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """Two companies full of things that say their names."""

    world: World
    mine: Planted
    theirs: Planted


@pytest.fixture
async def two(urls: Urls, tmp_path: Path) -> AsyncGenerator[Two]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        mine, theirs = await plant(world, "quartzcorp"), await plant(world, "zephyrworks")
        yield Two(world=world, mine=mine, theirs=theirs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.sampled_from(["member", "approver", "admin"]),
    kind=st.sampled_from(["runs/{}", "runs/{}/page", "approvals/{}", "tools/{}"]),
    place=st.integers(0, 40),
    which=st.integers(0, 20),
    cut=st.integers(0, 36),
)
async def test_nothing_of_another_company_is_read_or_suggested(
    two: Two, who: str, kind: str, place: int, which: int, cut: int
) -> None:
    caller: Caller = getattr(two.mine.company, who)
    theirs = [str(one) for one in two.theirs.every_id]
    target = theirs[place % len(theirs)]
    with pytest.raises(NotFound) as refused:
        await Resources(two.world.app).read(caller, uri=f"sallyport://{kind.format(target)}")
    assert two.theirs.name not in str(refused.value)
    asked: list[tuple[PromptReference | ResourceTemplateReference, str]] = [
        (ResourceTemplateReference(uri=uri), name) for uri, name in TEMPLATES.items()
    ]
    for prompt in await two.world.app.handbook.prompts(caller):
        reference = PromptReference(name=prompt.name)
        asked += [(reference, argument.name) for argument in prompt.arguments]
    reference, name = asked[which % len(asked)]
    for typed in (target[:cut], two.theirs.name[:cut], "secret"):
        argument = CompletionArgument(name=name, value=typed)
        told = await Completions(two.world.app).completed(caller, of=reference, argument=argument)
        assert not set(told.completion.values) & set(theirs)
        assert two.theirs.name not in str(told.completion.values)
