"""A problem, loaded: what is to be solved, from which seed program, judged by which evaluator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evolve.config.bundled import bundled
from evolve.config.file import Loaded, load_problem_config
from evolve.config.fingerprint import evaluator_sources
from evolve.config.machinery import command_of, image_of, machinery
from evolve.config.nearest import did_you_mean
from evolve.config.noise import NoiseConfig
from evolve.config.plugins import find
from evolve.config.problem_file import FigureConfig, ProblemConfig
from evolve.config.program_file import check_entrypoint, read_program
from evolve.config.python_file import top_level_names
from evolve.config.source import Where
from evolve.config.text_file import read_text
from evolve.core.command import Command
from evolve.core.errors import ConfigError
from evolve.core.limits import Limits
from evolve.core.measures import Figure, Measure, Objective
from evolve.core.program import Program
from evolve.core.recipe import DEFAULT_IMAGE, ImageRecipe

MAX_STATEMENT_BYTES = 256 * 1024
MAX_HARNESS_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Baseline:
    """A known program to compare with."""

    name: str
    program: Program


@dataclass(frozen=True, slots=True)
class Select:
    """How the program to report is chosen, and the objective from which on a case is passed."""

    rule: str = "objective"
    passes: float = 1.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """What the first ``cases`` search cases must come to, or the others are not run.

    Either a value of the objective, or a share of what the parent came to over the same cases.
    """

    cases: int
    no_worse_than: float | None = None
    of_parent: float | None = None


@dataclass(frozen=True, slots=True)
class Formula:
    """What a program pays for not being a formula; see `evolve.evaluate.modes`."""

    weight: float
    nodes: int
    floor_ms: float


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem folder, read and checked.

    Attributes:
        id: Name of the folder.
        folder: Where it lies, absolute; evaluator references are relative to it.
        title: One line.
        family: What it is listed under, or empty.
        statement: The text of ``prompt.md``, shown to models.
        seed_program: Where the search starts.
        entrypoint: The function called in the sandbox, once per case; empty with a command.
        evaluator: Plug-in reference of the evaluator.
        evaluator_options: Keyword arguments of its constructor.
        objective: The number to improve.
        measures: The map's axes.
        limits: What one evaluation may use.
        record: Best known value, or None.
        baseline: What a simple method comes to, or None.
        harness: Source of ``harness.py``, or empty.
        baselines: Programs to compare the result with.
        hash: SHA-256 of all that can change a score: evaluator with its source and options,
            entrypoint or command, harness, limits, timing, mode, probes, cascade, objective, names
            of measures, and what the image is made from.
        timed: Whether the score is made of time.
        deterministic: Whether it follows from the program and the cases alone.
        probes: Of the first search cases, so many tell whether a program behaves like a known one.
        cascade: What the first search cases must come to, by their number.
        warmup: Calls of the first case before those that count; above 0 it never counts itself.
        noise: How scores that vary are measured; None when they do not.
        rotate: Iterations after which search cases are made anew; 0 never.
        command: How programs are built and run that are not a Python function.
        image: What the image is made from that programs run in.
        select: Which program found is reported; it plays no part in the search.
        mode: ``construct``, ``search`` from the best construction so far, or ``generalise``.
        formula: In mode generalise, what a program pays for not being a formula.
    """

    id: str
    folder: Path
    title: str
    statement: str
    seed_program: Program
    entrypoint: str
    evaluator: str
    evaluator_options: Mapping[str, object]
    objective: Objective
    measures: tuple[Measure, ...]
    limits: Limits
    record: Figure | None
    harness: str
    baselines: tuple[Baseline, ...]
    hash: str
    timed: bool = False
    deterministic: bool = False
    probes: int = 0
    cascade: tuple[Threshold, ...] = ()
    warmup: int = 0
    noise: NoiseConfig | None = None
    rotate: int = 0
    command: Command | None = None
    image: ImageRecipe = DEFAULT_IMAGE
    select: Select = Select()
    family: str = ""
    baseline: Figure | None = None
    mode: str = "construct"
    formula: Formula | None = None


def load_problem(reference: str, folder: Path | None = None) -> Problem:
    """Read a problem folder and check it. Nothing of it is executed.

    Args:
        reference: A bundled problem's name, or the path of a folder with a ``problem.yaml``. A
            plain name that is bundled means the bundled one; write ``./name`` for a folder.
        folder: Where relative paths start; default: the working folder.

    Raises:
        ConfigError: there is no such problem, or something in it is wrong.
    """
    place = bundled("problems") / reference
    if "/" in reference or not (place / "problem.yaml").is_file():
        place = (folder or Path.cwd()) / reference
    if not (place / "problem.yaml").is_file():
        names = [path.name for path in _bundled_folders()]
        what = "has no problem.yaml" if place.is_dir() else "is no bundled problem and no folder"
        raise ConfigError(f"'{reference}' {what}{did_you_mean(reference, names)}")
    return _load(place)


