"""New problems, made from templates that work as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

import yaml

from evolve.config.bundled import bundled
from evolve.config.nearest import did_you_mean
from evolve.core.errors import ConfigError

#: What each template is for.
TEMPLATES = {
    "math": "a construction: verified exactly, one case, a record to beat",
    "search": "a heuristic that improves on the best construction so far, within a time budget",
    "formula": "one construction for every size, which pays for its length and its time",
    "heuristic": "a rule that an evaluator asks decision by decision, without seeing the future",
    "code": "a function to make faster without making it wrong; scores are times",
    "optimizer": "an update rule: the evaluator trains, the program only updates",
    "kernel": "an array kernel, timed after warming up; CPU as it is, GPU with two lines changed",
    "any-language": "a program in C++ (or another language) that is built and run",
}
_MORE = {
    "kernel": """
For a GPU: set `limits: {gpus: 1}` in `problem.yaml`, name an image with your library
(`image: NAME` or a `Dockerfile` here), and copy to the device and back in the seed program.
""",
    "any-language": """
The compiler must be on this machine for the `process` sandbox, and in the image for `docker`.
The genetic operator edits Python only, so a search needs a model.
""",
}


def make_problem(place: Path, template: str) -> list[Path]:
    """Write a problem folder that can be evaluated and searched as it is.

    Args:
        place: The folder, which must not exist; its name becomes the problem's.
        template: One of `TEMPLATES`.

    Returns:
        The files written, in order.

    Raises:
        ConfigError: there is no such template, or the folder cannot be made.
    """
    if template not in TEMPLATES:
        raise ConfigError(f"no template '{template}'{did_you_mean(template, TEMPLATES)}")
    check_free(place)
    source = bundled("problems") / "_templates"
    try:
        shutil.copytree(source / template, place, ignore=shutil.ignore_patterns("__pycache__"))
        described = yaml.safe_load((place / "problem.yaml").read_text(encoding="utf-8"))
        text = (source / "README.md").read_text(encoding="utf-8")
        readme = Template(text).substitute(
            name=place.name,
            title=described["title"],
            seed=described["seed_program"],
            how=" --model openai/NAME" if template == "any-language" else "",
            more=_MORE.get(template, ""),
        )
        (place / "README.md").write_text(readme.rstrip() + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{place} cannot be made: {error.strerror or error}") from error
    return sorted(path for path in place.rglob("*") if path.is_file())


def check_free(place: Path) -> None:
    """Refuse to write into a problem folder that is there already.

    Raises:
        ConfigError: it exists.
    """
    if place.exists():
        raise ConfigError(f"{place} exists already; give another name, or remove it")
