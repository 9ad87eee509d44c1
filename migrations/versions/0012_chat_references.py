"""Where conversations are reached; and the end of what nobody calls any more.

Revision ID: 0012
Revises: 0011
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it, and drop the rest."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
