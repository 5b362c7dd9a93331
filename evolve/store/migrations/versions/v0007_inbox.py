"""What people send to a run; programs that are alike but for layout."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a table and a column; programs that are there stay without their syntax."""
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("blob", sa.Integer()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("withdrawn_at", sa.Float()),
        sa.Column("first", sa.Integer()),
        sa.Column("last", sa.Integer()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_inbox_run_id_runs"),
        sa.ForeignKeyConstraint(["blob"], ["blobs.id"], name="fk_inbox_blob_blobs"),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_run_id", "inbox", ["run_id"])
    op.add_column("programs", sa.Column("syntax", sa.String(length=64)))
    op.create_index("ix_programs_run_id_syntax", "programs", ["run_id", "syntax"])
