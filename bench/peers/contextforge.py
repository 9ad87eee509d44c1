"""IBM's ContextForge gateway in front of the SDK's bare server, as another peer of a served call.

The gateway runs in an environment of its own (``bench/peers/contextforge.lock``), on a database of
its own, with its limits on how often somebody may call switched off, and hands each call on to the
bare echo server over HTTP: that is what it is for. This process starts both, and ends with its
input.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx2
import uvloop

from bench.harness import peers_python
from bench.serving import server, until_told_to_end

_START_SECONDS = 120
_ADMIN = "admin@bench.test"
_MINUTES = "600"
_TICKS = os.sysconf("SC_CLK_TCK")


def _environment(url: str, *, folder: str, is_stateful: bool) -> dict[str, str]:
    return {
        "HOME": folder,
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://", 1),
        "DB_POOL_SIZE": "64",
        "CACHE_TYPE": "memory",
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(32),
        "PLATFORM_ADMIN_EMAIL": _ADMIN,
        "PLATFORM_ADMIN_PASSWORD": f"Aa1!{secrets.token_hex(8)}",
        "BASIC_AUTH_PASSWORD": f"Aa1!{secrets.token_hex(8)}",
        "LOG_LEVEL": "CRITICAL",
        "RATE_LIMITING_ENABLED": "false",
        "TOOL_CONCURRENT_LIMIT": "1000",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "USE_STATEFUL_SESSIONS": str(is_stateful).lower(),
    }


def _token(python: str, environment: Mapping[str, str]) -> str:
    made = subprocess.run(
        [
            *(python, "-m", "mcpgateway.utils.create_jwt_token", "--admin"),
            *("-u", _ADMIN, "-e", _MINUTES, "-s", environment["JWT_SECRET_KEY"]),
        ],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip().splitlines()[-1]


@contextmanager
def _gateway(
    python: str, *, port: int, environment: Mapping[str, str]
) -> Generator[subprocess.Popen[bytes]]:
    """Run the gateway until the block is left.

    Raises:
        RuntimeError: it ended before it was ready, or was not ready in time.
    """
    folder = Path(environment["HOME"])
    program = str(Path(python).with_name("mcpgateway"))
    with (folder / "gateway.log").open("w+") as said:
        process = subprocess.Popen(
            [program, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=said,
            stderr=said,
        )
        try:
            _wait_for(process, port=port)
            yield process
        except Exception as error:
            said.seek(0)
            raise RuntimeError(said.read()[-3000:]) from error
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(process: subprocess.Popen[bytes], *, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx2.Client() as http:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if http.get(f"http://127.0.0.1:{port}/health").is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
    raise RuntimeError("it did not become ready")


async def _registered(at: str, *, token: str, upstream: str) -> str:
    """Tell the gateway of its upstream server, and return the name that it gives its tool."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=at, headers=headers, timeout=60) as http:
        wanted = {"name": "bench", "url": upstream, "transport": "STREAMABLEHTTP"}
        (await http.post("/gateways", json=wanted)).raise_for_status()
        (tool,) = (await http.get("/tools")).raise_for_status().json()
    return str(tool["name"])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _serve(url: str, *, folder: str, is_stateful: bool) -> None:
    python = peers_python("contextforge")
    environment = _environment(url, folder=folder, is_stateful=is_stateful)
    with server([sys.executable, "-m", "bench.peers.bare_mcp"]) as upstream:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        with _gateway(python, port=port, environment=environment) as process:
            token = _token(python, environment)
            at = f"http://127.0.0.1:{port}"
            tool = await _registered(at, token=token, upstream=upstream.told["url"])

            async def serve(ready: Callable[[int], None]) -> None:
                ready(port)
                await asyncio.Event().wait()

            await until_told_to_end(
                serve, cpu_seconds=lambda: _cpu_seconds(process.pid), token=token, tool=tool
            )


@click.command()
@click.option("--url", required=True, help="an empty database")
@click.option("--stateful", "is_stateful", is_flag=True, help="keep sessions")
def main(*, url: str, is_stateful: bool) -> None:
    """Serve until the input ends."""
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        uvloop.run(_serve(url, folder=folder, is_stateful=is_stateful))


if __name__ == "__main__":
    main()
