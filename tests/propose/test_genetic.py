"""The genetic proposer, from the outside: whatever the parents and the dice, its promises hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.limits import Limits
from evolve.core.measures import Measure, Objective
from evolve.core.program import END, START, Program
from evolve.llm.base import Completion, Request
from evolve.propose.base import Candidate, Context, Individual, Rejected
from evolve.propose.genetic import GeneticProposer

HEURISTIC = f"""\
import numpy as np

SCALE = 3.0  # outside: stays


def priority(item: float, bins: np.ndarray) -> np.ndarray:
    '''Docstring.'''
    # {START}
    gap = bins - item  # room left
    best = gap.min()
    return np.where(gap < 5, -gap, gap / SCALE + 2 * best)
    # {END}
"""

STDLIB = f"""\
import math
from dataclasses import dataclass

# {START}
STEPS = 20
SIZE = 0.25


@dataclass
class State:
    x: float = 1.5
    trail: tuple = ()

    def energy(self, t: float) -> float:
        return math.sin(self.x) * t ** 2 + abs(t)


def helper(a, b=2, *rest, scale=0.5, **options):
    '''Several

    lines.
    '''
    if a > b and not rest:
        return a / b * scale
    elif a < 0:
        a, b = b, a
    return max(a, b) if b != 0 else f"{{a}} and {{b}}"


def search(n: int, flag: bool = True):
    best, state = 1e9, State()
    values = [math.exp(-0.1 * i) for i in range(n) if i % 2 == 0]
    table = {{"a": 1, "b": [2, 3]}}
    for step in range(STEPS):
        state.x += 0.5 * step
        value = state.energy(step / 3) + helper(step, 2, scale=1.5)
        if value < best:
            best = value
        else:
            best *= 0.99
    while n > 0:
        n -= 1
    try:
        values.append(table["b"][0])
    except KeyError as error:
        raise ValueError("no") from error
    return min(best, *values), sorted(values, key=lambda v: -v)
# {END}


def untouched(x=1):   # two   spaces
    return x
"""

ARRAYS = f"""\
import numpy as np

# {START}
def pack(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n)))
    grid = (np.arange(side) + 0.5) / side
    centers = np.array([(x, y) for x in grid for y in grid])[:n]
    for _ in range(50):
        delta = centers[:, None, :] - centers[None, :, :]
        dist = np.sqrt((delta ** 2).sum(axis=-1)) + np.eye(n)
        push = np.where(dist < 0.3, 0.01 / dist, 0.0)
        centers = np.clip(centers + 0.1 * (push[:, :, None] * delta).sum(axis=1), 0.05, 0.95)
        centers[centers > 0.9] = 0.9 - 0.01 * rng.random()
    radii = np.full(n, 0.5 / side)
    return np.column_stack([centers, radii])
# {END}
"""

PARTS = f"""\
def first(x, y):
  # {START} one
  total = x * 2 + y
  if total > 3:
    def inner(z: float):
      '''Two
      lines.'''
      return z - 1
    total = inner(total)
  # {END} one
  return total

