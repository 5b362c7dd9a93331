"""Every command on a small finished run: what it prints, its JSON, its errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from evolve.cli import best, config, doctor, evaluate, inspect, maps, problem, program
from evolve.cli.app import app
from evolve.store.reader import open_reader
from tests.cli.conftest import Invoke
from tests.command import environment, evolve
from tests.fakes import write_problem

READING: dict[tuple[str, ...], Callable[..., None]] = {
    ("ls",): inspect.ls,
    ("show",): inspect.show,
    ("best",): best.best,
    ("heatmap",): maps.heatmap,
    ("remap", "--kind", "novelty"): maps.remap,
    ("program", "1"): program.program,
    ("evaluate", "./parabola", "parabola/constant.py"): evaluate.evaluate,
    ("doctor",): doctor.doctor,
    ("problem", "show", "./parabola"): problem.show,
    ("problem", "list"): problem.list_,
    ("config", "show", "search.yaml"): config.show,
}


def commands(group: TyperGroup, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield name
    for part, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*name, part))
        else:
            assert isinstance(command, TyperCommand)
            yield (*name, part)


def all_commands() -> list[tuple[str, ...]]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return list(commands(group))


def documented_keys(command: Callable[..., None]) -> set[str]:
    """Return the keys that a command's help promises: the outermost ones behind ``JSON:``."""
    text = (command.__doc__ or "").partition("JSON:")[2].partition("{")[2]
    flat, depth = "", 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if depth < 0:
            break
        flat += character if depth == 0 else ""
    return {part.split()[0] for part in flat.split(",")}


def best_of(folder: Path) -> Any:
    with open_reader(str(folder / "evolve.db")) as reader:
        return reader.best(1)


@pytest.mark.parametrize("name", all_commands(), ids=" ".join)
def test_every_command_explains_itself(name: tuple[str, ...], invoke: Invoke) -> None:
    shown = invoke(*name, "--help")
    assert shown.code == 0
    assert "Usage: evolve" in shown.out
    assert len(shown.out.splitlines()) > 8


