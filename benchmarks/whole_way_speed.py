"""`oddlog --help`, `oddlog fit` and `oddlog detect` as a user runs them, start-up and all.

    python benchmarks/whole_way_speed.py [--like ../shared/data/hdfs/HDFS_2percent.log.gz] [--lines 1000000]

Every command is a process of its own, with its default options and the default members. Lines are made (see
`storage_lines.py`), or those of a real file repeated.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measured import ODDLOG, Cost, lines_file, run

HELP_RUNS = 7


def row(what: str, n_lines: int, cost: Cost) -> str:
    rate = f"{n_lines / cost.cpu_s:,.0f}" if n_lines else ""
    n = f"{n_lines:,}" if n_lines else ""
    return f"| {what} | {n} | {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {rate} | {cost.peak_mb:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", default="", help="an HDFS file to repeat")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    print("| command | lines | CPU-seconds | seconds | lines/CPU-s | peak MB |\n|---|---|---|---|---|---|")
    costs = [run([ODDLOG, "--help"]) for _ in range(HELP_RUNS)]
    print(row("`oddlog --help`", 0, min(costs, key=lambda cost: cost.wall_s)), flush=True)
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        log, model = Path(folder, "storage.log"), str(Path(folder, "storage.model"))
        lines_file(log, options.lines, options.like)
        print(row("`oddlog fit`", options.lines, run([ODDLOG, "fit", str(log), "-m", model])), flush=True)
        for threads in ("", "1"):
            what = "`oddlog detect`" + (", one thread" if threads else "")
            env = {"POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads} if threads else None
            costs = [run([ODDLOG, "detect", str(log), "-m", model, "--json"], env) for _ in range(options.repeats)]
            print(row(what, options.lines, min(costs, key=lambda cost: cost.cpu_s)), flush=True)


if __name__ == "__main__":
    main()
