"""Sign-in: sessions, one-time links, identity providers.

Revision ID: 0003
Revises: 0002
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
