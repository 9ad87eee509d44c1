"""What both benchmarks share: a database of their own, child processes, rounds and medians."""

import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from core.durable import client as durable
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate

ROOT = Path(__file__).parent.parent
_PEERS = ROOT / ".peers"
_PASSWORD = "bench"  # noqa: S105 - of a database that lives for minutes
_CHILD_SECONDS = 600
_SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers")

Figures = dict[str, float]


class Databases:
    """One embedded server for the whole run, a database for each arm."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        """Take the running server."""
        self._server = server

    def fresh(self, name: str) -> str:
        """Return the owner's URL of a new, empty database."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)")  # pyright: ignore[reportArgumentType,reportCallIssue] - our constants
            connection.execute(f"create database {name}")  # pyright: ignore[reportArgumentType,reportCallIssue] - our constants
        return self._url(name)

    def migrated(self, name: str) -> str:
        """Return the app's URL of a new database with our tables."""
        url = self.fresh(name)
        migrate(url, app_password=_PASSWORD)
        durable.migrate(url, application_role="sallyport_app")
        return self._server.url(user="sallyport_app", password=_PASSWORD, database=name)

    def describe(self) -> Mapping[str, str]:
        """Return what the figures depend on."""
        with psycopg.connect(self._url("postgres")) as connection:
            found = connection.execute(
                "select name, setting from pg_settings where name = any(%s)", [list(_SETTINGS)]
            ).fetchall()
            shown = {str(name): str(setting) for name, setting in found}
        return {**shown, "python": platform.python_version(), "machine": platform.machine()}

    def _url(self, database: str) -> str:
        password = self._server.superuser_password
        return self._server.url(user="sallyport_admin", password=password, database=database)


@contextmanager
def databases() -> Generator[Databases]:
    """Run an embedded PostgreSQL, durable as in production, for as long as the block lasts."""
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        server = EmbeddedPostgres(Path(folder))
        server.start()
        try:
            yield Databases(server)
        finally:
            server.stop()
            server.remove()


def peers_python(name: str = "requirements") -> str:
    """Return the Python of an environment of the peers' own, built on first use.

    ``name`` is that of its lock in ``bench/peers``.
    """
    lock = ROOT / "bench" / "peers" / f"{name}.lock"
    folder = _PEERS / ("bench" if name == "requirements" else name)
    python = folder / "bin" / "python"
    mark = folder / ".installed"
    if not mark.exists():
        say(f"building the environment of {name} (once)")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
            "-r",
            str(lock),
        ]
        subprocess.run([str(python), *install], check=True)
        mark.touch()
    return str(python)


def child(command: Sequence[str]) -> Figures:
    """Run one measurement in a process of its own; its last line of output is its figures."""
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=_CHILD_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(rounds: Sequence[Figures], name: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(figures[name] for figures in rounds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table as Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def say(text: str) -> None:
    """Tell what is being done, away from the results."""
    print(text, file=sys.stderr, flush=True)
