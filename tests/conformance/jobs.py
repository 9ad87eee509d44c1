"""The suite's jobs as tools of a pack: they pass the door, and make tasks of themselves."""

import asyncio

from pydantic import Field

from core.domain.tool import Preview, Risk
from core.errors import Unavailable
from core.tools.authoring import Arguments, BoundPack, Context, EffectContext, Output, Pack, tool
from sallyport.assembly import Assembly


class Whom(Arguments):
    """Somebody to greet."""

    name: str = Field(description="A name.", max_length=100)


class Greeting(Output):
    """A greeting."""

    greeting: str


class Job(Arguments):
    """A job that takes its time."""

    seconds: float = Field(0, ge=0, le=60, description="How long it takes.")
    label: str = Field("", max_length=100, description="What it is called.")


class Ended(Output):
    """What a job leaves behind."""

    label: str


async def _what_it_does(arguments: Job, context: Context[None]) -> Preview:  # noqa: ARG001 - the shape of a preview
    return Preview(summary=f"Take {arguments.seconds:g} seconds.")


@tool(risk=Risk.SAFE)
async def greet(arguments: Whom, context: Context[None]) -> Greeting:  # noqa: ARG001 - the shape of a tool
    """Greet somebody. Returns a greeting."""
    return Greeting(greeting=f"Hello, {arguments.name}!")


@tool(risk=Risk.CAUTIOUS, preview=_what_it_does)
async def slow_compute(arguments: Job, context: EffectContext[None]) -> Ended:  # noqa: ARG001 - the shape of a tool
    """Take some time. Returns the label."""
    await asyncio.sleep(arguments.seconds)
    return Ended(label=arguments.label)


@tool(risk=Risk.CAUTIOUS, preview=_what_it_does)
async def failing_job(arguments: Job, context: EffectContext[None]) -> Ended:  # noqa: ARG001 - the shape of a tool
    """Fail after a while. Returns nothing."""
    await asyncio.sleep(1)
    raise Unavailable("tool_unavailable")


JOBS: Pack[None] = Pack(name="jobs", tools=(greet, slow_compute, failing_job))


class JobsAssembly(Assembly):
    """The real parts, and the suite's jobs."""

    def packs(self) -> tuple[BoundPack, ...]:
        """Return the built-in packs and the jobs."""
        return (*super().packs(), JOBS.bound(None))
