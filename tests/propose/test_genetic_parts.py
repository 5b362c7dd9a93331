"""The parts of the genetic proposer: kinds, scopes, blocks, sites, simplification, statements."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from evolve.core.program import END, START, Program
from evolve.propose.genetic import mutate, statements
from evolve.propose.genetic.blocks import Draft
from evolve.propose.genetic.grow import expression, number
from evolve.propose.genetic.kinds import Kind, Scope, infer
from evolve.propose.genetic.scopes import Place, places
from evolve.propose.genetic.simplify import simplify
from evolve.propose.genetic.sites import EITHER, Site, number_of, sites

SCOPE = Scope(
    {"n": Kind.NUMBER, "a": Kind.ARRAY, "m": Kind.MASK, "c": Kind.CONDITION, "o": Kind.OTHER},
    numpy="np",
    math="math",
)


def opened(source: str) -> Draft:
    """Open a program that is one evolve block."""
    return Draft(Program({"p.py": f"# {START}\n{source}# {END}\n"}))


def found(draft: Draft) -> list[Place]:
    return [place for tree in draft.trees for place in places(tree)]


def body(draft: Draft) -> str:
    return draft.blocks[0].render()


def all_sites(source: str) -> list[Site]:
    return [site for place in found(opened(source)) for site in sites(place)]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("3", Kind.NUMBER),
        ("-0.5", Kind.NUMBER),
        ("True", Kind.CONDITION),
        ("'x'", Kind.OTHER),
        ("n + 1", Kind.NUMBER),
        ("n * a", Kind.ARRAY),
        ("o / 2", Kind.NUMBER),
        ("o + o", Kind.OTHER),
        ("[0] * n", Kind.OTHER),
        ("'%d' % n", Kind.OTHER),
        ("a < n", Kind.MASK),
        ("n < 3", Kind.CONDITION),
        ("m & (a > 0)", Kind.MASK),
        ("~m", Kind.MASK),
        ("not c", Kind.CONDITION),
        ("c and n > 2", Kind.CONDITION),
        ("n if c else 2", Kind.NUMBER),
        ("np.where(m, 1, 2)", Kind.ARRAY),
        ("np.sqrt(a)", Kind.ARRAY),
        ("np.sqrt(n)", Kind.NUMBER),
        ("math.sqrt(n)", Kind.NUMBER),
        ("np.max(a)", Kind.NUMBER),
        ("np.max(a, axis=0)", Kind.ARRAY),
        ("a.sum()", Kind.NUMBER),
        ("a.sum(axis=1)", Kind.ARRAY),
        ("a.copy()", Kind.ARRAY),
        ("np.zeros(3)", Kind.ARRAY),
        ("np.isnan(a)", Kind.MASK),
        ("np.random.rand()", Kind.OTHER),
        ("a[0]", Kind.NUMBER),
        ("a[1:]", Kind.ARRAY),
        ("a[:, None]", Kind.ARRAY),
        ("a[m]", Kind.ARRAY),
        ("o[0]", Kind.OTHER),
        ("a.T", Kind.ARRAY),
        ("a.size", Kind.NUMBER),
        ("math.pi", Kind.NUMBER),
        ("len(o)", Kind.NUMBER),
        ("abs(a)", Kind.ARRAY),
        ("f(n)", Kind.OTHER),
        ("unknown", Kind.OTHER),
    ],
)
def test_kinds_are_inferred(source: str, kind: Kind) -> None:
    assert infer(ast.parse(source, mode="eval").body, SCOPE) is kind


def test_scopes_follow_the_statements() -> None:
    draft = opened("""\
import numpy as np
import math
LIMIT = 3

def f(x: float, v: np.ndarray, flag: bool, raw, used, table):
    used -= 1
    y: float = raw
    for i in range(3):
        inner = v * i
    for t in v:
        y = y + t
    if flag:
        y = v
    part, z = v
    y = table[0]
    return y
