"""The documents say what is true: links lead somewhere, commands exist, made pages are current."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from itertools import chain
from pathlib import Path
from typing import cast

import click
import pytest

from core.errors import Misconfigured
from core.words import SENTENCES
from docs.generate_codes import ADVICE, PAGE, advice, page
from sallyport.cli import _sallyport as command_line  # pyright: ignore[reportPrivateUsage] - where the commands are
from sallyport.settings import of_values
from tests.architecture.sources import ROOT, place, project

FOLDERS = ("docs", "migrations", "tests", "bench", "examples")
DECISIONS = ROOT / "docs" / "decisions"

LINK = re.compile(r"!?\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
FENCED = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
OUTSIDE = ("http://", "https://", "mailto:")
MADE = re.compile(r"\bmake (?P<target>[a-z]+)\b")
SAID = re.compile(r"(?<![\w./-])sallyport(?P<words>(?: [a-z][a-z-]*)+)(?P<rest>[^\n`|#]*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
SETTING = re.compile(r"\bSALLYPORT_[A-Z_]+\b")
SHELLS = ("```sh", "```console", "```bash")


def pages() -> list[Path]:
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


def named(path: Path) -> str:
    return place(path)


@pytest.fixture(params=pages(), ids=named)
def document(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


def prose_of(path: Path) -> str:
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def commands_in(path: Path) -> Iterator[str]:
    """Yield what a reader might type: code spans, and the lines of blocks for a shell."""
    text = path.read_text(encoding="utf-8")
    for block in FENCED.findall(text):
        if block.lstrip().startswith(SHELLS):
            joined = re.sub(r"\s*\\\n\s*", " ", block)
            yield from joined.splitlines()
    for span in CODE.findall(FENCED.sub("", text)):
        yield span.strip("`")


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def of_command(words: list[str], *, rest: str) -> str | None:
    """Return what is wrong with a command that a document names; None where it is right."""
    command: click.Command = command_line
    for word in words:
        if not isinstance(command, click.Group):
            break  # an argument
        found = command.get_command(click.Context(command), word)
        if found is None:
            return f"{command.name} has no command {word}"
        command = found
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    given = set(OPTION.findall(rest)) - {"--help"}
    return f"{command.name} has no {given - known}" if given - known else None


def is_setting(name: str) -> bool:
    try:
        of_values({name.removeprefix("SALLYPORT_").lower(): "1"})
    except Misconfigured as error:
        return error.code != "unknown_setting"
    return True


def test_the_documents_are_found() -> None:
    assert {"README.md", "docs/architecture.md", "docs/codes.md"} <= {place(one) for one in pages()}


def test_every_relative_link_leads_somewhere(document: Path) -> None:
    lost: list[str] = []
    for target in LINK.findall(prose_of(document)):
        if target.startswith(OUTSIDE):
            continue
        file, _, anchor = target.partition("#")
        there = (document.parent / file).resolve() if file else document
        is_there = there.is_relative_to(ROOT) and there.exists()
        if not is_there or (anchor and anchor not in anchors_of(there)):
            lost.append(target)
    assert lost == []


def test_every_make_target_that_is_named_exists(document: Path) -> None:
    meant = {one for line in commands_in(document) for one in MADE.findall(line)}
    assert meant - targets() == set()


def test_every_command_that_is_named_exists(document: Path) -> None:
    wrong = [
        (line, problem)
        for line in commands_in(document)
        for said in SAID.finditer(line)
        if (problem := of_command(said["words"].split(), rest=said["rest"])) is not None
    ]
    assert wrong == []


def test_a_command_that_does_not_exist_is_seen() -> None:
    assert of_command(["tenant", "destroy"], rest="") is not None
    assert of_command(["tenant", "create"], rest=" --colour red") is not None
    assert of_command(["tenant", "create", "acme"], rest=" --tier pro") is None


def test_commands_are_found_where_a_reader_would_type_them(tmp_path: Path) -> None:
    text = "Run `make this`.\n\n```console\n$ sallyport tenant \\\n    destroy --now\n```\n"
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    told = list(commands_in(tmp_path / "page.md"))
    assert [one for line in told for one in MADE.findall(line)] == ["this"]
    said = [found for line in told for found in SAID.finditer(line)]
    assert [found["words"].split() for found in said] == [["tenant", "destroy"]]


def test_every_setting_that_is_named_exists(document: Path) -> None:
    meant = set(SETTING.findall(document.read_text(encoding="utf-8")))
    assert {name for name in meant if not is_setting(name)} == set()


def test_the_page_of_codes_is_current() -> None:
    told = PAGE.read_text(encoding="utf-8")
    assert told == page(), "run: python docs/generate_codes.py"


def test_every_code_says_what_to_do() -> None:
    assert set(advice()) == set(SENTENCES), f"{place(ADVICE)} has one line for each code"


def test_the_architecture_draws_the_layers_that_are_enforced() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    enforced = contracts["importlinter:contract:layers"]["layers"].split("\n")
    laid = [
        " | ".join(room for room in line.split(" | ") if not room.startswith("("))
        for line in enforced
        if line.strip()
    ]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "\n".join(laid) in text


def test_every_dependency_has_its_reason() -> None:
    described = cast("dict[str, list[str]]", project()["project"])
    extras = cast("dict[str, dict[str, list[str]]]", project()["project"])
    optional = extras["optional-dependencies"].values()
    wanted = {*described["dependencies"], *chain.from_iterable(optional)}
    text = (DECISIONS / "0009-dependencies-and-what-each-replaces.md").read_text(encoding="utf-8")
    firsts = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name.strip("`") for first in firsts for name in CODE.findall(first)} == wanted


def test_every_decision_is_in_the_index() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [one.name for one in records if f"({one.name})" not in index] == []
    assert [one.name[:4] for one in records] == [f"{at:04}" for at in range(1, len(records) + 1)]


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=named)
def test_a_picture_needs_nothing_but_itself(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert "<script" not in text
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "<title" in text
