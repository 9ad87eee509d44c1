"""Adaptive Cards' own parser takes every card that we make, without a word of complaint."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from core.domain.canonical import JsonObject
from tests.outside import Npm
from tests.snapshot_files import FOLDER
from tests.teams.adaptive_cards import cards_in

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

KEPT = sorted((FOLDER / "teams").glob("*.json"))
BROKEN: Mapping[str, JsonObject] = {
    "an unknown element": {
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [{"type": "Hologram"}],
    },
    "an input without a name": {
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [{"type": "Input.Text"}],
    },
    "an unknown button": {
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [],
        "actions": [{"type": "Action.Nothing", "title": "Go"}],
    },
}


def problems(npm: Npm, cards: Mapping[str, JsonObject]) -> Mapping[str, Sequence[str]]:
    script = Path(__file__).with_name("adaptive_cards.mjs")
    done = subprocess.run(
        [npm.node, str(script), str(npm.folder)],
        input=json.dumps(cards),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return cast("Mapping[str, Sequence[str]]", json.loads(done.stdout))


def test_every_card_is_taken_without_a_warning(npm: Npm) -> None:
    kept = {path.stem: cast("JsonObject", json.loads(path.read_text("utf-8"))) for path in KEPT}
    cards = {f"{name} {at}": one for name, told in kept.items() for at, one in _numbered(told)}
    assert len(cards) == len(kept) > 0
    assert {name: said for name, said in problems(npm, cards).items() if said} == {}


def test_the_parser_says_what_is_wrong(npm: Npm) -> None:
    assert [name for name, said in problems(npm, BROKEN).items() if not said] == []


def _numbered(told: JsonObject) -> Sequence[tuple[int, JsonObject]]:
    return list(enumerate(cards_in(told)))
