"""The documents pack on real tables: search, versions, and what can be taken back."""

from dataclasses import dataclass
from uuid import uuid4

import pytest

from core.domain.principal import Principal
from core.domain.tool import Failed, Succeeded
from core.errors import Conflict, InvalidInput, NotFound
from core.store.database import Database
from core.store.documents import DocumentRepository
from core.tools.builtin.documents.pack import DOCUMENTS
from core.tools.registry import Registry
from tests.builders import SteadyClock, make_person, make_tenant
from tests.permits import OpenDoor

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Two people of one tenant, one of another, and the pack between them."""

    door: OpenDoor
    alice: Principal
    bob: Principal
    dave: Principal

    async def write(self, title: str, content: str = "", **more: object) -> str:
        output = await self.door.output(
            self.alice, "write_document", title=title, content=content, **more
        )
        return output["document"]["id"]

    async def found(self, query: str, **more: object) -> list[str]:
        output = await self.door.output(self.alice, "search_documents", query=query, **more)
        return [document["title"] for document in output["documents"]]

    async def read(self, document_id: str) -> tuple[str, str, int, str]:
        output = await self.door.output(self.alice, "read_document", document_id=document_id)
        document = output["document"]
        return document["title"], document["content"], document["version"], document["author"]


@pytest.fixture
async def library(database: Database, clock: SteadyClock) -> Library:
    acme = await make_tenant(database, "acme")
    globex = await make_tenant(database, "globex")
    registry = Registry([DOCUMENTS.bound(DocumentRepository(database))], clock=clock)
    return Library(
        door=OpenDoor(registry),
        alice=await make_person(database, acme, "alice@acme.test"),
        bob=await make_person(database, acme, "bob@acme.test"),
        dave=await make_person(database, globex, "dave@globex.test"),
    )


async def test_a_written_document_is_read_as_it_was_written(library: Library) -> None:
    content = "Zeilen\nund „Zeichen“ 🚪 % _ \\ '"
    document_id = await library.write("Handbook", content)

    assert await library.read(document_id) == ("Handbook", content, 1, "alice@acme.test")


async def test_writing_over_makes_the_next_version_in_the_writers_name(library: Library) -> None:
    document_id = await library.write("Handbook", "old")

    output = await library.door.output(
        library.bob,
        "write_document",
        document_id=document_id,
        title="Handbook 2",
        content="new",
        version=1,
    )

    assert output["document"]["version"] == 2
    assert "content" not in output["document"]
    assert await library.read(document_id) == ("Handbook 2", "new", 2, "bob@acme.test")


async def test_a_write_over_another_version_than_was_read_is_refused(library: Library) -> None:
    document_id = await library.write("Handbook", "old")
    await library.write("Handbook", "newer", document_id=document_id)
    stale = {"document_id": document_id, "title": "x", "content": "y", "version": 1}

    result = await library.door.call(library.alice, "write_document", **stale)

    assert isinstance(result, Failed)
    assert (result.code, result.facts) == ("wrong_version", {"version": 2})
    with pytest.raises(Conflict, match="wrong_version"):
        await library.door.preview(library.alice, "write_document", **stale)
    assert (await library.read(document_id))[1] == "newer"


async def test_search_wants_every_word_in_title_or_content_in_any_order(library: Library) -> None:
    await library.write("Travel policy", "Trains before planes.")
    await library.write("Kitchen", "No policy here.")

    assert await library.found("planes POLICY") == ["Travel policy"]
    assert sorted(await library.found("policy")) == ["Kitchen", "Travel policy"]
    assert await library.found("policy unicorn") == []


async def test_search_puts_documents_with_the_words_in_their_title_first(library: Library) -> None:
    await library.write("Travel", "x")
    await library.write("Other", "all about travel")

    assert await library.found("travel") == ["Travel", "Other"]


@pytest.mark.parametrize("query", ["%", "_", "\\", "100%", "a_b", "/"])
async def test_search_takes_wildcards_as_plain_characters(library: Library, query: str) -> None:
    await library.write("Plain", "aXb 100 and more")
    await library.write("Marked", f"before {query} after")

    assert await library.found(query) == ["Marked"]


async def test_search_shows_what_stands_around_the_first_word(library: Library) -> None:
    await library.write("Long", "x" * 5000 + " needle " + "y" * 5000)

    output = await library.door.output(library.alice, "search_documents", query="Needle")

    snippet = output["documents"][0]["snippet"]
    assert " needle " in snippet
    assert len(snippet) == 200


async def test_search_returns_ten_unless_told_otherwise_and_fifty_at_most(library: Library) -> None:
    for number in range(12):
        await library.write(f"Note {number}")

    assert len(await library.found("note")) == 10
    assert len(await library.found("note", limit=50)) == 12
    with pytest.raises(InvalidInput):
        await library.found("note", limit=51)


@pytest.mark.parametrize("query", ["", "   ", "x" * 2001])
async def test_search_refuses_a_query_of_nothing_or_too_much(library: Library, query: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await library.found(query)

    assert refusal.value.facts["path"] == "query"


async def test_writing_twice_under_one_key_writes_once_and_answers_the_same(
    library: Library,
) -> None:
    document_id = await library.write("Handbook", "old")
    door = library.door.under("one")
    arguments = {"document_id": document_id, "title": "Handbook", "content": "new"}

    first = await door.call(library.alice, "write_document", **arguments)
    second = await door.call(library.alice, "write_document", **arguments)

    assert isinstance(first, Succeeded)
    assert first == second
    assert (await library.read(document_id))[2] == 2


async def test_undoing_a_write_brings_the_version_before_back(library: Library) -> None:
    document_id = await library.write("Handbook", "old")
    written = await library.door.call(
        library.bob, "write_document", document_id=document_id, title="Oops", content="bad"
    )
    undo = library.door.under("undo")

    first = await undo.undo(library.bob, written)
    second = await undo.undo(library.bob, written)

    assert isinstance(first, Succeeded)
    assert first == second
    assert await library.read(document_id) == ("Handbook", "old", 3, "bob@acme.test")


async def test_undoing_the_first_write_removes_the_document(library: Library) -> None:
    written = await library.door.call(
        library.alice, "write_document", title="Oops", content="needle"
    )

    await library.door.undo(library.alice, written)

    assert await library.found("needle") == []


async def test_a_write_that_others_have_written_over_is_not_taken_back(library: Library) -> None:
    written = await library.door.call(library.alice, "write_document", title="A", content="1")
    assert isinstance(written, Succeeded)
    assert written.inverse is not None
    document_id = str(written.inverse.arguments["document_id"])
    await library.door.output(
        library.bob, "write_document", document_id=document_id, title="A", content="2"
    )

    undone = await library.door.undo(library.alice, written)

    assert isinstance(undone, Failed)
    assert undone.code == "changed_since"
    assert (await library.read(document_id))[1] == "2"
    with pytest.raises(Conflict, match="changed_since"):
        await library.door.preview(
            library.alice, "take_back_document_write", **written.inverse.arguments
        )


async def test_a_deleted_document_comes_back_within_thirty_days(
    library: Library, clock: SteadyClock
) -> None:
    document_id = await library.write("Handbook", "needle")
    delete = library.door.under("delete")
    deleted = await delete.call(library.alice, "delete_document", document_id=document_id)
    assert deleted == await delete.call(library.alice, "delete_document", document_id=document_id)
    assert isinstance(deleted, Succeeded)
    assert deleted.output == {"document_id": document_id, "deleted": True}
    assert await library.found("needle") == []

    clock.move(seconds=30 * DAY)
    undo = library.door.under("undo")
    restored = await undo.undo(library.alice, deleted)

    assert isinstance(restored, Succeeded)
    assert restored == await undo.undo(library.alice, deleted)
    assert await library.read(document_id) == ("Handbook", "needle", 1, "alice@acme.test")


async def test_a_document_deleted_longer_ago_stays_deleted(
    library: Library, clock: SteadyClock
) -> None:
    document_id = await library.write("Handbook")
    deleted = await library.door.call(library.alice, "delete_document", document_id=document_id)
    clock.move(seconds=30 * DAY + 1)

    undone = await library.door.undo(library.alice, deleted)

    assert isinstance(undone, Failed)
    assert undone.code == "too_late_to_undo"
    with pytest.raises(Conflict, match="too_late_to_undo"):
        await library.door.preview(library.alice, "restore_document", document_id=document_id)


async def test_another_tenants_document_answers_as_one_that_is_not_there(library: Library) -> None:
    there = await library.write("Secret", "needle")
    attempts: list[tuple[str, dict[str, object]]] = [
        ("read_document", {}),
        ("delete_document", {}),
        ("restore_document", {}),
        ("take_back_document_write", {"version": 1}),
        ("write_document", {"title": "x", "content": "y"}),
    ]

    for name, arguments in attempts:
        results = [
            await library.door.call(library.dave, name, document_id=document_id, **arguments)
            for document_id in (there, str(uuid4()))
        ]
        assert results[0] == results[1]
        assert isinstance(results[0], Failed)
        assert results[0].code == "not_found"
        if name != "read_document":
            with pytest.raises(NotFound):
                await library.door.preview(library.dave, name, document_id=there, **arguments)
    assert (await library.door.output(library.dave, "search_documents", query="needle")) == {
        "documents": []
    }


async def test_previews_tell_what_would_change(library: Library) -> None:
    document_id = await library.write("Handbook", "old")
    told: dict[str, object] = {}
    for label, name, arguments in (
        ("new", "write_document", {"title": "New", "content": "x" * 2001}),
        (
            "over",
            "write_document",
            {"document_id": document_id, "title": "Handbook", "content": "n"},
        ),
        ("delete", "delete_document", {"document_id": document_id}),
        ("back", "take_back_document_write", {"document_id": document_id, "version": 1}),
    ):
        preview = await library.door.preview(library.alice, name, **arguments)
        assert preview is not None
        told[label] = (preview.summary, [(c.field, c.before, c.after) for c in preview.changes])
    await library.door.output(library.alice, "delete_document", document_id=document_id)
    restore = await library.door.preview(library.alice, "restore_document", document_id=document_id)

    assert told == {
        "new": (
            'Write the new document "New".',
            [
                ("title", None, "New"),
                ("content", None, "x" * 2000 + "… (2001 characters)"),
            ],
        ),
        "over": (
            'Write over the document "Handbook".',
            [("content", "old", "n"), ("version", "1", "2")],
        ),
        "delete": (
            'Delete the document "Handbook".',
            [
                ("title", "Handbook", None),
                ("version", "1", None),
                ("content", "3 characters", None),
            ],
        ),
        "back": (
            'Take back version 1 of the document "Handbook".',
            [("content", "version 1", None)],
        ),
    }
    assert restore is not None
    assert restore.summary == 'Bring back the document "Handbook".'
