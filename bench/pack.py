"""Tools that do nothing, and the script of a model that calls one of them ten times."""

from pydantic import Field

from core.domain.tool import Risk
from core.tools.authoring import Arguments, Context, Output, Pack, tool

STEPS = 10


class Count(Arguments):
    """A number to count on from."""

    n: int = Field(description="a number", ge=0, le=1_000_000)


class Counted(Output):
    """The next number."""

    n: int


@tool(risk=Risk.SAFE)
async def count(arguments: Count, context: Context[None]) -> Counted:  # noqa: ARG001 - the shape of a tool
    """Count on by one. Returns the next number. Use it to measure everything around it."""
    return Counted(n=arguments.n + 1)


class Echo(Arguments):
    """A text to return."""

    text: str = Field(description="a text", max_length=10_000)


class Echoed(Output):
    """The same text."""

    text: str


@tool(risk=Risk.SAFE, cost_micros=1)
async def echo(arguments: Echo, context: Context[None]) -> Echoed:  # noqa: ARG001 - the shape of a tool
    """Return the text unchanged. It costs something, so that a call is metered."""
    return Echoed(text=arguments.text)


BENCH: Pack[None] = Pack(name="bench", tools=(count, echo))


def script_of_steps() -> str:
    """Return the YAML of a run of ten steps: nine with a call, and the answer."""
    turns = "".join(
        f"      - say: {'Counting on, and on. ' * 10}\n"
        f"        calls: [{{tool: count, arguments: {{n: {n}}}}}]\n"
        for n in range(STEPS - 1)
    )
    parked = (
        "  - contains: delete\n    turns:\n      - calls: [{tool: delete_task,"
        ' arguments: {task_id: "${{ match.task }}"}}]\n      - say: Done.\n'
    ).replace("contains: delete", "match: 'delete (?P<task>[0-9a-f-]{36})'")
    return f"scripts:\n  - contains: count\n    turns:\n{turns}      - say: Done.\n{parked}"
