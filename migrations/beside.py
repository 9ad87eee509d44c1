"""What every migration does: run the SQL that stands beside it."""

from pathlib import Path

from alembic import op


def run_sql_of(migration: str) -> None:
    """Run the ``.sql`` file of a migration; ``migration`` is its ``__file__``."""
    statements = Path(migration).with_suffix(".sql").read_text(encoding="utf-8")
    # The driver's own cursor: many statements in one text, and no parameters to look for in it.
    op.get_bind().connection.cursor().execute(statements)


def refuse_to_go_back() -> None:
    """Refuse: what was wrong is mended by the next migration."""
    message = "there is no way down: restore a backup instead"
    raise RuntimeError(message)
