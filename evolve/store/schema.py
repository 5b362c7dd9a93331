"""The tables of a run database. Views for people are in ``views.sql``, history in ``migrations``.

Times are Unix seconds (UTC), money is US dollars, ``fitness`` is larger-is-better. Long texts live
in ``blobs``; what a person wants to read in a table stays inline, shortened.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from evolve.store.text import clip, printable
from evolve.store.types import Real

#: Newest migration; a database of another version is upgraded by a writer, refused by a reader.
VERSION = "0020"


class Excerpt(TypeDecorator[str]):
    """Inline text that people read: at most ``limit`` characters, without what SQL cannot hold."""

    impl = Text
    cache_ok = True

    def __init__(self, limit: int = 500) -> None:
        super().__init__()
        self.limit = limit

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's hook
        """Shorten and clean ``value`` on its way in."""
        return None if value is None else clip(printable(value), self.limit)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Excerpt(200), nullable=False),
    Column("problem", Excerpt(200), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),  # new, running, finished, interrupted, failed
    Column("reason", Excerpt(2000), nullable=False, default=""),
    Column("created_at", Real, nullable=False),
    Column("ended_at", Real),
    Column("elapsed_s", Real, nullable=False, default=0.0),
    Column("objective", Excerpt(200), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("objective_offset", Real, nullable=False),
    Column("objective_unit", Excerpt(20), nullable=False, server_default=text("''")),
    Column("record", JSON(none_as_null=True)),  # best value known elsewhere: value, source
    Column("measures", JSON, nullable=False),
    Column("evaluator", Excerpt(500), nullable=False),
    Column("config", Text, nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("problem_hash", String(64), nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("kind", String(16), nullable=False, server_default=text("'search'")),  # or probe
    # Strict order: how many iterations, from the first, are in the archive.
    Column("inserted", Integer, nullable=False, server_default="0"),
    Column("archive", Integer, nullable=False, server_default="0"),  # the one its search uses
    # The claim of the one process that writes this run; of several, the one last heard of, and
    # no claimed_at.
    Column("holder", Excerpt(200)),
    Column("holder_process", Text),
    Column("claimed_at", Real),
    Column("expires_at", Real),
    Index(None, "config_hash", "problem_hash"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("size", Integer, nullable=False),  # bytes before compression
    Column("data", LargeBinary, nullable=False),  # zlib
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("iteration", Integer, nullable=False),
    Column("operator", Excerpt(200), nullable=False),
    Column("model", Excerpt(200), nullable=False, server_default=text("''")),  # empty: none
    Column("island", Integer, nullable=False),
    Column("parents", JSON, nullable=False),
    Column("inspirations", JSON, nullable=False),
    # open, rejected, duplicate, added, evaluated; wrote: an instruction; probed: was to find out
    Column("status", String(16), nullable=False),
    Column("reason", Excerpt(200), nullable=False, default=""),
    Column("message", Excerpt(4000), nullable=False, default=""),
    # Strict order: how many iterations were in the archive that it was drawn from.
    Column("inserted", Integer),
    # Number of the instruction its prompt had, 0 for the empty one; null: it could have none.
    Column("instruction", Integer),
    Column("start", Integer),  # search mode: the program whose construction its candidate is given
    Column("created_at", Real, nullable=False),
    Column("ended_at", Real),
    Column("controller", Integer),  # who is at work on it, where several share the run
    UniqueConstraint("run_id", "iteration"),
    Index(None, "run_id", "status", "reason"),
)

#: Guidance for models that is itself evolved; how each did follows from ``proposals``.
instructions = Table(
    "instructions",
    metadata,
    Column("run_id", ForeignKey(runs.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("proposal_id", ForeignKey(proposals.c.id), unique=True),  # null: the configuration's
    Column("text", Excerpt(4000), nullable=False),
    Column("created_at", Real, nullable=False),
)

completions = Table(
    "completions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal_id", ForeignKey(proposals.c.id), nullable=False, index=True),
    Column("model", Excerpt(200), nullable=False),
    Column("server_model", Excerpt(200), nullable=False, default=""),
    Column("parameters", JSON, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # sent, received, failed, unknown
    Column("finish", String(16), nullable=False, default=""),
    Column("error", Excerpt(2000), nullable=False, default=""),
    Column("reserved_usd", Real),  # null: the price is not known
    Column("cost_usd", Real),  # null: not known, or not yet
    Column("tokens_input", Integer, nullable=False, default=0),
    Column("tokens_cached", Integer, nullable=False, default=0),
    Column("tokens_output", Integer, nullable=False, default=0),
    Column("tokens_reasoning", Integer, nullable=False, default=0),
    Column("tokens_written", Integer, nullable=False, server_default="0"),
    # 1: the most possible, since the server did not say, or said what cannot be
    Column("tokens_assumed", Integer, nullable=False, server_default="0"),
    Column("latency_s", Real),
    Column("sent_at", Real, nullable=False),
    Column("ended_at", Real),
    Column("prompt_blob", ForeignKey(blobs.c.id), nullable=False, index=True),
    Column("reply_blob", ForeignKey(blobs.c.id)),
)

programs = Table(
    "programs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("syntax", String(64)),  # of Program.syntax_id; null: made by an older version
    Column("proposal_id", ForeignKey(proposals.c.id), unique=True),  # null: seed, baselines
    Column("operator", Excerpt(200), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("island", Integer, nullable=False),
    Column("summary", Excerpt(1000), nullable=False),
    Column("created_at", Real, nullable=False),
    UniqueConstraint("hash", "run_id"),
    Index(None, "run_id", "syntax"),
    Index(None, "run_id", "operator"),
    Index(None, "run_id", "island"),
    Index(None, "run_id", "generation"),
)

program_files = Table(
    "program_files",
    metadata,
    Column("program_id", ForeignKey(programs.c.id), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("blob", ForeignKey(blobs.c.id), nullable=False),
)

parents = Table(
    "parents",
    metadata,
    Column("program_id", ForeignKey(programs.c.id), primary_key=True),
    Column("position", Integer, primary_key=True),  # 0: the one that was varied
    Column("parent_id", ForeignKey(programs.c.id), nullable=False, index=True),
)

#: What people send to a run: any process may add to it, whoever writes the run.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # hint, program
    Column("text", Excerpt(2000), nullable=False),  # the hint, or the file's name
    Column("blob", ForeignKey(blobs.c.id)),  # the program's files as JSON
    Column("created_at", Real, nullable=False),
    Column("withdrawn_at", Real),
    Column("first", Integer),  # iteration from which a hint is told, or that took the program
    Column("last", Integer),  # iteration from which a hint is told no more
)

#: Work in flight: every program without a verdict has a lease, and no other has one.
leases = Table(
    "leases",
    metadata,
    Column("program_id", ForeignKey(programs.c.id), primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("holder", Excerpt(200), nullable=False),
    Column("leased_at", Real, nullable=False),
    Column("controller", Integer),  # in a shared run; null: set aside
)

#: Processes that share a run, one row a session. Its id is the token of all that it has leased.
controllers = Table(
    "controllers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("holder", Excerpt(200), nullable=False),
    Column("process", Text, nullable=False),
    Column("started_at", Real, nullable=False),
    Column("seen_at", Real, nullable=False),
    Column("expires_at", Real, nullable=False),
    Column("ended_at", Real),
    # working, closing; then finished, interrupted, failed, lost
    Column("status", String(16), nullable=False),
    Column("reason", Excerpt(2000), nullable=False),
    Column("evaluations", Integer, nullable=False, server_default="0"),
    Column("inherited", Integer, nullable=False, server_default="0"),  # its work went to others
)

#: What controllers of a shared run did, in order of ``id``: each folds what the others did.
notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("controller", ForeignKey(controllers.c.id), nullable=False),
    # of a proposal: begun, admitted, refused; of a program: evaluated, set_aside;
    # of a model call: called; of no row: limited, stopping
    Column("kind", String(16), nullable=False),
    Column("subject", Integer, nullable=False),
    Column("text", Excerpt(2000), nullable=False, server_default=text("''")),
    Column("at", Real, nullable=False),
    Index(None, "run_id", "id"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("program_id", ForeignKey(programs.c.id), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("evaluator", String(64), nullable=False),  # version hash
    Column("signature", String(64)),  # hash of the outputs on all cases; null without a score
    Column("environment", String(64)),  # hash of sandbox and packages
    Column("copied_from", Integer),  # the evaluation it was taken over from
    Column("probe", String(64)),  # hash of the outputs on the probe cases
    Column("behaves_like", Integer),  # the program whose scores on the other cases it has
    Column("start", Integer),  # search mode: the program whose construction it was given
    Column("outcome", String(32), nullable=False),
    Column("objective", Real),  # the mean of the samples
    Column("samples", Integer, nullable=False, server_default="1"),
    Column("error", Real),  # standard error of the objective; null with one sample
    Column("measures", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("message", Excerpt(500), nullable=False),  # feedback, or why there is no score
    Column("wall_ns", BigInteger, nullable=False),
    Column("cpu_ns", BigInteger, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("elapsed_s", Real, nullable=False),  # running seconds of the run at this moment
    Column("created_at", Real, nullable=False),
    Column("texts_blob", ForeignKey(blobs.c.id)),
    UniqueConstraint("program_id", "stage", "evaluator"),
    Index(None, "run_id", "signature"),
    Index(None, "run_id", "probe"),
    Index(None, "run_id", "stage", "objective"),
    Index(None, "run_id", "stage", "outcome"),
    CheckConstraint("(outcome = 'ok') = (objective IS NOT NULL)", name="scored"),
)

#: What programs of problems in search mode built, as the evaluator verified it: JSON by case.
constructions = Table(
    "constructions",
    metadata,
    Column("evaluation_id", ForeignKey(evaluations.c.id), primary_key=True),
    Column("blob", ForeignKey(blobs.c.id), nullable=False),
)

#: Every measurement of programs whose scores are noisy, those after their evaluation included.
samples = Table(
    "samples",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False, index=True),
    Column("program_id", ForeignKey(programs.c.id), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("evaluator", String(64), nullable=False),  # version hash
    Column("repeat", Integer, nullable=False),  # from 0; equal ones have equal seeds
    Column("against_id", ForeignKey(programs.c.id)),  # measured beside it in the same slot
    Column("reference", Real),  # that program's objective
    Column("outcome", String(32), nullable=False),
    Column("objective", Real),
    Column("measures", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("message", Excerpt(500), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("cpu_ns", BigInteger, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("environment", String(64)),
    Column("elapsed_s", Real, nullable=False),
    Column("created_at", Real, nullable=False),
    Column("details_blob", ForeignKey(blobs.c.id)),  # of the first one: texts and cases
    UniqueConstraint("program_id", "stage", "evaluator", "repeat"),
    CheckConstraint("(outcome = 'ok') = (objective IS NOT NULL)", name="scored"),
)

case_results = Table(
    "case_results",
    metadata,
    Column("evaluation_id", ForeignKey(evaluations.c.id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Excerpt(200), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("objective", Real),
    Column("measures", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("message", Excerpt(500), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("cpu_ns", BigInteger, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    CheckConstraint("(outcome = 'ok') = (objective IS NOT NULL)", name="scored"),
)

#: Archives of a run: 0 is the one it began with, others are cut or drawn from its evaluations.
archives = Table(
    "archives",
    metadata,
    Column("run_id", ForeignKey(runs.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", Excerpt(200), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("created_at", Real, nullable=False),
)

#: What happened to the map, in order of ``id``: folding the events gives the archive.
archive_events = Table(
    "archive_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("evaluation_id", ForeignKey(evaluations.c.id), nullable=False),
    Column("program_id", ForeignKey(programs.c.id), nullable=False),
    Column("replaced_id", ForeignKey(programs.c.id)),
    Column("island", Integer, nullable=False),
    Column("cell", Integer, nullable=False),
    # new, improve; measured: an elite has another fitness; left: only says who else left
    Column("status", String(16), nullable=False),
    Column("fitness", Real, nullable=False),
    Column("measures", JSON, nullable=False),
    Column("metrics", JSON, nullable=False, server_default="{}"),  # further objectives
    Column("archive", Integer, nullable=False, server_default="0"),
    Column("samples", Integer, nullable=False, server_default="1"),  # that fitness is made of
    Index(None, "run_id", "island", "cell"),
)

#: The last transaction of each connection that writes to a server: whether one whose commit was
#: not seen took place. A file has none.
commits = Table(
    "commits",
    metadata,
    Column("writer", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", Real, nullable=False),
)
