"""${message}.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from migrations.beside import refuse_to_go_back, run_sql_of

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """${message}."""
    run_sql_of(__file__)


def downgrade() -> None:
    """Refuse."""
    refuse_to_go_back()
