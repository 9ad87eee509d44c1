"""The authorization server: clients, codes, refresh tokens, signing keys.

Revision ID: 0002
Revises: 0001
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
