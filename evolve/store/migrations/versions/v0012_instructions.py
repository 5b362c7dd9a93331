"""Instructions that a search evolves, and which of them a proposal was shown."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add a table and a column; earlier proposals were shown none."""
    op.create_table(
        "instructions",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proposal_id", sa.Integer()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_instructions_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.id"], name="fk_instructions_proposal_id_proposals"
        ),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_instructions"),
        sa.UniqueConstraint("proposal_id", name="uq_instructions_proposal_id"),
    )
    op.add_column("proposals", sa.Column("instruction", sa.Integer()))
