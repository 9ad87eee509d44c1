"""Upstream MCP servers and their pinned tools.

Revision ID: 0005
Revises: 0004
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is new."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
