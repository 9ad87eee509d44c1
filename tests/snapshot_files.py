"""What was rendered once and looked at, kept as JSON, so that a change is seen in review."""

import json
from dataclasses import dataclass
from pathlib import Path

from core.domain.canonical import Json

FOLDER = Path(__file__).parent / "snapshots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Compares with what is kept; writes it down instead where ``update`` is set."""

    update: bool

    def check(self, name: str, *, rendered: Json) -> None:
        """Fail where ``rendered`` differs from what is kept under ``name``."""
        path = FOLDER / f"{name}.json"
        told = json.dumps(rendered, indent=2, ensure_ascii=False) + "\n"
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(told, encoding="utf-8")
        assert path.exists(), f"nothing is kept as {name}: look at it with --update-snapshots"
        assert json.loads(told) == json.loads(path.read_text(encoding="utf-8"))
