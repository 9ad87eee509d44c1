"""A client of its own process that makes one call and waits for what comes of it.

As a program: ``python -m tests.mcp_caller URL TOKEN MODE TOOL TASK_ID``.
"""

import asyncio
import sys

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.loopback import http_client


async def _main(url: str, *, token: str, mode: str, tool: str, task_id: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    async with (
        http_client(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        await client.call_tool(tool, {"task_id": task_id})


if __name__ == "__main__":
    asyncio.run(
        _main(
            sys.argv[1], token=sys.argv[2], mode=sys.argv[3], tool=sys.argv[4], task_id=sys.argv[5]
        )
    )
