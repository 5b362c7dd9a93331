"""The unit of a run's objective, and the best value known elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns; older runs know neither."""
    op.add_column(
        "runs",
        sa.Column("objective_unit", sa.Text(), nullable=False, server_default=sa.text("''")),
    )
    op.add_column("runs", sa.Column("record", sa.JSON()))
