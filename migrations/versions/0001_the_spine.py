"""The spine: tenants, people, runs, calls, approvals, audit, and the built-in packs.

Revision ID: 0001
Revises:
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
