"""A world whose model says what it is told and whose tools do what a test needs."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

# Any: a test looks into rows as they are.
from typing import Any
from uuid import uuid4

from pydantic import Field
from sqlalchemy import Table, select, true

from core.cedar import CedarPolicy
from core.domain.canonical import JsonObject
from core.domain.model import AssistantTurn, ModelAnswer, Prompt, ToolUse
from core.domain.principal import Caller
from core.domain.run import AgentVersion, CallRecord, Run
from core.domain.tool import Preview, Risk
from core.ports import LanguageModel, OnText, Policy
from core.store.database import Database
from core.store.tables import audit_records
from core.tools.authoring import (
    Arguments,
    BoundPack,
    Context,
    Done,
    EffectContext,
    Output,
    Pack,
    tool,
)
from sallyport.assembly import Assembly
from sallyport.settings import Settings
from tests.databases import Urls, database_on
from tests.nouns import AGENT, an_answer
from tests.world import World, settings_for

Hook = Callable[[], Awaitable[None]]

LOOK_COSTS = 10
MOST = 5


@dataclass(slots=True)
class Bench:
    """What the tools work on: ``made`` is each call with its key, in the order of their effects."""

    made: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    hooks: dict[str, Hook] = field(default_factory=dict[str, Hook])
    shown: str = "the thing as it is"

    async def work(self, name: str, key: str) -> None:
        if name in self.hooks:
            await self.hooks[name]()
        self.made.append((name, key))

    @property
    def names(self) -> list[str]:
        """The names of the things that were worked on."""
        return [name for name, _ in self.made]


class Thing(Arguments):
    name: str = Field(max_length=100, description="Which thing.")
    times: int = Field(1, ge=1, le=9, description="How often.")


class Worked(Output):
    name: str


async def what_happens(arguments: Thing, context: Context[Bench]) -> Preview:
    """Show the thing."""
    if "preview" in context.store.hooks:
        await context.store.hooks["preview"]()
    return Preview(summary=f"Work on {arguments.name}.", target=context.store.shown)


@tool(risk=Risk.SAFE, cost_micros=LOOK_COSTS)
async def look(arguments: Thing, context: Context[Bench]) -> Worked:
    """Look at a thing. Returns its name."""
    await context.store.work(arguments.name, "")
    return Worked(name=arguments.name)


@tool(risk=Risk.CAUTIOUS, preview=what_happens, undo="pull")
async def push(arguments: Thing, context: EffectContext[Bench]) -> Done[Worked]:
    """Push a thing. Returns its name."""
    await context.store.work(arguments.name, context.effect.key)
    return Done(Worked(name=arguments.name), undo=arguments)


@tool(risk=Risk.CAUTIOUS, preview=what_happens, listed=False)
async def pull(arguments: Thing, context: EffectContext[Bench]) -> Worked:
    """Pull a thing back. Returns its name."""
    await context.store.work(arguments.name, context.effect.key)
    return Worked(name=arguments.name)


@tool(risk=Risk.CAUTIOUS, preview=what_happens, idempotent=False)
async def fire(arguments: Thing, context: EffectContext[Bench]) -> Worked:
    """Fire a thing, each time anew. Returns its name."""
    await context.store.work(arguments.name, context.effect.key)
    return Worked(name=arguments.name)


@tool(risk=Risk.DESTRUCTIVE, preview=what_happens, idempotent=False)
async def smash(arguments: Thing, context: EffectContext[Bench]) -> Worked:
    """Smash a thing. Returns its name."""
    await context.store.work(arguments.name, context.effect.key)
    return Worked(name=arguments.name)


@tool(risk=Risk.IRREVERSIBLE, preview=what_happens, needed=2)
async def launch(arguments: Thing, context: EffectContext[Bench]) -> Worked:
    """Launch a thing, if two people agree. Returns its name."""
    await context.store.work(arguments.name, context.effect.key)
    return Worked(name=arguments.name)


TOOLS: Pack[Bench] = Pack(name="bench", tools=(look, push, pull, fire, smash, launch))

HASTY: Pack[Bench] = Pack(
    name="bench",
    tools=tuple(replace(one, terms={**one.terms, "timeout_seconds": 0.1}) for one in TOOLS.tools),
)
"""The same tools, soon out of patience: for calls that hang."""

Line = str | ModelAnswer | Sequence[ToolUse] | Exception | Callable[[], Awaitable["Line"]]


class Lines:
    """A language model that says its lines in order: which one is next, the prompt tells."""

    def __init__(self, *lines: Line) -> None:
        self.lines = lines
        self.prompts: list[Prompt] = []

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        self.prompts.append(prompt)
        said = sum(isinstance(message, AssistantTurn) for message in prompt.messages)
        line = self.lines[said] if said < len(self.lines) else "That is all."
        while callable(line):
            line = await line()
        match line:
            case str():
                await on_text(line)
                return an_answer(line)
            case ModelAnswer():
                return line
            case Exception():
                raise line
            case calls:
                return an_answer("", *calls)

    def most_micros(self, prompt: Prompt) -> int:
        del prompt
        return MOST


def use(tool_name: str, /, **arguments: object) -> ToolUse:
    """Return a call as the model asks for it."""
    told: JsonObject = arguments  # pyright: ignore[reportAssignmentType] - JSON, as tests write it
    return ToolUse(handle=f"call_{uuid4().hex}", name=tool_name, arguments=told)


async def never() -> None:
    """Wait until somebody breaks it off."""
    await asyncio.Event().wait()


class Workshop(Assembly):
    """The real assembly, with another model, other tools and, where wanted, other rules."""

    def __init__(
        self,
        settings: Settings,
        *,
        url: str,
        lines: Lines,
        agent: AgentVersion | None = None,
        rules: str = "",
        tools: Pack[Bench] = TOOLS,
        database: Database | None = None,
    ) -> None:
        self.lines = lines
        self.bench = Bench()
        self._rules = rules
        self._pack = tools
        super().__init__(settings, url=url, agent=agent, database=database)

    def build_model(self) -> LanguageModel:
        return self.lines

    def build_policy(self) -> Policy:
        return CedarPolicy(added=self._rules)

    def packs(self) -> Sequence[BoundPack]:
        return (*super().packs(), self._pack.bound(self.bench))


class Workplace(World):
    """A world in a workshop, and what a test wants to see of it."""

    def __init__(self, assembly: Workshop) -> None:
        super().__init__(assembly)
        self.bench = assembly.bench
        self.lines = assembly.lines

    async def calls(self, caller: Caller, run: Run) -> list[CallRecord]:
        """Return the run's calls as they stand now, in their order."""
        now = await self.app.run(caller, run_id=run.id)
        return [record for step in now.steps for record in step.calls]

    async def audit(self, caller: Caller, action: str = "") -> list[Mapping[str, Any]]:
        """Return what the audit holds of the caller's company, of one action where one is named."""
        wanted = audit_records.c.action == action if action else true()
        query = select(audit_records).where(wanted).order_by(audit_records.c.seq)
        async with self.assembly.database.for_tenant(caller.tenant_id) as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [{**row, **json.loads(row["content"])} for row in rows]

    async def rows(self, caller: Caller, table: Table) -> Sequence[Mapping[str, Any]]:
        """Return every row of one table that the caller's company has."""
        async with self.assembly.database.for_tenant(caller.tenant_id) as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]


@asynccontextmanager
async def workplace_on(
    urls: Urls,
    folder: Path,
    *lines: Line,
    rules: str = "",
    tools: Pack[Bench] = TOOLS,
    agent: AgentVersion = AGENT,
) -> AsyncGenerator[Workplace]:
    """Put a workplace together."""
    script = folder / f"script-{uuid4().hex}.yaml"
    script.write_text("scripts: [{contains: x, turns: [{say: x}]}]", encoding="utf-8")
    async with database_on(urls) as database:
        assembly = Workshop(
            settings_for(folder, script=script),
            url=urls.app,
            lines=Lines(*lines),
            agent=agent,
            rules=rules,
            tools=tools,
            database=database,
        )
        yield Workplace(assembly)
