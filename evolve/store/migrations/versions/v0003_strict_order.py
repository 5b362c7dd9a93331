"""How far a run in strict order has come, and what each of its proposals was drawn from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("runs", sa.Column("inserted", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("proposals", sa.Column("inserted", sa.Integer()))
