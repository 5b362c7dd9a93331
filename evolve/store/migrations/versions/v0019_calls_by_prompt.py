"""An index for replies to the same words."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_completions_prompt_blob", "completions", ["prompt_blob"])
