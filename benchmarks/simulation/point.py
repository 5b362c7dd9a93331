"""One run on so many slots in virtual time, and what is seen of it once it is in its stride."""

from __future__ import annotations

import cProfile
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import anyio
from sqlalchemy import Connection

from benchmarks.simulation.clock import VirtualClock
from benchmarks.simulation.world import (
    SimulatedEvaluate,
    SimulatedModel,
    SimulatedPool,
    World,
)
from evolve.config.file import Loaded, loaded_run_config
from evolve.config.models import RunConfig
from evolve.core.errors import SandboxUnavailable
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.engine.assemble import Parts, configured_problem, writers
from evolve.engine.events import Event, ProgramEvaluated, ProposalRejected
from evolve.engine.hooks.delivery import announcing
from evolve.engine.run import search
from evolve.engine.slots import Slots
from evolve.llm.base import Request
from evolve.llm.prices import quotes
from evolve.propose.base import Context
from evolve.propose.llm import LLMProposer
from evolve.propose.portfolio import open_portfolio
from evolve.sandbox.base import ANY_RESOURCES, Slot
from evolve.store.sqlite import SqliteDatabase

#: The problem whose texts, prompts and archive are used; its evaluator is not.
PROBLEM = "circle_packing_26"
MODEL = "simulated/model"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a controller did in a stretch of virtual time.

    Attributes:
        slots: How many it had.
        seconds: How long that was.
        evaluated: Programs evaluated.
        rejected: Proposals that came to nothing.
        busy: The share of the time that programs ran in the slots, 0 to 1; less than the slots
            were lent, for one that is done waits until the controller takes notice.
        worked_s: Seconds that the controller was at work, `VirtualClock.charge` included.
        charged_s: Seconds of them that were charged.
        writing_s: Seconds of them in a transaction that writes: meanwhile no other process can.
        prompting_s: Seconds of them in which prompts were made.
        megabytes: How large its database was at the end of the run.
    """

    slots: int
    seconds: float
    evaluated: int
    rejected: int
    busy: float
    worked_s: float
    charged_s: float
    writing_s: float
    prompting_s: float
    megabytes: float

    @property
    def rate(self) -> float:
        """Evaluations per second."""
        return self.evaluated / self.seconds

    @property
    def load(self) -> float:
        """The share of the time that the controller was at work, 0 to 1."""
        return self.worked_s / self.seconds

    @property
    def cost_ms(self) -> float:
        """Milliseconds of the controller for every evaluation, fruitless proposals included."""
        return self.each_ms(self.worked_s)

    def each_ms(self, seconds: float) -> float:
        """Return seconds of the stretch as milliseconds for every evaluation."""
        return 1e3 * seconds / self.evaluated if self.evaluated else math.nan


@dataclass
class Shares:
    """Seconds of work that went into two of its parts; see `Seen`."""

    clock: VirtualClock
    writing_s: float = 0.0
    prompting_s: float = 0.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Look at every database and operator of this process."""
        write, request = SqliteDatabase.write, LLMProposer.request
        clock = self.clock

        @contextmanager
        def writing(database: SqliteDatabase) -> Iterator[Connection]:
            with write(database) as connection:
                began = clock.worked_s
                yield connection
            self.writing_s += clock.worked_s - began

        def prompting(operator: LLMProposer, context: Context) -> Request:
            began = clock.worked_s
            made = request(operator, context)
            self.prompting_s += clock.worked_s - began
            return made

        with (
            mock.patch.object(SqliteDatabase, "write", writing),
            mock.patch.object(LLMProposer, "request", prompting),
        ):
            yield


