"""Nudges between processes.

Revision ID: 0007
Revises: 0006
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
