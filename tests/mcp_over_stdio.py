"""One person's MCP over this process's standard streams, with a worker beside it.

As a program: ``python -m tests.mcp_over_stdio URL FOLDER TOKEN``.
"""

import asyncio
import sys
from pathlib import Path

from core.domain.principal import Audience
from mcp_server.stdio import serve_stdio
from mcp_server.waiting import Patience
from sallyport.assembly import Assembly
from tests.mcp_door import drive
from tests.world import World, settings_for


async def _main(url: str, *, folder: Path, token: str) -> None:
    assembly = Assembly(settings_for(folder), url=url)
    caller = await assembly.tokens.authenticate(token, audience=Audience.MCP)
    world = World(assembly)
    is_driving = asyncio.Event()
    is_driving.set()
    try:
        async with asyncio.TaskGroup() as group:
            worker = group.create_task(drive(world, is_driving=is_driving))
            await serve_stdio(world.app, caller=caller, patience=Patience(worker=10, people=0))
            worker.cancel()
    finally:
        await assembly.database.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], folder=Path(sys.argv[2]), token=sys.argv[3]))
