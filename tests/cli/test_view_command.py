"""`evolve view` as a command: what it prints, refuses, and how it ends."""

from __future__ import annotations

import shutil
import signal
import socket
import urllib.error
import urllib.request
from importlib import util
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.command import start


def test_it_serves_until_ctrl_c_and_ends_quietly(searched: Path) -> None:
    with start(searched, "view", "latest", "--port", "0", "--db", "evolve.db") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1 run of evolve.db; Ctrl-C ends this page\n"
        address = process.stdout.readline().strip()
        assert "/runs/1?token=" in address
        cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with cookies.open(address, timeout=30) as answer:
            assert "token" not in answer.url
            assert b"<title>" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address.partition("?")[0], timeout=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = invoke("view", "--port", str(port), "--db", "evolve.db")
    assert outcome.code == 3
    assert f"port {port} of 127.0.0.1 cannot be used" in outcome.err
    assert "--port 0" in outcome.err


def test_without_the_extra_it_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    outcome = invoke("view", "--db", "evolve.db")
    assert outcome.code == 3
    assert "uvicorn" in outcome.err
    assert "pip install 'evolve-engine[web]'" in outcome.err


def test_no_database_and_no_run(invoke: Invoke) -> None:
    outcome = invoke("view", "--db", "nothing.db")
    assert outcome.code == 3
    assert "`evolve run` makes one" in outcome.err
    assert "no run 'nothing'" in invoke("view", "nothing", "--db", "evolve.db").err


def test_a_static_copy(invoke: Invoke, searched: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    outcome = invoke("view", "--bundle", folder, "--programs", "3", "--db", "evolve.db")
    assert outcome.code == 0
    assert f"open {folder / 'index.html'}" in outcome.out
    assert (folder / "run-1.html").exists()
    again = invoke("view", "--bundle", folder, "--db", "evolve.db")
    assert again.code == 3
    assert "is not empty" in again.err
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert "name another place" in invoke("view", "--bundle", folder, "--db", "evolve.db").err
