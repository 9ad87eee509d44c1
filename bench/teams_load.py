"""How a server takes Teams at its busiest: see ``bench/chat_load.py``.

A message counts as taken within three seconds, as in Slack; whoever clicks waits for what comes of
it, which Teams gives up after ten.

Usage: python -m bench.teams_load [--sdk teams-sdk] [--rate 500] [--seconds 60] [--drain 60]
"""

import sys
from functools import partial

import click

from bench.chat_load import measure, of_a_load, shares_of
from bench.teams_office import office_in

_WAITS_MS = {"event": 3_000, "invoke": 10_000}
_SDKS = click.Choice(("botbuilder", "teams-sdk"))


@click.command()
@click.option("--sdk", type=_SDKS, default="botbuilder", show_default=True)
@of_a_load
def main(*, sdk: str, questions: int, drain: float, more: tuple[str, ...], **shares: float) -> None:
    """Measure a server of its own; options of the load's own follow after ``--``."""
    wrong = measure(
        partial(office_in, sdk=sdk),
        waits_ms=_WAITS_MS,
        options=[*shares_of(shares), *more],
        questions=questions,
        drain=drain,
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