def list_problems() -> list[tuple[str, Problem | ConfigError]]:
    """Return the bundled problems by name, each loaded or the error that keeps it from loading."""
    found: list[tuple[str, Problem | ConfigError]] = []
    for place in _bundled_folders():
        try:
            found.append((place.name, _load(place)))
        except ConfigError as error:
            found.append((place.name, error))
    return found


def _bundled_folders() -> list[Path]:
    return sorted(path.parent for path in bundled("problems").glob("*/problem.yaml"))


def _load(place: Path) -> Problem:
    loaded = load_problem_config(place / "problem.yaml")
    config = loaded.config
    statement = read_text(place / "prompt.md", MAX_STATEMENT_BYTES).strip()
    if not statement:
        raise ConfigError("say here, for models, what is to be solved", path=f"{place}/prompt.md")
    measures = tuple(Measure.from_dict(measure.model_dump()) for measure in config.measures)
    objective = Objective(**config.objective.model_dump())
    if config.forgeable:  # part of the name, so that nothing can show the score without it
        objective = replace(objective, name=f"{objective.name} (forgeable)")
    limits = Limits(**config.limits.model_dump())
    harness = _harness(loaded)
    return Problem(
        id=place.resolve().name,
        folder=place.resolve(),
        title=config.title,
        statement=statement,
        seed_program=_program(loaded, config.seed_program, ("seed_program",)),
        entrypoint=config.entrypoint or "",
        evaluator=config.evaluator,
        evaluator_options=config.evaluator_options,
        objective=objective,
        measures=measures,
        limits=limits,
        record=_figure(config.record),
        harness=harness,
        baselines=tuple(
            Baseline(each.name, _program(loaded, each.program, ("baselines", index, "program")))
            for index, each in enumerate(config.baselines)
        ),
        hash=_hash(loaded, objective, limits, harness),
        timed=config.timed,
        deterministic=config.deterministic,
        probes=config.probes,
        cascade=tuple(Threshold(**each.model_dump()) for each in config.cascade),
        warmup=config.warmup,
        noise=config.noise,
        rotate=config.rotate.every if config.rotate else 0,
        command=command_of(config),
        image=image_of(loaded),
        select=Select(**config.select.model_dump()),
        family=config.family,
        baseline=_figure(config.baseline),
        mode=config.mode,
        formula=Formula(**config.formula.model_dump()) if config.formula else None,
    )


def _hash(loaded: Loaded[ProblemConfig], objective: Objective, limits: Limits, harness: str) -> str:
    """Return the hash of all that can change a score; see `Problem`."""
    config = loaded.config
    with loaded.at("evaluator"):
        target = find(config.evaluator, seam="evolve.evaluators", folder=loaded.folder)
        sources = evaluator_sources(target)
    thresholds = [each.model_dump(exclude_none=True) for each in config.cascade]
    judged_by = {
        "evaluator": target.attribute,
        "sources": sources,
        "options": config.evaluator_options,
        "entrypoint": config.entrypoint,
        "harness": harness,
        "limits": asdict(limits),
        "timed": config.timed,
        "warmup": config.warmup,
        "objective": {"name": objective.name, "direction": objective.direction}
        | {"offset": objective.offset},
        "measures": sorted(measure.name for measure in config.measures),
        **({"probes": config.probes} if config.probes else {}),
        **({"mode": config.mode} if config.mode != "construct" else {}),
        **({"formula": config.formula.model_dump()} if config.formula else {}),
        **({"cascade": thresholds} if thresholds else {}),
        **machinery(loaded),
    }
    return hashlib.sha256(json.dumps(judged_by, sort_keys=True).encode()).hexdigest()


def _figure(config: FigureConfig | None) -> Figure | None:
    return Figure(**config.model_dump()) if config else None


def _program(loaded: Loaded[ProblemConfig], name: str, where: Where) -> Program:
    """Read a program that lies in the problem's folder and has the entrypoint."""
    path = loaded.folder / name
    if not path.resolve().is_relative_to(loaded.folder.resolve()):
        raise loaded.error(f"{name} must lie inside the problem's folder", *where)
    with loaded.at(*where):
        program = read_program(path)
    if loaded.config.entrypoint is not None:
        with loaded.at("entrypoint"):
            check_entrypoint(program, loaded.config.entrypoint, path)
    return program


def _harness(loaded: Loaded[ProblemConfig]) -> str:
    path = loaded.folder / "harness.py"
    if not path.exists():
        return ""
    if loaded.config.command is not None:
        raise loaded.error("a program that is a command takes no harness.py", "command")
    text = read_text(path, MAX_HARNESS_BYTES)
    if "run" not in top_level_names(text, str(path)):
        raise ConfigError("a harness defines run(function, **inputs)", path=str(path))
    return text