@dataclass
class Watch:
    """An observer that counts what happens between two moments of virtual time."""

    clock: VirtualClock
    pool: SimulatedPool
    shares: Shares
    begin_s: float
    end_s: float
    profile: cProfile.Profile | None = None
    evaluated: int = 0
    rejected: int = 0
    done: Callable[[], None] = lambda: None  #: called at the end
    _began: float = field(init=False)
    _at_begin: tuple[float, ...] | None = None
    _at_end: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        self._began = self.clock.now()

    def __call__(self, event: Event) -> None:
        """Count an event."""
        now = self.clock.now() - self._began
        if now < self.begin_s or self._at_end is not None:
            return
        if self._at_begin is None:
            self._at_begin = self._state()
            if self.profile:
                self.profile.enable()
        if now >= self.end_s:
            self._at_end = self._state()
            if self.profile:
                self.profile.disable()
            self.done()
            return
        self.evaluated += isinstance(event, ProgramEvaluated)
        self.rejected += isinstance(event, ProposalRejected)

    def seen(self, megabytes: float) -> Seen:
        """Return what was seen.

        Raises:
            ValueError: the run was over before.
        """
        if self._at_begin is None or self._at_end is None:
            raise ValueError(f"the run was over before {self.end_s} s of virtual time")
        passed = (b - a for a, b in zip(self._at_begin, self._at_end, strict=True))
        seconds, worked_s, charged_s, writing_s, prompting_s = passed
        return Seen(
            self.pool.size,
            seconds,
            self.evaluated,
            self.rejected,
            self.pool.ran_s / (self.end_s - self.begin_s) / self.pool.size,
            worked_s + charged_s,
            charged_s,
            writing_s,
            prompting_s,
            megabytes,
        )

    def _state(self) -> tuple[float, ...]:
        clock, shares = self.clock, self.shares
        return clock.now(), clock.worked_s, clock.charged_s, shares.writing_s, shares.prompting_s


class Nowhere:
    """A sandbox for a pool that opens no slots."""

    name = "simulated"
    accepts_untrusted = True

    async def open_slot(
        self,
        index: int,
        limits: Limits,  # noqa: ARG002 - nothing runs
        resources: Resources = ANY_RESOURCES,  # noqa: ARG002 - nor anywhere
    ) -> Slot:
        """Refuse: simulated programs do not run."""
        raise SandboxUnavailable(f"slot {index} is simulated")

    def guarantees(self) -> list[str]:
        """Return nothing: there is nothing to be isolated."""
        return []

    def provenance(self) -> dict[str, str]:
        """Return nothing."""
        return {}


def configured(slots: int, seconds: float, islands: int = 1, seed: int = 0) -> Loaded[RunConfig]:
    """Return the configuration of a run that a model and so many slots take part in."""
    return loaded_run_config(
        RunConfig.model_validate(
            {
                "problem": PROBLEM,
                "seed": seed,
                "slots": slots,
                "models": [
                    {
                        "id": MODEL,
                        "concurrency": 4 * slots + 4,
                        "price": {"input": 1.0, "output": 5.0},
                    }
                ],
                "proposers": [{"kind": "diff"}],
                "islands": {"count": islands},
                "stop": {"wall_s": 10 * seconds},
            }
        )
    )


async def _simulate(
    loaded: Loaded[RunConfig], world: World, clock: VirtualClock, watch: Watch, db: Path
) -> None:
    config, problem = loaded.config, configured_problem(loaded)
    parts = Parts(
        problem=problem,
        portfolio=open_portfolio(config, writers(config), problem.objective, loaded.folder),
        slots=Slots(watch.pool, Nowhere()),
        evaluate=SimulatedEvaluate(problem, world, clock, watch.pool),
        rules=None,
        models={MODEL: SimulatedModel(world, clock)},
        prices=quotes(config.models),
    )
    with anyio.CancelScope() as scope, announcing([watch], []) as emit:
        watch.done = scope.cancel
        await search(loaded, parts, str(db), emit)


def simulate(
    slots: int,
    *,
    world: World,
    warm_s: float,
    seconds: float,
    islands: int = 1,
    seed: int = 0,
    profile: cProfile.Profile | None = None,
    folder: Path | None = None,
) -> Seen:
    """Run a controller in virtual time.

    Args:
        slots: How many it has.
        world: What is around it.
        warm_s: Virtual seconds before anything is counted.
        seconds: Virtual seconds that are counted.
        islands: Of the run.
        seed: Of the run.
        profile: Enabled while something is counted.
        folder: Where the database is made; a temporary folder by default.
    """
    clock = VirtualClock()
    loaded = configured(slots, warm_s + seconds, islands, seed)
    shares = Shares(clock)
    with _database(folder) as db, clock.installed(), shares.installed():
        stretch = (warm_s, warm_s + seconds)
        watch = Watch(clock, SimulatedPool(slots, clock, stretch), shares, *stretch, profile)
        anyio.run(
            _simulate,
            loaded,
            world,
            clock,
            watch,
            db,
            backend_options={"loop_factory": clock.loop},
        )
        megabytes = sum(each.stat().st_size for each in db.parent.glob(f"{db.name}*")) / 1e6
    return watch.seen(megabytes)


@contextmanager
def _database(folder: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name) / "run.db"
