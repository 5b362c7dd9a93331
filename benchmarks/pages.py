"""How long pages take on a run of many programs.

    python benchmarks/pages.py [PROGRAMS ...] [--folder DIR]

A database is filled by `benchmarks/filled.py`, and every program but the first gets a model call of
its own; a fifth of the evaluations then become failures of four kinds. Each page is asked for over
HTTP, from a server that has just been started (first) and from one that has shown it before (again,
the median of five). Before, the server has made the page of the newest run, which is an empty one
here, so that nothing of the large run has been read. Statistics of the query planner are removed,
as runs do not make them.
"""

from __future__ import annotations

import argparse
import http.client
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import uvicorn

from benchmarks.filled import create, fill
from evolve.store.store import open_store
from evolve.store.text import pack
from evolve.view.web.app import application
from evolve.view.web.runs import moment
from evolve.view.web.serve import warm
from evolve.view.web.source import Source

SIZES = (1_000, 10_000, 100_000)
TOKEN = "benchmark"
TARGET_MS = 200.0
TIMES = 5


def pages(size: int) -> dict[str, str]:
    """Return what is asked for; ``{best}`` is the best program."""
    listed = "/runs/1/programs"
    return {
        "runs": "/",
        "run": "/runs/1",
        "run, nothing new": "/runs/1/live?stamp={stamp}",
        "programs, best first": listed,
        "programs, far down": f"{listed}?order=newest&start={size // 10}.0,{size // 10}",
        "programs, best, far down": f"{listed}?order=best&start=0.1,{size // 2}",
        "programs that failed": f"{listed}?outcome=exception&order=newest",
        "programs of an operator": f"{listed}?operator=seed",
        "programs, words that none has": f"{listed}?text=zebra",
        "program": "/programs/{best}",
        "program, newest": f"/programs/{size}",
        "seed program": "/programs/1",
        "difference": "/programs/{best}/diff/1",
        "prompt and reply": f"/programs/{size}/call/{size - 1}",
        "lineage": "/runs/1/lineage",
        "lineage, newest": f"/runs/1/lineage?program={size}",
        "failures": "/runs/1/failures",
        "spending": "/runs/1/spending",
        "spending, a table (loaded after the page)": "/runs/1/spending/outcome",
        "settings": "/runs/1/settings",
        "compare": "/compare?run=1",
    }


def furnish(path: Path) -> None:
    """Add model calls and failures, and remove the planner's statistics."""
    with open_store(str(path)) as store:
        create(store)
    with open_store(str(path)) as store, store._database.write() as connection:
        prompt, reply = (
            connection.exec_driver_sql(
                "INSERT INTO blobs (sha256, size, data) VALUES (?, ?, ?)", tuple(pack(text))
            ).lastrowid
            for text in ('{"messages": [{"role": "user", "content": "improve"}]}', "x = 1")
        )
        connection.exec_driver_sql(
            "INSERT INTO completions (proposal_id, model, parameters, state, cost_usd,"
            " tokens_input, tokens_output, latency_s, sent_at, ended_at, server_model, finish,"
            " error, tokens_cached, tokens_reasoning, prompt_blob, reply_blob)"
            " SELECT id, 'openai/sample', '{}', 'received', 0.001, 2000, 500, 1.0, 0, 1, '',"
            " 'stop', '', 0, 0, ?, ? FROM proposals ORDER BY id",
            (prompt, reply),
        )
        kinds = ("exception", "wall_timeout", "invalid", "bad_output")
        for number, kind in enumerate(kinds):
            connection.exec_driver_sql(
                "UPDATE evaluations SET outcome = ?, objective = NULL, message = 'case ' || id ||"
                " char(10) || 'Traceback' || char(10) || 'ValueError: ' || (id % 37)"
                " WHERE id % 20 = ?",
                (kind, 2 * number + 1),
            )
        connection.exec_driver_sql("UPDATE runs SET status = 'finished' WHERE id = 1")
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")


@contextmanager
def serving(path: Path) -> Iterator[int]:
    """Serve a database's pages; give the port."""
    with closing(Source(str(path))) as source:
        config = uvicorn.Config(application(source, TOKEN), port=0, log_level="warning")
        warm(source, most=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        thread.join()


def ask(port: int, page: str) -> tuple[float, int]:
    """Return the milliseconds that a page takes, and its bytes."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        started = time.perf_counter()
        connection.request("GET", page, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        size = len(answer.read())
        took = time.perf_counter() - started
    assert answer.status in {200, 204}, f"{page}: {answer.status}"
    return took * 1e3, size


def measure(path: Path, size: int) -> list[tuple[str, float, float, int]]:
    """Return for each page its name, the first and the usual milliseconds, and its bytes."""
    with open_store(str(path)) as store:
        best = store.best(1)
    assert best is not None
    with closing(Source(str(path))) as source:
        site = source.site()
        stamp = moment(site, site.reader.run(1))
    rows = []
    for name, pattern in pages(size).items():
        page = pattern.format(best=best.id, stamp=stamp)
        with serving(path) as port:
            ask(port, "/static/page.css")  # the server is up
            first, weight = ask(port, page)
            again = float(np.median([ask(port, page)[0] for _ in range(TIMES)]))
        rows.append((name, first, again, weight))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where databases are made")
    options = parser.parse_args()
    for size in options.programs:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / "pages.db"
            fill(path, size)
            furnish(path)
            rows = measure(path, size)
        print(f"\n{size} programs\n\n| page | first, ms | again, ms | kB |\n|---|---:|---:|---:|")
        for name, first, again, weight in rows:
            print(f"| {name} | {first:.0f} | {again:.0f} | {weight / 1000:.0f} |")
        slowest = max(max(row[1:3]) for row in rows if "loaded after" not in row[0])
        print(f"\nslowest: {slowest:.0f} ms, target {TARGET_MS:.0f} ms")


if __name__ == "__main__":
    main()
