"""A tool that does nothing, and the script of a model that calls it ten times."""

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


BENCH: Pack[None] = Pack(name="bench", tools=(count,))


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
