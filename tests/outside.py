"""Outside peers from npm: pinned, locked with hashes, and installed into an ignored folder."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".peers" / "npm"
ENVIRONMENT: Mapping[str, str] = os.environ  # noqa: TID251 - what npm, node and our own command need
COMMAND = Path(sys.executable).with_name("sallyport")
_LOCKED = ROOT / "tests" / "peers" / "npm"
_INSTALL_SECONDS = 600
_NEW_NODE = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Npm:
    """The installed packages, and the programs that run them."""

    folder: Path
    node: str
    """The machine's own."""
    new_node: str
    """One that is new enough for every package; the machine's own where that is."""

    def script(self, path: str) -> str:
        """Return the file of a package, such as ``emulate/dist/index.js``."""
        return str(self.folder / "node_modules" / path)


def cannot(reason: str) -> None:
    """Leave the peer out; where peers are wanted that is a failure."""
    if ENVIRONMENT.get("REQUIRE_PEERS") == "1":
        pytest.fail(f"{reason}, and REQUIRE_PEERS=1 wants them to run", pytrace=False)
    pytest.skip(reason)


def installed() -> Npm:
    """Install what is not there yet, and return it; skip the test where that cannot be done."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        cannot("Node.js is not here (node and npm are needed)")
    lock = (_LOCKED / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    mark = FOLDER / ".installed"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(_LOCKED / name, FOLDER / name)
            done = subprocess.run(
                [npm or "", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FOLDER,
                capture_output=True,
                text=True,
                timeout=_INSTALL_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                cannot(f"npm could not install the peers: {done.stderr[-500:]}")
            mark.write_text(wanted)
    return Npm(folder=FOLDER, node=node or "", new_node=_new_node(node or ""))


def _new_node(own: str) -> str:
    told = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.match(r"v(\d+)", told)
    if major is not None and int(major[1]) >= _NEW_NODE:
        return own
    brought = sorted((FOLDER / "node_modules").glob("node-*/bin/node"))
    if not brought:
        cannot(f"Node.js {_NEW_NODE} or newer is needed, and there is none for this machine")
    return str(brought[0])
