"""Deciding: edited calls, reminders, absences, feedback, and a run's context.

Revision ID: 0010
Revises: 0009
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
