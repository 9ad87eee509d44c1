"""How a server takes Slack at its busiest: see ``bench/chat_load.py``.

Slack takes an answer within three seconds; the target is far below.

Usage: python -m bench.slack_load [--rate 500] [--seconds 60] [--questions 5] [--drain 60]
"""

import sys

import click

from bench.chat_load import measure, of_a_load, shares_of
from bench.slack_office import office_in

_WAITS_MS = {"event": 3_000, "click": 3_000}


@click.command()
@of_a_load
def main(*, questions: int, drain: float, more: tuple[str, ...], **shares: float) -> None:
    """Measure a server of its own; options of the load's own follow after ``--``."""
    options = [*shares_of(shares), *more]
    wrong = measure(
        office_in, waits_ms=_WAITS_MS, options=options, questions=questions, drain=drain
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
