"""A pack of notes in memory: the smallest whole pack, for tests of what packs are put into."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from core.domain.effect import Effect
from core.domain.ids import TenantId
from core.domain.tool import Change, Preview, Risk
from core.errors import NotFound
from core.tools.authoring import (
    Arguments,
    Context,
    Done,
    EffectContext,
    Output,
    Pack,
    tool,
)


async def nothing() -> None:
    """Stand in the way of nothing."""


@dataclass(slots=True)
class NoteStore:
    """Notes by tenant and name; ``trouble`` is awaited before anything, and may raise."""

    notes: dict[tuple[TenantId, str], str] = field(default_factory=dict[tuple[TenantId, str], str])
    effects: list[Effect] = field(default_factory=list[Effect])
    trouble: Callable[[], Awaitable[None]] = nothing

    async def text(self, tenant_id: TenantId, name: str) -> str:
        await self.trouble()
        if (tenant_id, name) not in self.notes:
            raise NotFound("not_found", noun="note")
        return self.notes[tenant_id, name]

    async def put(self, effect: Effect, name: str, text: str) -> None:
        await self.trouble()
        self.effects.append(effect)
        self.notes[effect.tenant_id, name] = text


class OneNote(Arguments):
    name: str = Field(max_length=20, min_length=1, description="The note's name.")


class Text(Output):
    text: str


class WriteNote(OneNote):
    text: str = Field("nothing yet", max_length=100, description="What it says.")


class Written(Output):
    name: str
    written: Literal[True] = True


async def what_it_writes(arguments: WriteNote, context: Context[NoteStore]) -> Preview:
    """Show the note before and after."""
    before = context.store.notes.get((context.tenant_id, arguments.name))
    await context.store.trouble()
    return Preview(
        summary=f"Write the note {arguments.name}.",
        changes=(Change(field="text", before=before, after=arguments.text),),
    )


async def what_it_erases(arguments: OneNote, context: Context[NoteStore]) -> Preview:
    """Show the note that would be gone."""
    text = await context.store.text(context.tenant_id, arguments.name)
    return Preview(
        summary=f"Erase the note {arguments.name}.",
        changes=(Change(field="text", before=text, after=None),),
        reversible=True,  # a lie, which the registry must not believe
    )


@tool(risk=Risk.SAFE)
async def read_note(arguments: OneNote, context: Context[NoteStore]) -> Text:
    """Read a note. Returns its text."""
    return Text(text=await context.store.text(context.tenant_id, arguments.name))


@tool(risk=Risk.CAUTIOUS, preview=what_it_writes, undo="erase_note")
async def write_note(arguments: WriteNote, context: EffectContext[NoteStore]) -> Done[Written]:
    """Write a note. Returns its name."""
    await context.store.put(context.effect, arguments.name, arguments.text)
    return Done(Written(name=arguments.name), undo=OneNote(name=arguments.name))


@tool(risk=Risk.CAUTIOUS, preview=what_it_erases, listed=False, idempotent=False)
async def erase_note(arguments: OneNote, context: EffectContext[NoteStore]) -> Written:
    """Erase a note. Returns its name."""
    await context.store.text(context.tenant_id, arguments.name)
    del context.store.notes[context.tenant_id, arguments.name]
    return Written(name=arguments.name)


NOTES: Pack[NoteStore] = Pack(name="notes", tools=(write_note, read_note, erase_note))
