"""A study as one self-contained HTML page: no script, nothing loaded, every text escaped."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.view.study import Study

_TEMPLATES = Path(__file__).parent / "templates"


def study_page(study: Study) -> str:
    """Return a page with the verdict, the tables and, where matplotlib is there, pictures."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    template = environment.get_template("study.html.j2")
    return template.render(study=study, report=study.report, pictures=_pictures(study))


def _pictures(study: Study) -> dict[str, str]:
    """Return pictures as data URLs by what they show; none without matplotlib."""
    if find_spec("matplotlib") is None:
        return {}
    from evolve.view.study_charts import figures
    from evolve.view.style import style

    with style():
        return {name: _data_url(figure) for name, figure in figures(study).items()}


def _data_url(figure: Figure) -> str:
    target = io.BytesIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(target.getvalue()).decode()}"


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}g}"
