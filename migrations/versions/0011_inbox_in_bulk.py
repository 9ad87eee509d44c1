"""Arrivals in bulk: kept together, and claimed by an index instead of by sorting a backlog.

Revision ID: 0011
Revises: 0010
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
