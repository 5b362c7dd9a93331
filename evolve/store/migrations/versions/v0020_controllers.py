"""Several controllers of one run: who they are, what they tell each other, whose work is whose."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the tables and columns; what is there already belongs to nobody."""
    op.create_table(
        "controllers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evaluations", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("inherited", sa.Integer(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_controllers_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_controllers"),
    )
    op.create_index("ix_controllers_run_id", "controllers", ["run_id"])
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("controller", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_notices_run_id"),
        sa.ForeignKeyConstraint(["controller"], ["controllers.id"], name="fk_notices_controller"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    op.create_index("ix_notices_run_id_id", "notices", ["run_id", "id"])
    op.add_column("proposals", sa.Column("controller", sa.Integer()))
    op.add_column("leases", sa.Column("controller", sa.Integer()))
