"""A run on islands, as the commands show it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Invoke
from tests.command import write_config


def test_a_run_on_islands_is_made_listed_and_drawn(invoke: Invoke, tmp_path: Path) -> None:
    config = write_config(tmp_path, slots=1, proposals=1, stop={"evaluations": 24})
    db = f"{tmp_path}/islands.db"
    settings = ("--set", "islands.migration.interval=5", "--set", "islands.reset.interval=12")
    ran = invoke("run", config, "--preset", "islands", *settings, "--db", db)
    assert ran.code == 0, ran.err
    assert "search: preset islands, adaptive selection, 4 islands" in ran.out

    shown = invoke("show", "--db", db)
    assert "search: preset islands, adaptive selection, 4 islands" in shown.out
    assert "islands (4 were given up in resets)" in shown.out
    rows = invoke("show", "--db", db, "--json").json["islands"]
    live = [row for row in rows if not row["retired"]]
    assert len(live) == 4
    assert sum(row["evaluations"] for row in rows) == 24

    last = live[-1]
    drawn = invoke("heatmap", "--db", db, "--island", str(last["island"]), "--json").json
    assert drawn["stats"]["num_elites"] == last["elites"]
    whole = invoke("heatmap", "--db", db, "--json").json
    assert whole["stats"]["num_elites"] >= last["elites"]
    refused = invoke("heatmap", "--db", db, "--island", "99")
    assert refused.code != 0
    assert "has no island 99; there are: 0, 1, 2, 3" in refused.err


def test_presets_are_listed_and_a_wrong_name_is_corrected(invoke: Invoke, tmp_path: Path) -> None:
    listed = invoke("config", "presets", "--json").json
    assert {"adaptive", "map_elites", "best_of_n"} <= set(listed)
    assert "map_elites" in invoke("config", "presets").out
    config = write_config(tmp_path)
    shown = json.loads(invoke("config", "show", config, "--preset", "shinka", "--json").out)
    assert shown["config"]["selection"]["kind"] == "weighted"
    assert shown["config"]["islands"]["count"] == 2
    refused = invoke("run", config, "--preset", "shynka")
    assert refused.code == 2
    assert "did you mean 'shinka'?" in refused.err
