"""Peak memory of `oddlog fit` and `oddlog detect` as the log grows.

    python benchmarks/memory.py [--like ../shared/data/hdfs/HDFS_2percent.log.gz] [--lines 10000000,30000000]

30 M lines are 4 GB on disk, in the folder for temporary files (TMPDIR), where the events that wait for the end of
their session take another 1 GB while a command runs. Memory is what the system counts as the process's resident
peak (`ru_maxrss`): libraries, and pages the allocators have not given back, among it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measured import ODDLOG, lines_file, run
from whole_way_speed import row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", default="", help="an HDFS file to repeat")
    parser.add_argument("--lines", default="10000000,30000000", help="how many, comma-separated")
    options = parser.parse_args()
    print("| command | lines | CPU-seconds | seconds | lines/CPU-s | peak MB |\n|---|---|---|---|---|---|")
    for n_lines in map(int, options.lines.split(",")):
        with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
            log, model = Path(folder, "storage.log"), str(Path(folder, "storage.model"))
            lines_file(log, n_lines, options.like)
            print(row("`oddlog fit`", n_lines, run([ODDLOG, "fit", str(log), "-m", model])), flush=True)
            detect = [ODDLOG, "detect", str(log), "-m", model, "--json"]
            print(row("`oddlog detect`", n_lines, run(detect)), flush=True)


if __name__ == "__main__":
    main()
