"""How whoever let a client in had signed in.

Revision ID: 0008
Revises: 0007
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
