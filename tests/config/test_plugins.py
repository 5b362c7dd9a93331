"""The resolver: every form of reference, and what each failure says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from evolve.config import plugins
from evolve.config.plugins import Target, build, find, known_names, resolve
from evolve.config.python_file import load_module
from evolve.core.errors import ConfigError, PluginError


def _module(folder: Path, text: str, name: str = "mine.py") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_a_built_in_is_imported_only_when_chosen() -> None:
    builtin = {"here": dict, "later": "json.decoder:JSONDecoder", "broken": "no_such_module:x"}
    assert resolve("here", seam="evolve.pools", builtin=builtin) is dict
    import json.decoder

    found = resolve("later", seam="evolve.pools", builtin=builtin)
    assert found is json.decoder.JSONDecoder
    with pytest.raises(PluginError, match="'no_such_module' cannot be imported"):
        resolve("broken", seam="evolve.pools", builtin=builtin)


def test_a_file_is_relative_to_the_one_that_names_it(tmp_path: Path) -> None:
    _module(tmp_path, "class A:\n    class B:\n        x = 7\n", "sub/mine.py")
    assert resolve("./sub/mine.py:A.B.x", seam="evolve.hooks", folder=tmp_path) == 7
    absolute = f"{tmp_path}/sub/mine.py:A.B.x"
    assert resolve(absolute, seam="evolve.hooks", folder=Path("/")) == 7


def test_an_installed_package_is_named_by_its_module() -> None:
    import json

    assert resolve("json:dumps", seam="evolve.hooks") is json.dumps


def test_a_bundled_evaluator_is_named_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, "class Circles: ...\n", "packing.py")
    monkeypatch.setattr(plugins, "bundled", lambda _: tmp_path)
    assert find("packing:Circles", seam="evolve.evaluators").path == tmp_path / "packing.py"
    with pytest.raises(PluginError, match=r"no module 'pakcing'; did you mean 'packing'\?"):
        find("pakcing:Circles", seam="evolve.evaluators")
    with pytest.raises(PluginError, match="no module 'packing'; for a file of your own"):
        find("packing:Circles", seam="evolve.proposers")


def test_an_entry_point_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = EntryPoints([EntryPoint("mine", "json:dumps", "evolve.hooks")])
    monkeypatch.setattr(plugins, "entry_points", lambda **query: installed.select(**query))
    import json

    assert resolve("mine", seam="evolve.hooks", builtin={"a": 1}) is json.dumps
    assert resolve("mine", seam="evolve.hooks", builtin={"mine": 1}) == 1
    assert known_names("evolve.hooks", ["a"]) == ["a", "mine"]
    assert known_names("evolve.pools") == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("gentic", "'gentic' is none of the proposers; did you mean 'genetic'?"),
        ("zzz", "'zzz' is none of the proposers; known: genetic, diff; your own is named"),
        ("./mien.py:A", "mien.py; did you mean 'mine.py'?"),
        ("./mine.py:Clas", "has no 'Clas'; did you mean 'Class'?"),
        ("./mine.py:", "is no reference"),
        (":A", "is no reference"),
        ("./mine.py:A-B", "is no reference"),
        ("no_such:A", "there is no module 'no_such'; for a file of your own write ./file.py:NAME"),
        ("no.such.module:A", "'no.such.module' cannot be imported: ModuleNotFoundError"),
        ("json:dmups", "json has no 'dmups'; did you mean 'dumps'?"),
    ],
)
def test_what_is_not_there_suggests_what_is(tmp_path: Path, reference: str, message: str) -> None:
    _module(tmp_path, "class Class: ...\n")
    builtin = {"genetic": dict, "diff": dict}
    with pytest.raises(PluginError) as caught:
        resolve(reference, seam="evolve.proposers", builtin=builtin, folder=tmp_path)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def f(:\n", 1, "SyntaxError: "),
        ("import no_such_thing\n", 1, "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("def f():\n    raise OSError('gone')\n\nf()\n", 2, "OSError: gone"),
        ("import sys\nsys.exit('bye')\n", 2, "SystemExit: bye"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
    ],
)
def test_a_file_that_fails_shows_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    _module(tmp_path, text)
    before = set(sys.modules)
    with pytest.raises(PluginError) as caught:
        resolve("./mine.py:A", seam="evolve.hooks", folder=tmp_path)
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "mine.py"), line)
    assert text.splitlines()[line - 1] in str(caught.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("evolve_file_")}


def test_modules_beside_a_file_are_its_own(tmp_path: Path) -> None:
    path_before = list(sys.path)
    found = []
    for name in ("one", "two"):
        _module(tmp_path, f"NAME = '{name}'\n", f"{name}/helper.py")
        _module(tmp_path, "", f"{name}/parts/__init__.py")
        _module(tmp_path, "VALUE = 3\n", f"{name}/parts/inner.py")
        _module(
            tmp_path,
            "import helper, colorsys\nfrom parts.inner import VALUE\nNAME = helper.NAME\n",
            f"{name}/mine.py",
        )
        found.append(resolve("./mine.py:NAME", seam="evolve.evaluators", folder=tmp_path / name))
    assert found == ["one", "two"]
    assert sys.path == path_before
    assert not {"helper", "parts", "parts.inner"} & set(sys.modules)
    assert "colorsys" in sys.modules


def test_a_failing_module_beside_a_file_is_forgotten_too(tmp_path: Path) -> None:
    _module(tmp_path, "1 / 0\n", "helper.py")
    _module(tmp_path, "\nimport helper\n")
    path_before = list(sys.path)
    with pytest.raises(PluginError, match=r"mine\.py:2:1: ZeroDivisionError"):
        resolve("./mine.py:A", seam="evolve.evaluators", folder=tmp_path)
    assert sys.path == path_before


def test_a_module_that_knows_no_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import sys, types\nsys.modules['made_here'] = types.ModuleType('made_here')\n")
    try:
        load_module(file)
        assert "made_here" in sys.modules
    finally:
        sys.modules.pop("made_here", None)


def test_the_same_file_is_loaded_once_and_again_after_an_edit(tmp_path: Path) -> None:
    _module(tmp_path, "class A:\n    x = 1\n")
    first = resolve("./mine.py:A", seam="evolve.hooks", folder=tmp_path)
    assert resolve("./mine.py:A", seam="evolve.hooks", folder=tmp_path) is first
    _module(tmp_path, "class A:\n    x = 2\n")
    assert resolve("./mine.py:A.x", seam="evolve.hooks", folder=tmp_path) == 2
    assert not (tmp_path / "__pycache__").exists()


def test_the_source_of_a_target_is_found_without_running_it(tmp_path: Path) -> None:
    import email.mime.text

    assert Target("MIMEText", module="email.mime.text").source_file() == Path(
        email.mime.text.__file__
    )
    assert Target("x", module="email.mime.nothing").source_file() is None
    assert Target("x", module="sys").source_file() is None
    path = tmp_path / "mine.py"
    assert Target("x", path=path).source_file() == path


class Thing:
    def __init__(self, size: int, *, colour: str = "red") -> None:
        if size < 0:
            raise ValueError(f"size is {size}, must not be negative")
        self.size, self.colour = size, colour


def _any(**options: object) -> dict[str, object]:
    return options


def test_options_become_keyword_arguments() -> None:
    thing = build(Thing, {"size": 3, "colour": "blue"}, what="thing")
    assert isinstance(thing, Thing)
    assert (thing.size, thing.colour) == (3, "blue")
    assert build(_any, {"x": 1}, what="any") == {"x": 1}


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        (Thing, {"size": 1, "color": 2}, "thing has no option 'color'; did you mean 'colour'?"),
        (Thing, {}, "thing needs the option 'size'"),
        (Thing, {"size": -1}, "thing: size is -1, must not be negative"),
        (Thing, {"size": "a"}, "thing: '<' not supported"),
        (lambda: 1, {"x": 1}, "thing has no option 'x'; it takes none"),
        (3, {}, "thing is of type int, which cannot be called"),
    ],
)
def test_wrong_options_are_refused(
    factory: Callable[..., object], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(factory, options, what="thing")
    assert message in str(caught.value)
