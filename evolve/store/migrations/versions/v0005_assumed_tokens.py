"""Tokens written to a cache, and whether a call's tokens are assumed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; calls of older runs keep what was counted then."""
    with op.batch_alter_table("completions") as table:
        for name in ("tokens_written", "tokens_assumed"):
            table.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
