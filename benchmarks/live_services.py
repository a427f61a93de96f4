"""Memory of a stream of many services: 2,000 of them, each with a type and sessions of its own, over some sources.

    POLARS_MAX_THREADS=1 python benchmarks/live_services.py --services 2000 --lines 10000 --sources 20

prints a JSON line at each tenth: lines, lines per CPU-second, resident memory, windows open, size of a checkpoint.
With `--http` the same lines go to `oddlog serve` in a process of its own (`POST /v1/lines`, a body a source), by its
spool and its store; what is printed then is that process': CPU-seconds of all threads, memory now and at the most.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import oddlog
from live_load import Pusher, Server, served
from oddlog.pipeline.learning.checkpointing import packed
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES

START = 1_772_438_400.0
RATE = 2_000.0  # lines a second of event time, of all services together
MOST_BEHIND = 200_000  # lines that the server has taken and not judged; more would only fill its spool
N, A, B = pl.col("i"), pl.col("i") % 250, pl.col("i") % 240
MESSAGES = (
    pl.format("request {} from 10.0.{}.{} accepted", N, A, B),
    pl.format("cache miss for key user:{}", N),
    pl.format("query took {} ms", B),
    pl.format("job {} queued at priority {}", N, A),
    pl.format("request {} answered with 200 in {} ms", N, B),
    pl.format("module {} step done", pl.col("name")),
)


def texts(numbers: np.ndarray, services: int) -> pl.Series:
    """Return the lines of these numbers; services take turns, six lines are a session."""
    letters = [chr(97 + i) for i in range(26)]
    names = pl.Series([letters[i % 26] + letters[i // 26 % 26] + letters[i // 676 % 26] for i in range(services)])
    service, turn = numbers % services, numbers // services
    session, step = turn // 6, turn % 6
    lines = pl.DataFrame(
        {"i": numbers, "service": service, "session": session, "step": step, "name": names.gather(service)}
    ).with_columns(
        at=pl.from_epoch((START * 1e3 + N * (1e3 / RATE)).round().cast(pl.Int64), time_unit="ms").dt.to_string(
            "%Y-%m-%dT%H:%M:%S%.3f"
        )
    )
    message = pl.lit("")
    for i, one in enumerate(MESSAGES):
        message = pl.when(pl.col("step") == i).then(one).otherwise(message)
    line = pl.format(
        '{}ts":"{}Z","level":"INFO","service":"svc-{}","trace_id":"t-{}-{}","msg":"{}"{}',
        pl.lit('{"'),
        "at",
        pl.col("service").cast(pl.String).str.zfill(4),
        "service",
        "session",
        message,
        pl.lit("}"),
    )
    return lines.select(line.alias("text")).to_series()


def batch(first: int, n: int, services: int, sources: int) -> pl.DataFrame:
    """Return `LINES` as so many sources bring them."""
    numbers = np.arange(first, first + n)
    names = pl.Series([f"shipper-{i}" for i in range(sources)]).gather(numbers % sources)
    place = numbers // sources + 1
    columns = {"source": names, "position": place, "line": place, "text": texts(numbers, services)}
    return pl.DataFrame(columns).with_columns(count=pl.lit(1)).cast(dict(LINES))


def resident_mib() -> float:
    """Return the memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def through_http(model: str, asked: argparse.Namespace, learned: int) -> None:
    """Push all lines to a server, as fast as it judges them, and print what it costs."""
    total, told, began = asked.services * asked.lines, 0, time.monotonic()
    # The bodies of one batch hold lines of the same time: each is as much out of order as a batch is long.
    with served(model, "--lateness", f"{2 * asked.batch / RATE:.0f}s") as server:
        pusher = Pusher(server.port)
        for first in range(0, total, asked.batch):
            n = min(asked.batch, total - first)
            lines = batch(learned + first, n, asked.services, asked.sources)
            for (source,), rows in lines.group_by("source", maintain_order=True):
                pusher.push(str(source), "\n".join(rows["text"]).encode())
            while server.metric("oddlog_lines_behind") > MOST_BEHIND:
                time.sleep(0.1)
            if (first + n) * 10 // total > told:
                told = (first + n) * 10 // total
                tell(server, first + n, began, pusher)
        server.wait(lambda: server.metric("oddlog_lines_behind") == 0)
        tell(server, total, began, pusher)


def tell(server: Server, lines: int, began: float, pusher: Pusher) -> None:
    """Print what the server has used until now."""
    judged = lines - server.metric("oddlog_lines_behind")
    found = {
        "lines": lines,
        "judged": round(judged),
        "lines_per_cpu_s": round(judged / server.used_s),
        "lines_per_s": round(judged / (time.monotonic() - began)),
        "resident_mib": round(server.rss_mb * 1e6 / 2**20),
        "most_mib": round(server.most_mb * 1e6 / 2**20),
        "open": round(server.metric("oddlog_windows_open")),
        "incidents": round(server.metric("oddlog_incidents")),
        "told_to_wait": pusher.refused,
        "load": round(os.getloadavg()[0], 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=10_000, help="of each service")
    parser.add_argument("--sources", type=int, default=20, help="that bring their lines")
    parser.add_argument("--learn", type=int, default=30, help="lines of each service that are learned from")
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--http", action="store_true", help="through a server in a process of its own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        log.write_text("\n".join(texts(np.arange(asked.services * asked.learn), asked.services).to_list()) + "\n")
        model = oddlog.fit(log, detectors=["snn", "new-event"], session="trace_id")
        if asked.http:
            model.save(Path(folder) / "model")
            through_http(str(Path(folder) / "model"), asked, asked.services * asked.learn)
            return
    stream, total = Streaming(model), asked.services * asked.lines
    learned, told, cpu_s = asked.services * asked.learn, 0, 0.0
    for first in range(0, total, asked.batch):
        lines = batch(learned + first, min(asked.batch, total - first), asked.services, asked.sources)
        begun = time.process_time()
        stream.push(lines, first / RATE)
        stream.tick(first / RATE + 0.1)
        stream.incidents()
        cpu_s += time.process_time() - begun
        done = first + asked.batch
        if done * 10 // total > told:
            told = done * 10 // total
            checkpoint = len(packed(stream.state())) / 2**20
            found = {
                "lines": done,
                "lines_per_cpu_s": round(done / cpu_s),
                "resident_mib": round(resident_mib()),
                "open": stream.n_open,
                "checkpoint_mib": round(checkpoint, 1),
            }
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
