"""The installed packages that scores depend on: stored with a run, and compared when it goes on.

What an evaluator is made of is part of its version; what it imports from elsewhere is not, and a
new release may score differently without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from evolve.config.fingerprint import evaluator_imports, imported
from evolve.config.plugins import find
from evolve.config.problem import Problem
from evolve.sandbox.base import Sandbox

#: Where a run's provenance keeps them.
PACKAGES = "packages"
#: Modules that no package of a problem brings.
_OURS = {"evolve", *sys.stdlib_module_names}
#: Packages that a note names one by one.
_NAMED = 5


def packages_of(problem: Problem, sandbox: Sandbox) -> dict[str, str]:
    """Return the versions of the installed packages that a problem's code imports, by name.

    Args:
        problem: The problem. Its code is read, not run.
        sandbox: Where programs run. Without an image of its own that is among these packages, and
            those of the seed program and the harness count beside the evaluator's.
    """
    target = find(problem.evaluator, seam="evolve.evaluators", folder=problem.folder)
    modules = evaluator_imports(target)
    if "digest" not in sandbox.provenance() and problem.command is None:
        files = {**problem.seed_program.files, "harness.py": problem.harness}
        for path, text in files.items():
            if path.endswith(".py"):
                modules |= imported(text, path)
    names = (name for module in modules - _OURS for name in _distributions(module))
    return {name: version(name) for name in sorted(set(names))}


def changed_packages(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Say which packages have another version than before; nothing where none has.

    Args:
        before: What a run was made with, its provenance.
        now: What it would be made with today.
    """
    then, today = before.get(PACKAGES), now.get(PACKAGES)
    if not isinstance(then, dict) or not isinstance(today, dict):  # of an older version
        return ""
    moved = [
        f"{name} {then.get(name, 'none')} then, {today.get(name, 'none')} now"
        for name in sorted({*then, *today})
        if then.get(name) != today.get(name)
    ]
    further = [f"{len(moved) - _NAMED} more"] if len(moved) > _NAMED else []
    return "; ".join([*moved[:_NAMED], *further])


@cache
def _distributions(module: str) -> Iterable[str]:
    """Return the installed packages that bring a module; most have its name."""
    try:
        version(module)
    except PackageNotFoundError:
        return tuple(packages_distributions().get(module, ()))
    return (module,)
