"""Memory of a stream of many services: 2,000 of them, each with a type and sessions of its own, over some sources.

    POLARS_MAX_THREADS=1 python benchmarks/live_services.py --services 2000 --lines 10000 --sources 20

prints a JSON line at each tenth: lines, lines per CPU-second, resident memory, windows open, size of a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import oddlog
from oddlog.pipeline.learning.checkpointing import packed
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES

SHARED = [
    "request {n} from 10.0.{a}.{b} accepted",
    "cache miss for key user:{n}",
    "query took {b} ms",
    "job {n} queued at priority {a}",
    "request {n} answered with 200 in {b} ms",
]
START = 1_772_438_400.0
RATE = 2_000.0  # lines a second of event time, of all services together


def texts(numbers: np.ndarray, services: int) -> list[str]:
    """Return the lines of these numbers; services take turns."""
    lines = []
    for i in numbers.tolist():
        service, turn = i % services, i // services
        session, step = divmod(turn, 6)
        own = f"module {chr(97 + service % 26)}{chr(97 + service // 26 % 26)}{chr(97 + service // 676)} step done"
        message = own if step == 5 else SHARED[step].format(n=i, a=i % 250, b=i % 240)
        at = np.datetime64(round((START + i / RATE) * 1e3), "ms")
        lines.append(
            f'{{"ts":"{at}Z","level":"INFO","service":"svc-{service:04d}",'
            f'"trace_id":"t-{service}-{session}","msg":"{message}"}}'
        )
    return lines


def batch(first: int, n: int, services: int, sources: int) -> pl.DataFrame:
    """Return `LINES` as so many sources bring them."""
    numbers = np.arange(first, first + n)
    names, lines = [f"shipper-{i}" for i in (numbers % sources).tolist()], texts(numbers, services)
    place = numbers // sources + 1
    columns = {"source": names, "position": place, "line": place, "text": lines, "count": 1}
    return pl.DataFrame(columns, schema=LINES, strict=False)


def resident_mib() -> float:
    """Return the memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=10_000, help="of each service")
    parser.add_argument("--sources", type=int, default=20, help="that bring their lines")
    parser.add_argument("--learn", type=int, default=30, help="lines of each service that are learned from")
    parser.add_argument("--batch", type=int, default=20_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        log.write_text("\n".join(texts(np.arange(asked.services * asked.learn), asked.services)) + "\n")
        model = oddlog.fit(log, detectors=["snn", "new-event"], session="trace_id")
    stream, total = Streaming(model), asked.services * asked.lines
    begun, learned = time.process_time(), asked.services * asked.learn
    told = 0
    for first in range(0, total, asked.batch):
        stream.push(
            batch(learned + first, min(asked.batch, total - first), asked.services, asked.sources), first / RATE
        )
        stream.tick(first / RATE + 0.1)
        stream.incidents()
        done = first + asked.batch
        if done * 10 // total > told:
            told = done * 10 // total
            checkpoint = len(packed(stream.state())) / 2**20
            found = {
                "lines": done,
                "lines_per_cpu_s": round(done / (time.process_time() - begun)),
                "resident_mib": round(resident_mib()),
                "open": stream.n_open,
                "checkpoint_mib": round(checkpoint, 1),
            }
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
