"""An index for calls that wait for their reply, or have failed."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_completions_state", "completions", ["state"])
