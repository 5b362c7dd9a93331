"""Indexes for pages that list the programs of a run."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the indexes."""
    op.create_index(
        "ix_evaluations_run_id_stage_outcome", "evaluations", ["run_id", "stage", "outcome"]
    )
    op.create_index("ix_programs_run_id_operator", "programs", ["run_id", "operator"])
    op.create_index("ix_programs_run_id_island", "programs", ["run_id", "island"])
    op.create_index("ix_programs_run_id_generation", "programs", ["run_id", "generation"])
