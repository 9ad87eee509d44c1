"""Runs the public conformance suite in a process of its own and reads what it has found."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 240
_FOLDER: Final = re.compile(r"(?:authorization-)?server-(.+)-\d{4}-\d\d-\d\dT.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one scenario: how many of its checks passed, and what the others said."""

    passed: int
    warnings: tuple[str, ...]
    failures: tuple[str, ...]

    @property
    def in_words(self) -> str:
        if self.failures:
            return "**failed**"
        if self.warnings:
            return f"passed ({self.passed}, and {len(self.warnings)} warned)"
        return f"passed ({self.passed})" if self.passed else "not applicable"


async def scenarios(
    command: Sequence[str], *, arguments: Sequence[str], folder: Path
) -> Mapping[str, Verdict]:
    """Run the suite, and return the verdict on each scenario in the order in which they ran.

    Raises:
        AssertionError: the suite ran nothing at all; with the end of what it said.
    """
    await asyncio.to_thread(folder.mkdir, parents=True)
    process = await asyncio.create_subprocess_exec(
        *(*command, *arguments, "-o", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = read(folder)
    assert found, said.decode()[-3000:]
    return found


def read(folder: Path) -> dict[str, Verdict]:
    """Return the verdicts that lie in the suite's output folder."""
    files = sorted(folder.rglob("checks.json"), key=lambda file: file.stat().st_mtime_ns)
    return {_scenario(file): _verdict(json.loads(file.read_text())) for file in files}


def _scenario(file: Path) -> str:
    """Return the scenario's name: its folder's, without the time at its end.

    The suite puts what it has tested in front of each name, also of those that begin with it.
    """
    found = _FOLDER.fullmatch(file.parent.name)
    assert found is not None, file
    return found[1]


def _verdict(checks: list[dict[str, Any]]) -> Verdict:  # Any: the suite's own JSON
    def told(status: str) -> tuple[str, ...]:
        return tuple(
            f"{check['id']}: {check.get('errorMessage', '')}"
            for check in checks
            if check["status"] == status
        )

    return Verdict(passed=len(told("SUCCESS")), warnings=told("WARNING"), failures=told("FAILURE"))
