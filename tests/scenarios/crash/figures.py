"""Figures of a run of the tests, shown by ``pytest -rP``; nothing is asserted by them."""

import statistics
import sys
from collections.abc import Sequence


def tell(what: str, values: Sequence[float]) -> None:
    """Write down how many values there are, and how they lie."""
    middle = statistics.median(values)
    sys.stdout.write(
        f"{what}: n={len(values)} p50={middle:.3f} min={min(values):.3f} max={max(values):.3f}\n"
    )