def second(x: float, flag: bool) -> float:
\t# {START} two
\treturn -x if flag else x
\t# {END} two
"""

WHOLE = "# a comment\nx = 1\ny = x + 2.5\n"

PROGRAMS = {
    "heuristic": Program({"seed.py": HEURISTIC}),
    "stdlib": Program({"seed.py": STDLIB}),
    "arrays": Program({"seed.py": ARRAYS}),
    "parts": Program({"seed.py": PARTS}),
    "whole": Program({"seed.py": WHOLE}),
    "files": Program({"a/seed.py": PARTS, "kernel.c": f"// {START}\nint x = 1;\n// {END}\n"}),
}

#: Calls and attributes that the proposer may write of its own, `np` being what numpy is called.
FUNCTIONS = ("sqrt", "log1p", "exp", "tanh")
CLOSED = {
    *("min", "max", "abs"),
    *(f"math.{name}" for name in FUNCTIONS),
    *(f"np.{name}" for name in (*FUNCTIONS, "abs", "minimum", "maximum", "max", "min", "mean")),
    "np.where",
}
CLOSED_STATEMENTS = {"Assign"}


async def no_model(model: str, request: Request) -> Completion:
    raise AssertionError("the genetic proposer needs no model")


def individual(program: Program, number: int = 1) -> Individual:
    return Individual(number, program, Evaluation(Outcome.OK, Score(0.0)))


def context(parent: Program, seed: int, *others: Program, root: Program | None = None) -> Context:
    problem = Problem(
        id="p", folder=Path(), title="", statement="", seed_program=root or parent,
        entrypoint="f", evaluator="", evaluator_options={}, objective=Objective("o"),
        measures=(Measure("m", 0, 1, 1),), limits=Limits(), record=None, harness="", baselines=(),
        hash="",
    )  # fmt: skip
    inspirations = tuple(individual(other, 2 + i) for i, other in enumerate(others))
    rng = np.random.default_rng(seed)
    return Context(problem, individual(parent), inspirations, rng, seed, no_model)


def run(proposer: GeneticProposer, given_context: Context) -> Candidate | Rejected:
    """Run a proposal to its end: it waits for nothing."""
    coroutine = proposer.propose(given_context)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    result = end.value.value
    assert isinstance(result, Candidate | Rejected)
    return result


def child(proposer: GeneticProposer, parent: Program, seed: int, *others: Program) -> Candidate:
    result = run(proposer, context(parent, seed, *others))
    assert isinstance(result, Candidate), result
    return result


def outside(text: str) -> list[str]:
    """Return the lines outside the evolve blocks, markers included."""
    kept, inside = [], START not in text
    for line in [] if inside else text.splitlines(keepends=True):
        inside = inside and END not in line
        if not inside:
            kept.append(line)
        inside = inside or START in line
    return kept


def signatures(text: str) -> list[str]:
    return [
        f"{node.name} {ast.unparse(node.args)} {node.returns and ast.unparse(node.returns)}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    ]


def reach(node: ast.Attribute) -> str:
    """Return ``np.name`` for a module's attribute and ``.name`` for that of a value."""
    owner = ast.unparse(node.value)
    return f"{owner if owner in ('np', 'math') else ''}.{node.attr}"


