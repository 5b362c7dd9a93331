"""What exporting a run takes as it grows: CPU seconds, bytes and memory of `evolve export`.

    python -m benchmarks.export [PROGRAMS ...] [--folder DIR]

A database is filled in bulk with so many programs of one run (`benchmarks/filled.py`), then each
format is written by a process of its own; its peak resident size is what the run's length must not
change. Parquet needs the extra `export`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.filled import fill
from evolve.store.reader import open_reader
from evolve.view.export.formats import Format
from evolve.view.export.tables import export_tables

SIZES = (1_000, 10_000, 100_000)
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")


def measure(database: Path, form: Format, folder: Path) -> dict[str, float]:
    """Export in this process; return CPU seconds, MB written, and the peak resident MB."""
    started = time.process_time()
    with open_reader(str(database)) as reader:
        export_tables(reader, reader.run(), folder, form)
    return {
        "cpu_s": time.process_time() - started,
        "written_mb": sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the most memory that this program had resident; `getrusage` counts its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1e3
    )


def main() -> None:
    """Fill databases and print a line for each size and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where databases and exports are made")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        database, form, folder = arguments.measure
        print(json.dumps(measure(Path(database), form, Path(folder))))
        return
    print(f"{'programs':>9} {'format':>8} {'CPU s':>8} {'MB':>8} {'peak MB':>8}")
    for programs in arguments.programs:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
            database = Path(made) / "run.db"
            fill(database, programs)
            for form in FORMATS:
                command = [sys.executable, "-m", "benchmarks.export", "--measure"]
                parts = [str(database), form, str(Path(made) / form)]
                done = subprocess.run(
                    [*command, *parts], capture_output=True, text=True, check=True
                )
                found = json.loads(done.stdout)
                print(
                    f"{programs:>9} {form:>8} {found['cpu_s']:>8.1f} {found['written_mb']:>8.1f} "
                    f"{found['peak_mb']:>8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
