"""Chat surfaces: workspaces, what arrives, what is delivered, and how far it was told.

Revision ID: 0009
Revises: 0008
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
