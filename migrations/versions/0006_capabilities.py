"""Delegation and capability tokens.

Revision ID: 0006
Revises: 0005
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
