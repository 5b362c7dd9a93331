"""The configuration of a run as frozen pydantic models; `problem_file` has those of a problem.

These classes are the schema: `evolve config schema` prints them, unknown keys are refused, and a
test proves that every key has a reader. Units are part of the names.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evolve.config.archive import ArchiveConfig
from evolve.config.fields import (
    Body,
    Options,
    Positive,
    PositiveInt,
    Server,
    VariableName,
)
from evolve.config.grading import MODEL_GRADED, GradeConfig
from evolve.config.held_out import HeldOutConfig
from evolve.config.noise import NoiseConfig
from evolve.config.pool import PoolConfig as PoolConfig  # noqa: PLC0414 - also from here
from evolve.config.proposing import InstructionsConfig
from evolve.config.proposing import PortfolioConfig as PortfolioConfig  # noqa: PLC0414 - also from here
from evolve.config.proposing import ProposerConfig as ProposerConfig  # noqa: PLC0414 - also from here
from evolve.config.rotate import RotateConfig
from evolve.config.section import Section as Section  # noqa: PLC0414 - also from here


class SandboxConfig(Section):
    """Where programs run."""

    kind: str = Field(
        default="auto",
        description="auto (docker for code from a model, else process), docker, process, plug-in",
    )
    image: str | None = Field(
        default=None, description="Docker image; default: the problem's, or made from this Python"
    )
    isolation: Literal["slot", "container"] | None = Field(
        default=None,
        description="docker: a container per slot, with a fresh process for every program, or a "
        "fresh container for every program; default: container with GPUs, else slot",
    )
    runtime: str | None = Field(
        default=None, description="docker: the engine's runtime, such as runsc; default: its own"
    )
    allow_untrusted: bool = Field(
        default=False, description="let code from a model run in the weaker process sandbox"
    )


class StoreConfig(Section):
    """How the database is written."""

    synchronous: Literal["normal", "full"] = Field(
        default="normal",
        description="full: every commit waits for the disk, so that a power failure takes back "
        "nothing; a killed process loses nothing either way. A server always does so",
    )
    wait_s: Annotated[float, Field(ge=0)] = Field(
        default=60.0,
        description="seconds to wait for a database server that went away in mid-run",
    )


class RatesConfig(Section):
    """US dollars per million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cached: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="input read from the cache; default: the input price"
    )
    written: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="input written to the cache; default: the input price"
    )


class TierConfig(RatesConfig):
    """Prices of a whole request that is long."""

    above: PositiveInt = Field(description="input tokens that a request must have more than")


class PriceConfig(RatesConfig):
    """US dollars per million tokens, for short requests and for long ones."""

    tiers: tuple[TierConfig, ...] = Field(default=(), description="other prices of long requests")


class ContainerConfig(Section):
    """The container of an agent: its own image, no secrets but those passed on, bounded."""

    image: str = Field(description="Docker image with the agent's program in it")
    network: str = Field(
        default="bridge", description="Docker network: an agent has to reach its model; or none"
    )
    memory_mb: PositiveInt = 2048
    cpus: Positive = 1.0
    processes: PositiveInt = 256


