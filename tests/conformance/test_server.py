"""The public conformance suite against our server: every server scenario of every revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from tests.conformance.serving import Targets, conformance_targets
from tests.conformance.suite import Verdict, scenarios
from tests.databases import Urls
from tests.outside import Npm, installed

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.timeout(600),
    # The handshake era's logging and sampling are tested because that era has them.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

NEEDS_SESSION: Final = {
    "tools-call-with-logging",
    "tools-call-sampling",
    "tools-call-elicitation",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
}
"""What the handshake era does in sessions only: the server says or asks something in mid-call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One run of the suite; ``revision`` where it runs exactly what that one requires."""

    name: str
    package: str
    revision: str | None = None

    @property
    def has_sessions(self) -> bool:
        return self.revision != "2026-07-28"

    def command(self, npm: Npm) -> list[str]:
        node = npm.new_node if self.revision else npm.node
        return [node, npm.script(f"{self.package}/dist/index.js"), "server"]

    def arguments(self, url: str) -> list[str]:
        which = ["--requirements", self.revision] if self.revision else ["--suite", "all"]
        return ["--url", url, *which]


SUITES: Final = (
    Suite(name="0.1.13, all", package="conformance"),
    Suite(name="0.2.0-alpha.12, 2025-11-25", package="conformance-next", revision="2025-11-25"),
    Suite(name="0.2.0-alpha.12, 2026-07-28", package="conformance-next", revision="2026-07-28"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanded:
    """What a revision requires, and what the suite runs beside that without counting it."""

    required: frozenset[str]
    extensions: frozenset[str]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
async def test_every_server_scenario_passes(
    suite: Suite, urls: Urls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = installed()
    demanded = _demanded(suite, npm)
    async with conformance_targets(urls, tmp_path) as targets:
        found = await _run(suite, npm=npm, targets=targets, folder=tmp_path)

    with capsys.disabled():
        click.echo(_table(suite, found, demanded=demanded))
    stateless = found["stateless"]
    assert demanded.required <= stateless.keys()
    counted = {
        where: {name: one for name, one in verdicts.items() if name not in demanded.extensions}
        for where, verdicts in found.items()
    }
    assert _failures(counted.get("stateful", {})) == {}
    assert _failures(counted["stateless"]).keys() <= (
        NEEDS_SESSION if suite.has_sessions else set()
    )


async def _run(
    suite: Suite, *, npm: Npm, targets: Targets, folder: Path
) -> Mapping[str, Mapping[str, Verdict]]:
    wanted = {"stateless": targets.stateless}
    if suite.has_sessions:
        wanted["stateful"] = targets.stateful
    return {
        where: await scenarios(
            suite.command(npm), arguments=suite.arguments(url), folder=folder / where
        )
        for where, url in wanted.items()
    }


def _demanded(suite: Suite, npm: Npm) -> Demanded:
    if suite.revision is None:
        return Demanded(required=frozenset(), extensions=frozenset())
    file = Path(npm.script(f"{suite.package}/requirements/{suite.revision}.yaml"))
    told = yaml.safe_load(file.read_text())
    return Demanded(
        required=frozenset(told["server"]),
        extensions=frozenset(
            one["scenario"] for one in told["not_scored"] if one["reason"] == "extension"
        ),
    )


def _failures(verdicts: Mapping[str, Verdict]) -> dict[str, tuple[str, ...]]:
    return {name: one.failures for name, one in verdicts.items() if one.failures}


def _table(suite: Suite, found: Mapping[str, Mapping[str, Verdict]], *, demanded: Demanded) -> str:
    """Return what came of each scenario, as Markdown."""
    columns = list(found)
    head = ["scenario", *columns]
    lines = ["", "", f"### {suite.name}", "", _row(head), "|" + "---|" * len(head)]
    for name in found["stateless"]:
        cells = [_cell(name, found[where], demanded=demanded) for where in columns]
        lines.append(_row([name, *cells]))
    return "\n".join(lines)


def _cell(name: str, verdicts: Mapping[str, Verdict], *, demanded: Demanded) -> str:
    verdict = verdicts.get(name)
    if verdict is None:
        return "not run"
    if not verdict.failures:
        return verdict.in_words
    if name in demanded.extensions:
        checks = verdict.passed + len(verdict.failures)
        return f"extension, not counted ({verdict.passed} of {checks})"
    if name in NEEDS_SESSION:
        return "needs a session"
    return f"{verdict.in_words}: {'; '.join(verdict.failures)}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
