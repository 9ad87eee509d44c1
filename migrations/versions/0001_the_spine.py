"""The spine: tenants, people, runs, calls, approvals, audit, and the built-in packs.

Revision ID: 0001
Revises:
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # The driver's own cursor: many statements in one text, and no parameters to look for in it.
    op.get_bind().connection.cursor().execute(statements)


def downgrade() -> None:
    """Refuse: the first migration is undone by dropping the database."""
    message = "drop the database instead"
    raise RuntimeError(message)
