"""What programs do and where evaluations ran; an index for what a resumed run looks up."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns and indexes; evaluations made before have no signature."""
    op.add_column("evaluations", sa.Column("signature", sa.String(length=64)))
    op.add_column("evaluations", sa.Column("environment", sa.String(length=64)))
    op.add_column("evaluations", sa.Column("copied_from", sa.Integer()))
    op.create_index("ix_evaluations_run_id_signature", "evaluations", ["run_id", "signature"])
    op.create_index(
        "ix_proposals_run_id_status_reason", "proposals", ["run_id", "status", "reason"]
    )