class ModelConfig(Section):
    """A language model."""

    id: str = Field(
        description="openai/NAME, anthropic/NAME, command/PROGRAM ARGS, agent/PROGRAM ARGS, "
        "replay/FILE, or a plug-in"
    )
    api: Literal["chat", "responses", "embeddings"] = Field(
        default="chat", description="endpoint of an openai/ model"
    )
    base_url: Server | None = Field(default=None, description="any server that speaks the protocol")
    api_key_env: VariableName | None = Field(
        default=None, description="NAME of the environment variable that holds the key"
    )
    effort: str | None = Field(
        default=None, description="reasoning effort, in the server's words, such as low or high"
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: tuple[str, ...] = Field(default=(), description="texts that end a reply")
    max_tokens: PositiveInt = Field(default=8192, description="longest reply, in tokens")
    timeout_s: Positive = 300.0
    retries: Annotated[int, Field(ge=0)] = 3
    concurrency: PositiveInt = Field(default=8, description="calls in flight at once")
    outage_s: Positive = Field(
        default=600.0, description="seconds without an answer after which the run stops"
    )
    price: PriceConfig | None = Field(
        default=None, description="default: from the table of list prices, where the model is in it"
    )
    vision: bool = Field(
        default=False, description="the model is shown the images that evaluators draw"
    )
    image_tokens: PositiveInt | None = Field(
        default=None,
        description="most input tokens that the server counts for one image, which the budget "
        "reserves; default: by its size, enough for the vendors' own models",
    )
    grammar_field: str = Field(
        default="grammar", description="request field in which the server takes a GBNF grammar"
    )
    extra_body: Body = Field(default_factory=dict, description="further fields of every request")
    pass_env: tuple[VariableName, ...] = Field(
        default=(), description="NAMES of environment variables that a command/ program gets"
    )
    container: ContainerConfig | None = Field(
        default=None, description="where an agent/ program runs"
    )
    allow_uncontained: bool = Field(
        default=False, description="run an agent/ program on this machine as you, with your files"
    )
    stdin: Literal["text", "json"] = Field(
        default="text", description="how a command/ program is given the prompt"
    )

    @model_validator(mode="after")
    def _eyes(self) -> ModelConfig:
        blind = self.api == "embeddings" or self.id.startswith(("command/", "agent/"))
        if self.vision and blind:
            raise ValueError(f"vision: images cannot be given to {self.id}; leave it out")
        return self


class MixConfig(Section):
    """Relative numbers of the kinds of inspirations; halves go to the kind named first."""

    top: Annotated[float, Field(ge=0)] = Field(default=1.0, description="the fittest")
    diverse: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="far from the parent and from each other"
    )
    near: Annotated[float, Field(ge=0)] = Field(default=0.0, description="the parent's neighbours")

    @model_validator(mode="after")
    def _something(self) -> MixConfig:
        if not (self.top or self.diverse or self.near):
            raise ValueError("top, diverse and near are all 0, one must not be")
        return self


class SelectionConfig(Section):
    """Who becomes a parent, and who else is shown."""

    kind: str = Field(
        default="adaptive",
        description="adaptive, mixed, uniform, rank, softmax, curiosity, novelty, weighted, "
        "clusters, pareto, puct, greedy, sequential, best_of_n, or a plug-in",
    )
    options: Options = Field(default_factory=dict)
    inspirations: Annotated[int, Field(ge=0)] = Field(
        default=3, description="elites of other cells in a prompt"
    )
    mix: MixConfig = MixConfig()


class MigrationConfig(Section):
    """When islands exchange copies of their best programs; 0 means never."""

    interval: Annotated[int, Field(ge=0)] = Field(
        default=0, description="evaluations between migrations along all routes"
    )
    stagnation: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="evaluations of an island without a better best after which it receives",
    )
    elites: PositiveInt = Field(default=1, description="programs along each route, the fittest")


class ResetConfig(Section):
    """When the worst islands start again from a survivor's best program; 0 means never."""

    interval: Annotated[int, Field(ge=0)] = Field(
        default=0, description="evaluations between resets"
    )
    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="share of the islands, rounded down"
    )


class SpawnConfig(Section):
    """When another island appears, which begins with an elite of any cell; 0 means never."""

    stagnation: Annotated[int, Field(ge=0)] = Field(
        default=0, description="evaluations without a better best of the run"
    )
    limit: PositiveInt = Field(default=8, description="islands that there may be")


class IslandsConfig(Section):
    """Populations with an archive each, which exchange their best now and then."""

    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="islands at the start"
    )
    topology: Literal["ring", "star", "full", "random"] = Field(
        default="ring", description="who sends to whom"
    )
    allocation: Literal["even", "random", "ucb"] = Field(
        default="even",
        description="whose turn an iteration is: one after the other, by chance, or where "
        "evaluations gained most lately",
    )
    migration: MigrationConfig = MigrationConfig()
    reset: ResetConfig = ResetConfig()
    spawn: SpawnConfig = SpawnConfig()


class HookConfig(Section):
    """Something that is told of every event of a run, in a thread of its own."""

    kind: str = Field(description="jsonl, wandb, mlflow, tensorboard, otel, or a plug-in")
    options: Body = Field(default_factory=dict, description="its arguments, without secrets")


