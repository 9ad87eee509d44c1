"""How somebody stands, in one round trip.

Revision ID: 0014
Revises: 0013
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
