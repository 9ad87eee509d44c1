import pytest

from core.errors import Misconfigured
from core.llm.script import read_scripts

BEGIN = "scripts:\n  - contains: go\n    turns:\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("", ["line 1", "the file"]),
        ("scripts: []", ["line 1", "scripts"]),
        ("scripts: [", ["line 1"]),
        ("a: *nowhere", ["line 1", "nowhere"]),
        ("scripts:\n  - turns: [{say: hi}]", ["line 2", "either match or contains"]),
        (
            "scripts:\n  - {match: a, contains: b, turns: [{say: hi}]}",
            ["line 2", "either match or contains"],
        ),
        ("scripts:\n  - contains: go\n    turns: []", ["line 3", "scripts.0.turns"]),
        ("scripts:\n  - match: '('\n    turns: [{say: hi}]", ["line 2", "regular expression"]),
        (BEGIN + "      - say: hi\n      - shout: hi", ["line 5", "scripts.0.turns.1.shout"]),
        (BEGIN + "      - calls:\n        - tool: a b", ["line 5", "calls.0.tool"]),
        (
            BEGIN + "      - {say: hi, calls: [{tool: a, arguments: {x: 1}}]}\n"
            "      - {calls: [{<<: {tool: c, arguments: {x: '${{ no }}'}}}]}",
            ["line 5", "arguments.x", "no"],
        ),
        (BEGIN + "      - say: hi\n      - calls: [{arguments: {}}]", ["line 5", "calls.0.tool"]),
        (BEGIN + "      - say: hi\n        then: [{say: ho}]", ["line 4", "when"]),
        (BEGIN + "      - when: {tool: a, outcome: fine}", ["line 4", "when.outcome"]),
        (BEGIN + "      - delay_ms: -1", ["line 4", "delay_ms"]),
        (BEGIN + "      - say: ${{ os.system }}", ["line 4", "say", "os.system"]),
        (BEGIN + "      - say: ${{ results.a..b }}", ["line 4", "..b"]),
        (
            BEGIN + "      - calls:\n        - tool: a\n          arguments:\n            x:\n"
            "              - ok\n              - ${{ 1 + 1 }}",
            ["line 9", "arguments.x.1"],
        ),
        (
            BEGIN + "      - calls:\n        - tool: a\n          arguments: {x: !!set {b}}",
            ["line 6", "not a JSON value"],
        ),
        (
            BEGIN + "      - when: {tool: a}\n        then:\n          - say: ${{ nope }}",
            ["line 6", "then.0.say"],
        ),
        ("!!python/object:os.system {}", ["line 1"]),
        ("a: \x00", ["special characters"]),
    ],
)
def test_a_wrong_script_is_told_with_its_line(script: str, told: list[str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        read_scripts(script)
    assert caught.value.code == "invalid_script"
    detail = str(caught.value.facts["detail"])
    assert "; " not in detail
    for part in told:
        assert part in detail