class StopConfig(Section):
    """The run ends at whichever comes first. A run without any rule is refused."""

    evaluations: PositiveInt | None = None
    samples: PositiveInt | None = Field(
        default=None,
        description="measurements on the search cases where scores vary, those of races included; "
        "what is under way is finished",
    )
    wall_s: Positive | None = Field(
        default=None, description="seconds of running, resumed included"
    )
    cost_usd: Positive | None = Field(default=None, description="reserved before it is spent")
    tokens: PositiveInt | None = Field(
        default=None, description="input and output together, reserved before they are used"
    )
    calls: PositiveInt | None = Field(default=None, description="model calls, failed ones too")
    target: float | None = Field(default=None, description="objective value to reach")
    no_improvement: PositiveInt | None = Field(
        default=None, description="evaluations in a row without a better best"
    )
    grace_s: Positive = Field(
        default=60.0,
        description="seconds that proposals may go on asking models once stopping; calls under way "
        "are waited for",
    )
    fruitless: PositiveInt = Field(
        default=500, description="proposals in a row that lead to no evaluation"
    )

    @model_validator(mode="after")
    def _some_rule(self) -> StopConfig:
        budgets = (self.cost_usd, self.tokens, self.calls)
        rules = (self.evaluations, self.samples, self.wall_s, *budgets)
        if all(rule is None for rule in (*rules, self.target, self.no_improvement)):
            raise ValueError(
                "say when to stop: evaluations, samples, wall_s, cost_usd, tokens, calls, target "
                "or no_improvement"
            )
        return self


class RunConfig(Section):
    """A configuration file of `evolve run`."""

    problem: str = Field(description="bundled name, or a folder relative to this file")
    preset: str = Field(
        default="",
        description="a named way to search, see `evolve config presets`; keys that are given win",
    )
    name: str = Field(default="", description="label of the run; default: the file's name")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    slots: PositiveInt = Field(default=2, description="evaluations at once")
    proposals: PositiveInt | None = Field(
        default=None, description="proposals in flight at most; default: adapted to latency"
    )
    order: Literal["arrival", "strict"] = Field(
        default="arrival",
        description="arrival: results enter the archive as they come; strict: in the order of "
        "iterations, so that a run repeats whatever the number of slots and the timing",
    )
    reuse: bool = Field(
        default=True,
        description="take over evaluations of the same sources by the same evaluator in the same "
        "sandbox from this database, where the problem is deterministic and not timed",
    )
    window: PositiveInt = Field(
        default=8,
        description="strict order: an iteration is drawn from the archive as it was this many "
        "iterations before; more are never in flight",
    )
    interaction: Literal["auto", "boundary", "harness"] = Field(
        default="auto",
        description="how cases reach a program when the problem has both ways: auto takes the "
        "harness for closed-set programs and the boundary for code from a model",
    )
    sandbox: SandboxConfig = SandboxConfig()
    pool: PoolConfig = PoolConfig()
    store: StoreConfig = StoreConfig()
    archive: ArchiveConfig = ArchiveConfig()
    selection: SelectionConfig = SelectionConfig()
    islands: IslandsConfig = IslandsConfig()
    noise: NoiseConfig | None = Field(
        default=None, description="how scores that vary are measured; default: as the problem says"
    )
    rotate: RotateConfig | None = Field(
        default=None, description="when search cases are made anew; default: as the problem says"
    )
    held_out: HeldOutConfig = HeldOutConfig()
    models: tuple[ModelConfig, ...] = ()
    proposers: tuple[ProposerConfig, ...] = Field(min_length=1)
    portfolio: PortfolioConfig = PortfolioConfig()
    instructions: InstructionsConfig | None = Field(
        default=None, description="default: none; `{}` takes all defaults"
    )
    grades: tuple[GradeConfig, ...] = Field(
        default=(), description="metrics that a model grades; they play no part in selection"
    )
    hooks: tuple[HookConfig, ...] = ()
    stop: StopConfig

    @model_validator(mode="after")
    def _grades_by_models(self) -> RunConfig:
        models = [each.id for each in self.models if each.api != "embeddings"]
        names = [each.name for each in self.grades]
        if len(set(names)) < len(names):
            raise ValueError(f"grades: two have the same name: {', '.join(names)}")
        for each in self.grades:
            if not models or each.model not in (None, *models):
                raise ValueError(
                    f"grades: {each.name} is graded by {each.model or 'a model'}, and models has "
                    f"{', '.join(models) or 'none'}"
                )
        used = [each.name for each in self.archive.objectives]
        used += [axis.name for axis in self.archive.measures or ()]
        if any(name.endswith(MODEL_GRADED) for name in used):
            raise ValueError("a grade is a model's opinion: it can be no objective and no measure")
        return self
