"""Sources: the documents that a run's tools have read, each once."""

from core.domain.canonical import Json
from core.domain.run import Run
from core.domain.tool import Failed, Succeeded
from core.runs.sources import Source, sources_of
from tests.nouns import a_run, a_step


def document(name: str) -> dict[str, Json]:
    return {"id": name, "title": f"About {name}", "content": "…"}


def test_what_was_read_comes_before_what_was_found_and_each_once() -> None:
    found: list[Json] = [document("a"), document("b")]
    run = a_run(
        steps=[
            a_step(1, Succeeded(output={"documents": found}), tool="search_documents"),
            a_step(2, Succeeded(output={"document": document("b")}), tool="read_document"),
            a_step(3, Succeeded(output={"document": document("b")}), tool="read_document"),
        ]
    )
    assert sources_of(run) == (
        Source(id="b", title="About b"),
        Source(id="a", title="About a"),
    )


def test_what_failed_or_is_something_else_is_no_source() -> None:
    steps = [
        a_step(1, Failed(code="not_found", message="No."), tool="read_document"),
        a_step(2, Succeeded(output={"document": "x"}), tool="read_document"),
        a_step(3, Succeeded(output={"documents": "x"}), tool="search_documents"),
        a_step(4, Succeeded(output={"document": document("a")}), tool="write_document"),
    ]
    assert sources_of(a_run(steps=steps)) == ()


def test_they_are_bounded() -> None:
    many: list[Json] = [document(str(number)) for number in range(200)]
    run: Run = a_run(
        steps=[a_step(1, Succeeded(output={"documents": many}), tool="search_documents")]
    )
    assert len(sources_of(run)) == 50
