"""Search mode: what programs built, and whose construction each of them was given."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add a table and two columns; earlier programs were given nothing."""
    op.create_table(
        "constructions",
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name="fk_constructions_evaluation_id_evaluations"
        ),
        sa.ForeignKeyConstraint(["blob"], ["blobs.id"], name="fk_constructions_blob_blobs"),
        sa.PrimaryKeyConstraint("evaluation_id", name="pk_constructions"),
    )
    op.add_column("proposals", sa.Column("start", sa.Integer()))
    op.add_column("evaluations", sa.Column("start", sa.Integer()))
