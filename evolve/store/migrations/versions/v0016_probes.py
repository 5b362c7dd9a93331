"""Runs that are no searches: calls of models made to find out what a search will take."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; older runs are searches."""
    op.add_column(
        "runs",
        sa.Column("kind", sa.String(16), nullable=False, server_default=sa.text("'search'")),
    )
