"""LangGraph with its Postgres saver: runs of ten steps, as many at once as asked for.

Usage: langgraph_steps.py URL DURABILITY CONCURRENCY SECONDS (durability: sync or async).
"""

import asyncio
import json
import sys
import time
import uuid
from typing import TypedDict

import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

STEPS = 10


class State(TypedDict):
    """What a thread carries: a counter and 200 bytes, as one of our steps does."""

    n: int
    pad: str


async def step(state: State) -> dict[str, int]:
    """Do one step."""
    return {"n": state["n"] + 1}


async def main(url: str, durability: str, concurrency: int, seconds: float) -> None:
    """Measure and print the figures."""
    pool = AsyncConnectionPool(
        url,
        min_size=min(concurrency, 20),
        max_size=20,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )
    await pool.open(wait=True)
    saver = AsyncPostgresSaver(pool)
    await saver.setup()
    graph = StateGraph(State)
    for number in range(STEPS):
        graph.add_node(f"s{number}", step)
        graph.add_edge(START if number == 0 else f"s{number - 1}", f"s{number}")
    graph.add_edge(f"s{STEPS - 1}", END)
    compiled = graph.compile(checkpointer=saver)

    async def once() -> None:
        thread = {"configurable": {"thread_id": str(uuid.uuid4())}}
        start = {"n": 0, "pad": "x" * 200}
        result = await compiled.ainvoke(start, thread, durability=durability)
        assert result["n"] == STEPS

    for _ in range(3):
        await once()
    runs = 0
    begun = time.perf_counter()
    until = begun + seconds

    async def worker() -> None:
        nonlocal runs
        while time.perf_counter() < until:
            await once()
            runs += 1

    cpu = time.process_time()
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    elapsed = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    await pool.close()
    steps = runs * STEPS
    print(json.dumps({"steps_per_second": steps / elapsed, "cpu_ms_per_step": cpu * 1e3 / steps}))


uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