def features(text: str) -> set[str]:
    """Return what a program's text could reach: statements, names, attributes, calls, operators."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute():
                found.add(reach(node))
            case ast.Name(id=name) if not re.fullmatch(r"part_\d+", name):
                found.add(name)
            case ast.Call(func=ast.Attribute() as func):
                found.add(f"call {reach(func)}")
            case ast.Call(func=func):
                found.add(f"call {ast.unparse(func)}")
            case ast.Constant(value=str() as value):
                found.add(f"string {value.split()}")
            case ast.stmt():
                found.add(type(node).__name__)
            case ast.BinOp(op=ast.Pow(), right=right):
                assert abs(float(ast.unparse(right))) <= 3
    return found


ALLOWED = CLOSED | CLOSED_STATEMENTS | {f"call {name}" for name in CLOSED}


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(PROGRAMS)),
    seed=st.integers(0, 2**32),
    generations=st.integers(1, 4),
    crossover=st.sampled_from([0.0, 1.0]),
)
def test_offspring_stay_inside_what_the_parents_had_and_the_closed_set(
    name: str, seed: int, generations: int, crossover: float
) -> None:
    origin = PROGRAMS[name]
    proposer = GeneticProposer(crossover=crossover, mutations=3)
    program, mate = origin, origin
    for generation in range(generations):
        result = run(proposer, context(program, seed + generation, mate, root=origin))
        if isinstance(result, Candidate):
            assert result.program != program
            program, mate = result.program, program
    for path, text in program.files.items():
        assert outside(text) == outside(origin.files[path])
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert signatures(text) == signatures(origin.files[path])
            assert features(text) - features(origin.files[path]) <= ALLOWED
        else:
            assert text == origin.files[path]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_dice_give_the_same_candidate(name: str) -> None:
    parent = PROGRAMS[name]
    for seed in range(10):
        one, two = (child(GeneticProposer(), parent, seed, parent) for _ in range(2))
        assert one == two


@pytest.mark.parametrize(
    ("name", "distinct"), [("heuristic", 180), ("stdlib", 150), ("arrays", 150)]
)
def test_offspring_are_various(name: str, distinct: int) -> None:
    children = {child(GeneticProposer(), PROGRAMS[name], seed).program.id for seed in range(200)}
    assert len(children) >= distinct


def test_most_offspring_of_a_heuristic_run_and_keep_the_shape() -> None:
    fine = 0
    for seed in range(200):
        scope: dict[str, Any] = {}
        source = child(GeneticProposer(), PROGRAMS["heuristic"], seed).program.files["seed.py"]
        exec(source, scope)
        with np.errstate(all="ignore"):
            result = scope["priority"](item=10.0, bins=np.array([20.0, 30.0, 100.0]))
        fine += np.shape(result) == (3,) and not np.isnan(result).any()
    assert fine >= 180


def test_most_offspring_of_array_code_run() -> None:
    fine = 0
    for seed in range(100):
        scope: dict[str, Any] = {}
        source = child(GeneticProposer(), PROGRAMS["arrays"], seed).program.files["seed.py"]
        exec(source, scope)
        try:
            with np.errstate(all="ignore"):
                fine += np.shape(scope["pack"](7)) == (7, 3)
        except (ValueError, TypeError, IndexError, ArithmeticError):
            pass  # such as sizes that no longer match
    assert fine >= 50


def test_loops_on_a_condition_are_left_alone() -> None:
    for seed in range(100):
        program = child(GeneticProposer(mutations=5), PROGRAMS["stdlib"], seed).program
        assert "    while n > 0:\n        n -= 1\n" in program.files["seed.py"]


def test_a_crossover_names_both_parents_and_takes_from_the_second() -> None:
    donor = Program({"seed.py": HEURISTIC.replace("gap < 5", "np.sqrt(bins) * 77 < 5")})
    proposer = GeneticProposer(crossover=1.0, mutations=1)
    children = [child(proposer, PROGRAMS["heuristic"], seed, donor) for seed in range(40)]
    crossed = [c for c in children if c.summary.startswith("crossover")]
    assert all(c.parents == (1, 2) for c in crossed)
    assert all(c.parents == (1,) for c in children if c not in crossed)
    assert any("np.sqrt(bins) * 77" in c.program.files["seed.py"] for c in crossed)


def test_blocks_grow_no_larger_than_allowed() -> None:
    parent = PROGRAMS["heuristic"]

    def size(program: Program) -> int:
        return sum(1 for _ in ast.walk(ast.parse(program.files["seed.py"])))

    program = parent
    for seed in range(60):
        result = run(GeneticProposer(mutations=4, growth=25), context(program, seed, root=parent))
        if isinstance(result, Candidate):
            program = result.program
        assert size(program) <= size(parent) + 25


def test_a_program_without_python_is_rejected() -> None:
    parent = Program({"kernel.c": f"// {START}\nint x = 1;\n// {END}\n"})
    result = run(GeneticProposer(), context(parent, 0))
    assert isinstance(result, Rejected)
    assert result.reason == "syntax"


def test_a_block_of_half_a_statement_is_rejected() -> None:
    parent = Program(
        {"p.py": f"if True:\n    # {START}\n    x = 1\nelse:\n    # {END}\n    y = 2\n"}
    )
    result = run(GeneticProposer(), context(parent, 0))
    assert isinstance(result, Rejected)
    assert result.reason == "syntax"


def test_an_expression_nested_too_deeply_is_rejected() -> None:
    parent = Program({"p.py": f"# {START}\nx = {' + '.join(['y'] * 2000)}\n# {END}\n"})
    result = run(GeneticProposer(), context(parent, 0))
    assert isinstance(result, Rejected)
    assert result.reason == "syntax"


def test_a_block_in_which_nothing_varies_is_a_no_op() -> None:
    parent = Program({"p.py": f"# {START}\nname = 'fixed'\n# {END}\n"})
    result = run(GeneticProposer(), context(parent, 0))
    assert isinstance(result, Rejected)
    assert result.reason == "no_op"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"mutations": 0.5}, "mutations"),
        ({"crossover": 2}, "crossover"),
        ({"growth": -1}, "growth"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        GeneticProposer(**options)


def test_it_claims_no_arbitrary_code() -> None:
    assert GeneticProposer.name == "genetic"
    assert not GeneticProposer.arbitrary_code
