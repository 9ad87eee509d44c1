"""Tools of upstream servers that act as the person.

Revision ID: 0013
Revises: 0012
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
