"""A governed call over MCP, beside a server that governs nothing and one that commits a row a call.

All three are served by the same function with the same settings, each in a process of its own, on
one embedded PostgreSQL; calls come over loopback from another process. Ours is what
``sallyport serve`` runs, worker and sealer included: bearer token, schema, policy, facts, the call,
its usage and its audit record in one commit under row-level security. The tool returns its text.

Usage: python -m bench.governed_call [--levels 1,8,32] [--seconds 4] [--rounds 3] [--raw]
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import click
import uvloop

from bench.harness import Databases, Figures, child, databases, median, say, table
from bench.mcp_load import LEGACY, MODERN
from bench.pack import BENCH
from bench.serving import Server, server, until_told_to_end
from core.domain.principal import Audience, Role, Tier
from core.telemetry.logs import configure_logs
from core.tools.authoring import BoundPack
from sallyport.answering import answer_http
from sallyport.assembly import Assembly
from sallyport.founding import add_person, found_tenant
from sallyport.processes import Process
from sallyport.settings import Settings, of_values
from sallyport.storage import Storage

_BARE, _ROW, _OURS = "bare", "one row", "sallyport"
_FIGURES = ("calls_per_second", "p50_ms", "p99_ms", "server_cpu_ms")


class BenchAssembly(Assembly):
    """The real parts, and the pack that does nothing."""

    def packs(self) -> tuple[BoundPack, ...]:
        """Return the built-in packs and ours."""
        return (*super().packs(), BENCH.bound(None))


async def _token(parts: Assembly) -> str:
    tenant = await found_tenant(parts, f"bench-{uuid4().hex[:8]}", tier=Tier.ENTERPRISE)
    person = await add_person(parts, tenant.id, email="member@bench.test", roles=[Role.MEMBER])
    return await parts.tokens.issue(person, audience=Audience.MCP, ttl=timedelta(hours=1))


async def _serve(settings: Settings, *, url: str, is_worker: bool) -> None:
    """Serve as ``sallyport serve`` does, on a database that is there already."""
    parts = BenchAssembly(settings, url=url)
    token = await _token(parts)
    async with parts.working() if is_worker else parts.serving() as app:
        process = Process(storage=Storage(settings.store), parts=parts, app=app)

        async def serve(ready: Callable[[int], None]) -> None:
            await answer_http(process, port=0, ready=ready)

        await until_told_to_end(serve, token=token, tool="echo")


def _serve_ours(url: str, *, is_worker: bool) -> None:
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        script = Path(folder) / "script.yaml"
        script.write_text("scripts: [{match: x, turns: [{say: y}]}]", encoding="utf-8")
        values = {"data_dir": folder, "database_url": url, "port": 0, "script": script}
        settings = of_values({**values, "llm": "scripted", "model": "scripted"})
        configure_logs(json=True, level=settings.log.log_level)
        uvloop.run(_serve(settings, url=url, is_worker=is_worker))


def _commands(where: Databases, *, worker: str) -> dict[str, list[str]]:
    peer = [sys.executable, "-m", "bench.peers.bare_mcp"]
    ours = [sys.executable, "-m", "bench.governed_call", "--serve", where.migrated("ours")]
    return {
        _BARE: peer,
        _ROW: [*peer, "--url", where.fresh("peer")],
        _OURS: [*ours, worker],
    }


def _measured(at: Server, *, era: str, level: int, seconds: float, raw: bool) -> Figures:
    load = [sys.executable, "-m", "bench.mcp_load", "--era", era, "--concurrency", str(level)]
    where = ["--url", at.told["url"], "--token", at.told["token"], "--tool", at.told["tool"]]
    before = at.cpu_seconds()
    how = ["--raw"] if raw else []
    found = child([*load, *where, *how, "--seconds", str(seconds)])
    used = (at.cpu_seconds() - before) * 1e3
    return found | {"server_cpu_ms": used / found["calls"]}


def _rows(found: Mapping[str, list[Figures]], *, level: int) -> Iterator[list[object]]:
    base = {name: median(found[_ROW], name) for name in _FIGURES}
    for arm, rounds in found.items():
        now = {name: median(rounds, name) for name in _FIGURES}
        rate, p50 = (now[name] / base[name] for name in ("calls_per_second", "p50_ms"))
        yield [
            level,
            arm,
            f"{now['calls_per_second']:.0f}",
            f"{now['p50_ms']:.2f}",
            f"{now['p99_ms']:.2f}",
            f"{now['server_cpu_ms']:.3f}",
            f"{rate:.2f}",
            f"{p50:.2f}",
        ]


_HEAD = (
    "callers",
    "server",
    "calls/s",
    "p50 ms",
    "p99 ms",
    "its CPU ms a call",
    "x calls/s of one row",
    "x p50 of one row",
)


@click.command()
@click.option("--levels", default="1,8,32", show_default=True, help="how many callers at once")
@click.option("--seconds", default=4.0, show_default=True, help="how long each measurement takes")
@click.option("--rounds", default=3, show_default=True, help="how often all are measured, in turn")
@click.option("--eras", default=f"{MODERN},{LEGACY}", show_default=True, help="of the protocol")
@click.option("--raw", is_flag=True, help="call by bare sockets, not by the SDK's client")
@click.option("--worker/--no-worker", default=True, show_default=True, help="have one in ours")
@click.option("--serve", "url", hidden=True)
def main(
    *,
    levels: str,
    seconds: float,
    rounds: int,
    eras: str,
    raw: bool,
    worker: bool,
    url: str | None,
) -> None:
    """Measure a governed call, its peers in the same run."""
    if url is not None:
        _serve_ours(url, is_worker=worker)
        return
    with databases() as where, ExitStack() as stack:
        print(json.dumps(where.describe()))
        commands = _commands(where, worker="--worker" if worker else "--no-worker")
        servers = {arm: stack.enter_context(server(commands[arm])) for arm in commands}
        for era in eras.split(","):
            client = "bare sockets" if raw else "the SDK's client"
            print(f"\n{client}, {era} protocol\n")
            rows: list[list[object]] = []
            for level in (int(one) for one in levels.split(",")):
                found: dict[str, list[Figures]] = {arm: [] for arm in servers}
                for _ in range(rounds):
                    for arm, at in servers.items():
                        say(f"{arm} at {level}, {era}")
                        found[arm].append(
                            _measured(at, era=era, level=level, seconds=seconds, raw=raw)
                        )
                rows.extend(_rows(found, level=level))
            table(_HEAD, rows)


if __name__ == "__main__":
    main()
