"""Which known program a program behaves like on the probe cases."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns and the index; evaluations made before have seen no probes."""
    op.add_column("evaluations", sa.Column("probe", sa.String(length=64)))
    op.add_column("evaluations", sa.Column("behaves_like", sa.Integer()))
    op.create_index("ix_evaluations_run_id_probe", "evaluations", ["run_id", "probe"])
