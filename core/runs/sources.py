"""What a run's answer rests on: the documents that its tools have read. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.domain.canonical import Json
from core.domain.run import Run
from core.domain.tool import Succeeded

_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document that a run has seen: its id, and its title as it was then."""

    id: str
    title: str


def sources_of(run: Run) -> tuple[Source, ...]:
    """Return the documents that the run's tools have read, then those that they only found.

    Each once, in the order in which they came, 50 at most. ``run`` has its steps.
    """
    results = [
        (record.call.tool, record.result.output)
        for step in run.steps
        for record in step.calls
        if isinstance(record.result, Succeeded)
    ]
    read = [output.get("document") for tool, output in results if tool == "read_document"]
    found = [
        one
        for tool, output in results
        if tool == "search_documents"
        for one in _each(output.get("documents"))
    ]
    sources: dict[str, Source] = {}
    for document in (*read, *found):
        match document:
            case {"id": str() as told, "title": str() as title}:
                sources.setdefault(told, Source(id=told, title=title))
            case _:
                pass
    return tuple(sources.values())[:_MOST]


def _each(value: Json) -> Iterator[Json]:
    if isinstance(value, list):
        yield from value
