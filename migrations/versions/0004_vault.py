"""The vault: credentials of tenants and people.

Revision ID: 0004
Revises: 0003
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