""")
    last = found(draft)[-1]
    assert isinstance(last.statement, ast.Return)
    assert (last.scope.numpy, last.scope.math) == ("np", "math")
    names = last.scope.names
    assert names["LIMIT"] is names["x"] is names["used"] is names["z"] is Kind.NUMBER
    assert names["v"] is Kind.ARRAY
    assert names["flag"] is Kind.CONDITION
    assert names["table"] is names["y"] is Kind.OTHER
    assert "inner" not in names
    before = next(place for place in found(draft) if isinstance(place.statement, ast.If))
    assert before.scope.names["y"] is Kind.NUMBER
    nested = next(p for p in found(draft) if ast.unparse(p.statement) == "inner = v * i")
    assert nested.scope.names["i"] is Kind.NUMBER


def test_only_statements_inside_blocks_are_found_with_what_is_defined_around_them() -> None:
    program = Program(
        {"p.py": f"x = 1.5\ndef f(y: float):\n    # {START}\n    return x\n    # {END}\n"}
    )
    (place,) = found(Draft(program))
    assert ast.unparse(place.statement) == "return x"
    assert place.scope.names == {"x": Kind.NUMBER, "y": Kind.NUMBER}


def test_sites_say_what_they_accept() -> None:
    source = """\
import numpy as np
def f(n: float, a: np.ndarray):
    if n > 1:
        n = n * 2
    x = a[int(n)] ** 3
    a[a > 0] = n
    return np.where(a > n, a, 0)
"""
    accepts = {
        (ast.unparse(site.place.statement), ast.unparse(site.node)): site.accepts
        for site in all_sites(source)
    }
    final = "return np.where(a > n, a, 0)"
    assert accepts[final, "np.where(a > n, a, 0)"] == (Kind.ARRAY,)
    assert accepts[final, "a > n"] == (Kind.MASK,)
    assert accepts[final, "n"] == EITHER
    assert accepts[final, "0"] == EITHER
    assert accepts["n = n * 2", "n * 2"] == (Kind.NUMBER,)
    assert accepts["a[a > 0] = n", "a > 0"] == (Kind.MASK,)
    assert ("x = a[int(n)] ** 3", "3") not in accepts  # exponents stay what they are
    assert ("a[a > 0] = n", "a[a > 0]") not in accepts  # a target is not a value


def test_indices_sizes_and_arguments_are_exact() -> None:
    source = """\
import numpy as np
def f(n: int, a: np.ndarray):
    for i in range(2, n):
        a[i + 3] = np.sqrt(4 * a[5:]).sum(axis=6)
    return np.full(7, 8.5)
