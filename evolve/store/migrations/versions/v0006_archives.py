"""The definition of a run's archive, several archives of one run, cells with several elites."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_runs = sa.table("runs", sa.column("id"), sa.column("measures", sa.JSON()), sa.column("created_at"))
_archives = sa.table(
    "archives",
    sa.column("run_id"),
    sa.column("number"),
    sa.column("name"),
    sa.column("definition", sa.JSON()),
    sa.column("created_at"),
)


def upgrade() -> None:
    """Add the table and the columns; what runs had is the grid of their measures."""
    op.create_table(
        "archives",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_archives_run_id"),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_archives"),
    )
    for run in op.get_bind().execute(sa.select(_runs)).all():
        op.execute(
            _archives.insert().values(
                run_id=run.id,
                number=0,
                name="",
                definition={"measures": run.measures},
                created_at=run.created_at,
            )
        )
    op.add_column("runs", sa.Column("archive", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "archive_events", sa.Column("archive", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "archive_events", sa.Column("metrics", sa.JSON(), nullable=False, server_default="{}")
    )
