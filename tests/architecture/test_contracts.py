"""The import contracts hold, and each of them would notice."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, packages

_LINT = Path(sys.executable).parent / "lint-imports"
_LAYERS = "layers"

BROKEN = [
    # every layer looks up once
    (_LAYERS, "core/errors.py", "import core.domain.ids"),
    (_LAYERS, "core/domain/run.py", "import core.ports"),
    (_LAYERS, "core/words.py", "import core.domain.ids"),
    (_LAYERS, "core/ports.py", "import core.governance.budget"),
    (_LAYERS, "core/governance/budget.py", "import core.runs.order"),
    (_LAYERS, "core/runs/order.py", "import core.store.database"),
    (_LAYERS, "core/store/database.py", "import core.app"),
    (_LAYERS, "core/starting.py", "import core.app"),
    (_LAYERS, "core/app.py", "import approvals.routing"),
    (_LAYERS, "approvals/routing.py", "import api"),
    (_LAYERS, "mcp_server/__init__.py", "import sallyport"),
    # neighbours don't see each other
    (_LAYERS, "core/tools/registry.py", "import core.store.database"),
    (_LAYERS, "core/store/database.py", "import core.identity.tokens"),
    (_LAYERS, "core/cedar.py", "import core.llm.prices"),
    (_LAYERS, "core/durable/schedule.py", "import core.store.database"),
    (_LAYERS, "api/__init__.py", "import mcp_server"),
    (_LAYERS, "bots/__init__.py", "import console"),
    ("bots", "bots/views.py", "import bots.inbox"),
    ("bots", "bots/inbox.py", "import bots.outbox"),
    ("bots", "bots/teams/guard.py", "import bots.slack.guard"),
    # each vendor has one home
    ("cedar", "core/governance/door.py", "import cedarpy"),
    ("durable", "core/store/workers.py", "import dbos"),
    ("sql", "core/app.py", "import sqlalchemy"),
    ("sql", "core/identity/tokens.py", "import asyncpg"),
    ("sql", "sallyport/assembly.py", "import psycopg"),
    ("models", "core/tools/registry.py", "import anthropic"),
    ("models", "sallyport/assembly.py", "import openai"),
    ("mcp", "core/tools/registry.py", "import mcp"),
    ("slack", "bots/inbox.py", "import slack_sdk"),
    ("slack", "sallyport/slack.py", "import slack_bolt"),
    ("teams", "bots/teams/guard.py", "import botframework"),
    ("teams", "bots/teams/wire.py", "import botbuilder"),
    ("teams", "bots/teams/registration.py", "import microsoft_teams"),
    ("teams", "sallyport/assembly.py", "import msrest"),
    ("http", "core/app.py", "import starlette"),
    ("terminal", "core/app.py", "import rich"),
    ("settings", "core/store/embedded.py", "import sallyport.settings"),
    ("logic", "core/domain/run.py", "import pydantic"),
    ("logic", "approvals/decide.py", "import core.store.approvals"),
    ("migrations", "migrations/env.py", "import core.store.tables"),
]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy of the packages in which each contract is broken."""
    folder = tmp_path_factory.mktemp("copied")
    for package in packages():
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / ".importlinter", folder)
    for _, module, line in BROKEN:
        with (folder / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}  # forbidden\n")
    checked = _lint(folder)
    assert checked.returncode == 1, checked.stdout
    return checked.stdout


def test_every_contract_is_kept() -> None:
    checked = _lint(ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("contract", "module", "line"), BROKEN)
def test_each_forbidden_import_is_found(said: str, contract: str, module: str, line: str) -> None:
    name = _written()[f"importlinter:contract:{contract}"]["name"]
    _, _, of_this = said.partition(f"{name}\n{'-' * len(name)}\n")
    of_this, _, _ = of_this.partition("\n----")  # where the next one begins
    importer = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"{importer} -> {line.removeprefix('import ')} " in of_this, said


def test_every_contract_is_broken_once_on_purpose() -> None:
    sections = _written().sections()
    names = {section.rpartition(":")[2] for section in sections if ":contract:" in section}
    assert names == {contract for contract, _, _ in BROKEN}


def test_every_package_of_the_tree_is_under_contract() -> None:
    assert set(_written()["importlinter"]["root_packages"].split()) == set(packages())


def _written() -> configparser.ConfigParser:
    written = configparser.ConfigParser()
    written.read(ROOT / ".importlinter")
    return written


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_LINT, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