"""
    exact = {number_of(site.node): site.exact for site in all_sites(source)}
    del exact[None]
    assert exact == {2: True, 3: True, 4: False, 5: True, 6: True, 7: True, 8.5: True}


def test_exact_whole_numbers_stay_whole() -> None:
    (site,) = [s for s in all_sites("x = range(20)\n") if number_of(s.node) == 20]
    values = [
        number_of(node)
        for seed in range(100)
        if (node := mutate.perturb(np.random.default_rng(seed), site)) is not None
    ]
    assert len(values) == 100
    assert all(isinstance(value, int) and value > 0 for value in values)
    assert 20 not in values


def test_steps_are_coarse_and_fine_and_few_digits_long() -> None:
    (site,) = [s for s in all_sites("x = 0.7\n") if number_of(s.node)]
    nodes = [mutate.perturb(np.random.default_rng(seed), site) for seed in range(300)]
    values = [value for node in nodes if node is not None and (value := number_of(node))]
    ratios = np.abs(np.array(values) / 0.7 - 1)
    assert (ratios < 0.02).sum() > 30
    assert (ratios > 0.3).sum() > 30
    assert all(len(f"{value:g}") <= 9 for value in values)


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.ARRAY, Kind.CONDITION, Kind.MASK])
def test_what_grows_has_the_kind_asked_for(kind: Kind) -> None:
    for seed in range(200):
        grown = expression(np.random.default_rng(seed), SCOPE, kind, 3)
        assert infer(grown, SCOPE) is kind
        ast.unparse(grown)


def test_without_numpy_only_the_built_ins_grow() -> None:
    scope = Scope({"x": Kind.NUMBER})
    assert not scope.can_grow(Kind.ARRAY)
    for seed in range(100):
        grown = expression(np.random.default_rng(seed), scope, Kind.NUMBER, 3)
        value = eval(ast.unparse(grown), {"x": 1.7, "ZeroDivisionError": ZeroDivisionError})
        assert isinstance(value, int | float | complex)


@pytest.mark.parametrize(
    ("source", "simple"),
    [
        ("x = 2 * 3 + y", "x = 6 + y"),
        ("x = 0.1 + 0.2", "x = 0.3"),
        ("x = 1 / 0", "x = 1 / 0"),
        ("x = 1 / 3", "x = 0.3333333333333333"),
        ("x = y + 0", "x = y"),
        ("x = 1 * y", "x = y"),
        ("x = y / 1.0", "x = y"),
        ("x = 0 - y", "x = 0 - y"),
        ("x = --y", "x = y"),
        ("x = -(y - z)", "x = z - y"),
        ("x = y - -z", "x = y + z"),
        ("x = y + -3", "x = y - 3"),
        ("x = abs(abs(y))", "x = abs(y)"),
        ("x = np.where(c, y, y)", "x = y"),
        ("x = 2 ** 1000", "x = 2 ** 1000"),
        (f"x = {10**200} * {10**200}", f"x = {10**200} * {10**200}"),
        ("x = [0] + y", "x = [0] + y"),
        ("def f(x=2 * 3): return 1 + 1", "def f(x=2 * 3):\n    return 2"),
    ],
)
def test_simplification_keeps_the_value(source: str, simple: str) -> None:
    assert ast.unparse(simplify(ast.parse(source).body[0])) == simple


@pytest.mark.parametrize("value", [3, -3, 0.5, -0.5, 0, 1e-7, 12345678901234567890])
def test_numbers_survive_being_written(value: float) -> None:
    node = number(value)
    assert number_of(node) == value
    assert number_of(ast.parse(ast.unparse(node), mode="eval").body) == value
    power = ast.BinOp(left=node, op=ast.Pow(), right=number(2))
    assert eval(ast.unparse(power)) == value**2


def test_naming_a_part_changes_no_result() -> None:
    draft = opened("def f(x: float):\n    return abs(x * 2 - 1) + 3\n")
    assert statements.name_part(np.random.default_rng(1), found(draft))
    scope: dict[str, object] = {}
    exec(body(draft), scope)
    assert "part_1" in body(draft)
    assert scope["f"](4.0) == 10.0  # type: ignore[operator]  # what exec defines has no type


def test_a_new_term_follows_the_assignment_of_its_variable() -> None:
    draft = opened("def f(x: float):\n    y = x * 2\n    return y\n")
    assert statements.add_term(np.random.default_rng(0), found(draft))
    lines = body(draft).splitlines()
    assert lines[1] == "    y = x * 2"
    assert lines[2].startswith("    y = y ")
    assert lines[3] == "    return y"


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("    y = x * 2\n    return y + 1\n", "    return x * 2 + 1\n"),
        ("    x = x * 2\n    return x\n", "    return x\n"),
    ],
)
def test_a_removed_assignment_leaves_no_name_undefined(source: str, left: str) -> None:
    draft = opened(f"def f(x: float):\n{source}")
    assert statements.remove(np.random.default_rng(0), found(draft))
    assert body(draft) == f"def f(x: float):\n\n{left}".replace("\n\n", "\n")


def test_an_assignment_used_twice_or_outside_the_block_is_kept() -> None:
    twice = opened("def f(x: float):\n    y = x * 2\n    return y + y\n")
    assert not statements.remove(np.random.default_rng(0), found(twice))
    source = f"def f(x):\n    # {START}\n    y = x * 2\n    print()\n    # {END}\n    return y\n"
    outside = Draft(Program({"p.py": source}))
    assert not statements.remove(np.random.default_rng(0), found(outside))


def test_an_untouched_block_keeps_its_comments() -> None:
    source = f"# {START}\nx = 1  # one\n# {END}\n# {START}\ny = 2  # two\n# {END}\n"
    draft = Draft(Program({"p.py": source}))
    draft.blocks[1].statements.append(ast.parse("z = 3").body[0])
    assert draft.render().files["p.py"] == source.replace("y = 2  # two", "y = 2\nz = 3")


def test_docstrings_in_indented_blocks_do_not_drift() -> None:
    source = (
        f"def f():\n    # {START}\n    def g():\n        '''One.\n\n        Two.\n        '''\n"
        f"        return 1\n    return g\n    # {END}\n"
    )
    program = Program({"p.py": source})
    for step in range(3):
        draft = Draft(program)
        draft.blocks[0].statements.insert(0, ast.parse(f"x{step} = 1").body[0])
        program = draft.render()
    assert "    Two." in program.files["p.py"]
    assert "        Two." not in program.files["p.py"]
