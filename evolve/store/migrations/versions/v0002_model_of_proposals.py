"""Which model a proposal's operator asks, known before it is asked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, filled from the calls that were made."""
    column = sa.Column("model", sa.Text(), nullable=False, server_default=sa.text("''"))
    op.add_column("proposals", column)
    op.execute(
        "UPDATE proposals SET model = coalesce("
        "(SELECT model FROM completions WHERE proposal_id = proposals.id ORDER BY id LIMIT 1), '')"
    )
