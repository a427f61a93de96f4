"""`oddlog watch` as fast as it can: a file that is there already, followed from its start, four counting members.

    python benchmarks/live_speed.py [--like ../shared/data/hdfs/HDFS_2percent.log.gz] [--lines 1000000]

The whole loop in a process of its own, start-up and loading the model left out: tail, records, templates, windows,
verdicts, incidents, at the batches that polling gives (1 MiB) and at small ones (`--batch` lines).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import oddlog
from measured import ODDLOG, lines_file, run
from oddlog.pipeline.live.following import TICK_S
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources import Tail

MEMBERS = "snn,dae,ocsvm,new-event"


def follow(model: str, log: str, batch: int) -> None:
    """Judge a file in batches of so many lines; 0: those of polling."""
    stream = Streaming(oddlog.load(model))
    tail = Tail([log], stream.tally, from_start=True)
    size, told = Path(log).stat().st_size, 0
    began, cpu, ticked = time.perf_counter(), time.process_time(), time.monotonic()
    slowest = 0.0
    while tail.state()[log]["offset"] < size:
        lines = tail.poll(1, 1.0).lines
        for start in range(0, len(lines), batch or max(len(lines), 1)):
            now = time.perf_counter()
            stream.push(lines[start : start + (batch or len(lines))], time.monotonic())
            slowest = max(slowest, time.perf_counter() - now)
        if time.monotonic() - ticked > TICK_S:
            ticked = time.monotonic()
            stream.tick(ticked)
            told += len(stream.incidents())
    stream.finish()
    told += len(stream.incidents())
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    name = f"{batch:,} lines" if batch else "as polled"
    rates = f"{stream.lines / cpu:,.0f} | {stream.lines / wall:,.0f}"
    print(f"| {name} | {stream.lines:,} | {cpu:.1f} | {rates} | {1000 * slowest:,.0f} | {peak:,.0f} | {stream.says} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", default="", help="an HDFS file to repeat")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, action="append", default=[])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        follow(options.child[0], options.child[1], int(options.child[2]))
        return
    print("| batches | lines | CPU-seconds | lines/CPU-s | lines/s | slowest push, ms | peak MB | judged |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        log, model = Path(folder, "storage.log"), str(Path(folder, "storage.model"))
        lines_file(log, options.lines, options.like)
        run([ODDLOG, "fit", str(log), "-m", model, "--detectors", MEMBERS, "--no-rates"])
        for batch in options.batch or (0, 1_000, 100):
            subprocess.run([sys.executable, __file__, "--child", model, str(log), str(batch)], check=True)


if __name__ == "__main__":
    main()
