"""Samples of programs whose scores are noisy, and how many a score is made of."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table and the columns; every score there is was made of one sample."""
    op.create_table("samples", *_columns(), *_constraints())
    op.create_index("ix_samples_run_id", "samples", ["run_id"])
    op.add_column(
        "evaluations", sa.Column("samples", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column("evaluations", sa.Column("error", sa.Float()))
    op.add_column(
        "archive_events", sa.Column("samples", sa.Integer(), nullable=False, server_default="1")
    )


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("evaluator", sa.String(length=64), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("against_id", sa.Integer()),
        sa.Column("reference", sa.Float()),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("objective", sa.Float()),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ns", sa.BigInteger(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.String(length=64)),
        sa.Column("elapsed_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("details_blob", sa.Integer()),
    ]


def _constraints() -> list[sa.Constraint]:
    key = ("program_id", "stage", "evaluator", "repeat")
    return [
        sa.CheckConstraint(
            "(outcome = 'ok') = (objective IS NOT NULL)", name=op.f("ck_samples_scored")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_samples_run_id"),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_samples_program_id"),
        sa.ForeignKeyConstraint(["against_id"], ["programs.id"], name="fk_samples_against_id"),
        sa.ForeignKeyConstraint(["details_blob"], ["blobs.id"], name="fk_samples_details_blob"),
        sa.PrimaryKeyConstraint("id", name="pk_samples"),
        sa.UniqueConstraint(*key, name="uq_samples_program_id_stage_evaluator_repeat"),
    ]