def test_help_imports_no_heavy_library() -> None:
    heavy = {"sqlalchemy", "openai", "anthropic", "numpy", "docker", "pydantic", "matplotlib"}
    code = (
        "import sys; sys.argv = ['evolve', '--help']; from evolve.cli.app import main\n"
        "try: main()\nexcept SystemExit: print(sorted(set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert "Usage: evolve" in ran.stdout
    assert [name for name in heavy if f"'{name}'" in ran.stderr] == []


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_json_has_exactly_the_documented_keys(arguments: tuple[str, ...], invoke: Invoke) -> None:
    shown = invoke(*arguments, "--json")
    assert shown.code in (0, 3), shown.err  # doctor's verdict is the machine's
    value = shown.json[0] if isinstance(shown.json, list) else shown.json
    assert set(value) == documented_keys(READING[arguments])


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_every_reading_command_prints_something_readable(
    arguments: tuple[str, ...], invoke: Invoke
) -> None:
    shown = invoke(*arguments)
    assert shown.code in (0, 3)
    assert shown.out.strip()
    assert "\x1b" not in shown.out, "no control codes where there is no terminal"


def test_ls_and_show_agree_with_the_database(invoke: Invoke, searched: Path) -> None:
    (row,) = invoke("ls", "--json").json
    shown = invoke("show", "latest", "--top", "3", "--json").json
    assert (row["id"], row["name"], row["status"], row["live"]) == (1, "search", "finished", False)
    assert row["evaluations"] == 16
    assert row["best"] == best_of(searched).objective
    assert shown["run"]["reason"] == "evaluations"
    objectives = [entry["objective"] for entry in shown["best"]]
    assert objectives == sorted(objectives)
    assert len(objectives) == 3
    assert objectives[0] == row["best"]
    names = [each["name"] for each in shown["comparison"]]
    assert names == ["best found", "seed program", "constant"]
    assert {each["group"] for each in shown["spending"]["operator"]} == {"rewrite"}
    for ref in ("1", "search"):
        assert invoke("show", ref, "--json").json["run"]["id"] == 1


def test_best_prints_the_source_as_it_is(invoke: Invoke, searched: Path, tmp_path: Path) -> None:
    shown = invoke("best", "--json").json
    (source,) = shown["files"].values()
    assert shown["id"] == best_of(searched).id
    assert invoke("best").out == source

    written = invoke("best", "-o", tmp_path / "made" / "best.py")
    assert (written.code, written.out) == (0, "")
    assert (tmp_path / "made" / "best.py").read_text() == source
    assert invoke("best", "-o", tmp_path).code == 0, "into a folder, under its own name"
    assert (tmp_path / "seed.py").read_text() == source


def test_a_place_that_cannot_be_written_is_said_so(invoke: Invoke) -> None:
    for arguments in (
        ("best", "-o", "search.yaml/best.py"),
        ("heatmap", "--svg", "search.yaml/map.svg"),
    ):
        refused = invoke(*arguments)
        assert refused.code == 3
        assert refused.err.startswith(f"error: cannot write {arguments[-1]}: ")


def test_heatmap_shows_and_rewinds_the_map(invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke("heatmap")
    assert "mean" in shown.out
    assert "ast_nodes" in shown.out
    elites = invoke("show", "--json").json["archive"]["num_elites"]
    assert len(invoke("heatmap", "--json").json["cells"]) == elites
    assert len(invoke("heatmap", "--at", "1", "--json").json["cells"]) == 1
    drawn = invoke("heatmap", "--at", "1").out
    told = re.search(r"^as it was after 1 of (\d+) evaluations$", drawn, re.MULTILINE)
    assert told
    count = told[1]
    assert f"after {count} of {count} evaluations" in invoke("heatmap", "--at", "99999").out
    swapped = invoke("heatmap", "--measures", "mean", "ast_nodes", "--json").json
    assert [axis["name"] for axis in swapped["axes"]] == ["mean", "ast_nodes"]


def test_program_leads_to_prompt_reply_and_parents(invoke: Invoke) -> None:
    everything = invoke("show", "--top", "99", "--json").json["best"]
    program_id = next(entry["id"] for entry in everything if entry["operator"] == "rewrite")
    whole = invoke("program", str(program_id), "--json").json
    (completion,) = whole["completions"]
    (source,) = whole["files"].values()
    parent = whole["entry"]["parents"][0]
    assert invoke("program", str(program_id), "--source").out == source
    assert invoke("program", str(program_id), "--reply").out == completion["text"]
    prompt = invoke("program", str(program_id), "--prompt").out
    for message in json.loads(completion["prompt"])["messages"]:
        assert message["content"] in prompt
    assert re.search(
        r"^\+    return x \* x", invoke("program", str(program_id), "--diff").out, re.MULTILINE
    )
    assert whole["lineage"][0]["id"] == program_id
    assert parent in [entry["id"] for entry in whole["lineage"]]
    by_hash = invoke("program", whole["entry"]["hash"][:16], "--json").json
    assert by_hash["entry"]["id"] == program_id
    shown = invoke("program", str(program_id)).out
    for part in ("off by", "prompt to replay/", "return x * x", "lineage"):
        assert part in shown


def test_evaluate_tells_outcome_and_exit_code(invoke: Invoke, tmp_path: Path) -> None:
    good = invoke("evaluate", "./parabola", "parabola/constant.py", "--json")
    assert (good.code, good.json["outcome"], good.json["objective"]) == (0, "ok", 3.0)
    assert len(good.json["cases"]) == 4
    held_out = invoke("evaluate", "./parabola", "parabola/constant.py", "--held-out", "--json")
    assert len(held_out.json["cases"]) == 2

    (tmp_path / "wrong.py").write_text("print('hello')\ndef f(x):\n    return {}\n")
    refused = invoke("evaluate", "./parabola", tmp_path / "wrong.py", "--json")
    assert (refused.code, refused.json["outcome"]) == (1, "invalid")
    assert "no small number" in refused.json["feedback"]
    assert refused.json["stdout"] == "hello\n"
    assert "no small number" in invoke("evaluate", "./parabola", tmp_path / "wrong.py").out


def test_evaluate_compares_with_the_record(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "known"
    write_problem(folder)
    described = folder / "problem.yaml"
    before = described.read_text()
    for record, said in (
        ("{value: 2.5, source: folklore}", "short of the record 2.5 by 0.5"),
        ("{value: 3.0, source: folklore}", "as good as the record 3\n"),
        ("{value: 3.1, source: folklore, margin: 0.2}", "as good as the record 3.1, to within 0.2"),
        ("{value: 3.1, source: folklore}", "beats the record 3.1 by 0.1"),
    ):
        described.write_text(f"{before}record: {record}\n")
        shown = invoke("evaluate", folder, folder / "constant.py")
        assert f"objective: 3.0\n  {said}" in shown.out
    as_json = invoke("evaluate", folder, folder / "constant.py", "--json").json["record"]
    assert as_json["gain"] == pytest.approx(0.1)
    assert (as_json["value"], as_json["margin"], as_json["source"]) == (3.1, 0.0, "folklore")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ls", "--db", "none.db"), 3, "no such database"),
        (("show", "nope"), 3, "no run 'nope'; there are 1 (search, parabola)"),
        (("program", "9999"), 3, "no program '9999'"),
        (("program", "zz"), 3, "no program 'zz'"),
        (("heatmap", "--measures", "mean", "depth"), 2, "'depth' is no measure"),
        (("evaluate", "./parabola", "none.py"), 2, "no such file"),
        (("evaluate", "nope", "parabola/seed.py"), 2, "'nope' is no bundled problem"),
        (("problem", "show", "nope"), 2, "'nope' is no bundled problem"),
        (("run", "quickstarts"), 2, "did you mean 'quickstart'?"),
        (("run", "none.yaml"), 2, "none.yaml: no such file"),
        (("run", "search.yaml", "--set", "sed=1"), 2, "--set sed=1: unknown key 'sed'"),
        (("run", "search.yaml", "--set", "seed"), 2, "--set seed"),
        (("run", "search.yaml", "--set", "seed=x"), 2, "seed must be a valid integer"),
        (("run", "search.yaml", "--db", "no/folder/x.db"), 3, "there is no folder"),
        (("best", "--db", "search.yaml"), 3, "search.yaml"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: tuple[str, ...], code: int, message: str, invoke: Invoke
) -> None:
    refused = invoke(*arguments)
    assert refused.code == code
    assert refused.out == ""
    assert refused.err.startswith("error: ")
    assert message in refused.err
    assert "Traceback" not in refused.err


def test_a_typo_in_a_configuration_points_at_its_place(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text(
        "problem: online_bin_packing\nproposers: [{kind: genetic}]\nstop:\n  evaluation: 5\n"
    )
    refused = invoke("run", path)
    assert refused.code == 2
    assert (
        f"{path}:4:3: unknown key 'evaluation' in stop; did you mean 'evaluations'?" in refused.err
    )
    assert "    evaluation: 5\n" in refused.err


def test_an_unknown_option_is_a_usage_error(invoke: Invoke) -> None:
    assert invoke("ls", "--nope").code == 2
    assert invoke("nope").code == 2


def test_doctor_finds_a_broken_database(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database")
    looked = invoke("doctor", "--db", tmp_path / "x.db", "--json")
    (found,) = [check for check in looked.json if check["name"] == "database"]
    assert found["verdict"] == "problem"
    assert looked.code == 3


def test_the_version_is_the_packages(invoke: Invoke) -> None:
    assert re.fullmatch(r"evolve \d+\.\d+\.\d+\n", invoke("--version").out)


def test_a_reader_that_goes_away_is_no_error_worth_a_traceback(searched: Path) -> None:
    shown = evolve(searched, "--version")
    assert shown.returncode == 0
    command = f"{sys.executable} -c 'from evolve.cli.app import main; main()' show --json | true"
    ran = subprocess.run(
        ["/bin/sh", "-c", command], cwd=searched, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
