"""What the processes of a crash test write down of themselves, so that it outlives them."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line: who wrote it, when (nanoseconds of the machine's clock), and what it is about."""

    at: int
    pid: int
    what: str
    about: str
    number: int


class Diary:
    """A file that any number of processes append to, a whole line at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, what: str, *, about: str = "", number: int = 0) -> None:
        line = {
            "at": time.time_ns(),
            "pid": os.getpid(),
            "what": what,
            "about": about,
            "number": number,
        }
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    def read(self, *, what: str | None = None, about: str | None = None) -> list[Note]:
        """Return the notes, oldest first."""
        if not self._path.exists():
            return []
        notes = [Note(**json.loads(line)) for line in self._path.read_text().splitlines()]
        return [
            note
            for note in notes
            if (what is None or note.what == what) and (about is None or note.about == about)
        ]
