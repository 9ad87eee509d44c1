"""Makes docs/codes.md from the sentences in core/words.py and the advice in docs/codes.toml."""  # noqa: INP001 - a script

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from core import words  # noqa: E402 - the script runs from anywhere

PAGE = ROOT / "docs" / "codes.md"
ADVICE = ROOT / "docs" / "codes.toml"

_INTRODUCTION = """\
# Error codes

Every no has a stable code and a sentence. REST answers with a problem document (RFC 9457) that has
both, MCP with `{"error": {"code", "message"}}`, the command line with the sentence, or with both
under `--json`. Build on the code; the words may change. What stands in *italics* is filled in.

This page is made by `python docs/generate_codes.py`.
"""
_SECTION = re.compile(r"^    # (?P<title>.+)$")
_ENTRY = re.compile(r'^    "(?P<code>[a-z_]+)": ')


def page() -> str:
    """Return the page as it should be.

    Raises:
        KeyError: a code without advice.
    """
    told = advice()
    lines = [_INTRODUCTION]
    for title, codes in _sections():
        lines += [f"## {title.capitalize().replace('postgresql', 'PostgreSQL')}", ""]
        lines += ["| code | what is said | what to do |", "|---|---|---|"]
        lines += [f"| `{one}` | {_shown(words.SENTENCES[one])} | {told[one]} |" for one in codes]
        lines.append("")
    return "\n".join(lines)


def advice() -> Mapping[str, str]:
    """Return what to do, by code."""
    return tomllib.loads(ADVICE.read_text(encoding="utf-8"))


def _sections() -> Iterator[tuple[str, list[str]]]:
    """Yield the codes under the headings that the source gives them."""
    title, codes = "", list[str]()
    for line in Path(words.__file__).read_text(encoding="utf-8").splitlines():
        if heading := _SECTION.match(line):
            if codes:
                yield title, codes
            title, codes = heading["title"], []
        elif (entry := _ENTRY.match(line)) and entry["code"] in words.SENTENCES:
            codes.append(entry["code"])
    yield title, codes


def _shown(sentence: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda field: f"*{field[1].replace('_', ' ')}*", sentence)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
