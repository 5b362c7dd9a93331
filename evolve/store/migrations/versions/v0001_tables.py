"""All tables of the first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "blobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blobs"),
        sa.UniqueConstraint("sha256", name="uq_blobs_sha256"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("elapsed_s", sa.Float(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("objective_offset", sa.Float(), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("evaluator", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("problem_hash", sa.String(length=64), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("holder_process", sa.Text()),
        sa.Column("claimed_at", sa.Float()),
        sa.Column("expires_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_config_hash_problem_hash", "runs", ["config_hash", "problem_hash"])
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("island", sa.Integer(), nullable=False),
        sa.Column("parents", sa.JSON(), nullable=False),
        sa.Column("inspirations", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_proposals_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
        sa.UniqueConstraint("run_id", "iteration", name="uq_proposals_run_id_iteration"),
    )
    op.create_table(
        "completions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("server_model", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("finish", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("reserved_usd", sa.Float()),
        sa.Column("cost_usd", sa.Float()),
        sa.Column("tokens_input", sa.Integer(), nullable=False),
        sa.Column("tokens_cached", sa.Integer(), nullable=False),
        sa.Column("tokens_output", sa.Integer(), nullable=False),
        sa.Column("tokens_reasoning", sa.Integer(), nullable=False),
        sa.Column("latency_s", sa.Float()),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("prompt_blob", sa.Integer(), nullable=False),
        sa.Column("reply_blob", sa.Integer()),
        sa.ForeignKeyConstraint(["prompt_blob"], ["blobs.id"], name="fk_completions_prompt_blob"),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.id"], name="fk_completions_proposal_id"
        ),
        sa.ForeignKeyConstraint(["reply_blob"], ["blobs.id"], name="fk_completions_reply_blob"),
        sa.PrimaryKeyConstraint("id", name="pk_completions"),
    )
    op.create_index("ix_completions_proposal_id", "completions", ["proposal_id"])
    op.create_table(
        "programs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("proposal_id", sa.Integer()),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("island", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_programs_proposal_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_programs_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_programs"),
        sa.UniqueConstraint("hash", "run_id", name="uq_programs_hash_run_id"),
        sa.UniqueConstraint("proposal_id", name="uq_programs_proposal_id"),
    )
    op.create_index("ix_programs_run_id", "programs", ["run_id"])
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("evaluator", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("objective", sa.Float()),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ns", sa.BigInteger(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("texts_blob", sa.Integer()),
        sa.CheckConstraint(
            "(outcome = 'ok') = (objective IS NOT NULL)", name=op.f("ck_evaluations_scored")
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_evaluations_program_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_evaluations_run_id"),
        sa.ForeignKeyConstraint(["texts_blob"], ["blobs.id"], name="fk_evaluations_texts_blob"),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        sa.UniqueConstraint(
            "program_id", "stage", "evaluator", name="uq_evaluations_program_id_stage_evaluator"
        ),
    )
    op.create_index("ix_evaluations_run_id", "evaluations", ["run_id"])
    op.create_index(
        "ix_evaluations_run_id_stage_objective", "evaluations", ["run_id", "stage", "objective"]
    )
    op.create_table(
        "leases",
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("leased_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_leases_program_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_leases_run_id"),
        sa.PrimaryKeyConstraint("program_id", name="pk_leases"),
    )
    op.create_index("ix_leases_run_id", "leases", ["run_id"])
    op.create_table(
        "parents",
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["programs.id"], name="fk_parents_parent_id"),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_parents_program_id"),
        sa.PrimaryKeyConstraint("program_id", "position", name="pk_parents"),
    )
    op.create_index("ix_parents_parent_id", "parents", ["parent_id"])
    op.create_table(
        "program_files",
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("blob", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blobs.id"], name="fk_program_files_blob"),
        sa.ForeignKeyConstraint(
            ["program_id"], ["programs.id"], name="fk_program_files_program_id"
        ),
        sa.PrimaryKeyConstraint("program_id", "path", name="pk_program_files"),
    )
    op.create_table(
        "archive_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("program_id", sa.Integer(), nullable=False),
        sa.Column("replaced_id", sa.Integer()),
        sa.Column("island", sa.Integer(), nullable=False),
        sa.Column("cell", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("fitness", sa.Float(), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name="fk_archive_events_evaluation_id"
        ),
        sa.ForeignKeyConstraint(
            ["program_id"], ["programs.id"], name="fk_archive_events_program_id"
        ),
        sa.ForeignKeyConstraint(
            ["replaced_id"], ["programs.id"], name="fk_archive_events_replaced_id"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_archive_events_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_archive_events"),
    )
    op.create_index(
        "ix_archive_events_run_id_island_cell", "archive_events", ["run_id", "island", "cell"]
    )
    op.create_table(
        "case_results",
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("objective", sa.Float()),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ns", sa.BigInteger(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'ok') = (objective IS NOT NULL)", name=op.f("ck_case_results_scored")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name="fk_case_results_evaluation_id"
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "position", name="pk_case_results"),
    )
