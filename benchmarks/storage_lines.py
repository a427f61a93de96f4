"""Lines of a made-up storage service in HDFS's layout, as many as wanted: what the speed benchmarks read.

    python benchmarks/storage_lines.py FILE --lines 1000000 [--like ../shared/data/hdfs/HDFS_2percent.log.gz]

Own wording, the shape of the real thing: some 140 bytes a line, 19 lines a session, most sessions over within hours,
3 in 100 with something wrong. With `--like` the lines of a real file are repeated instead, each time with later dates
and new block names, so that sessions stay what they are.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl

SESSIONS = 10_000  # made at a time
SPAN_S = 40_000  # in which they begin
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)

# name: level, logger, text
LINES = {
    "allocated": (
        "INFO",
        "store.Namespace",
        "allocate: /data/{user}/job_{job}/part-{part} gets {chunk}",
    ),
    "taking": ("INFO", "store.Node$Intake", "Taking in chunk {chunk} from: /{a}:{port} to: /{b}:50010"),
    "ended": ("INFO", "store.Node$Acknowledger", "Acknowledger {replica} of chunk {chunk} has ended"),
    "taken": ("INFO", "store.Node$Acknowledger", "Chunk {chunk} of {size} bytes taken in from /{a}"),
    "noted": ("INFO", "store.Namespace", "noted: copy of {chunk} with {size} bytes on {b}:50010 is in the map"),
    "served": ("INFO", "store.Node$Intake", "{a}:50010 has handed chunk {chunk} to /{b}"),
    "verified": ("INFO", "store.Scanner", "Checksums of {chunk} are in order"),
    "doomed": ("INFO", "store.Namespace", "doomed: {chunk} is to be removed from {b}:50010 with the next heartbeat"),
    "removed": ("INFO", "store.Dataset", "Removing chunk {chunk} file /srv/store/current/sub{part}/{chunk}"),
    "broken": ("WARN", "store.Node$Intake", "{a}:50010: handing chunk {chunk} to /{b} broke off: connection reset"),
    "redundant": ("WARN", "store.Namespace", "noted: copy of {chunk} on {b}:50010 was not asked for, size {size}"),
    "failed": ("ERROR", "store.Node$Intake", "Taking in chunk {chunk} failed: disk of {a} is full"),
}


def make(path: Path, n_lines: int, seed: int = 0) -> None:
    """Write `n_lines` lines of our own."""
    draw = np.random.default_rng(seed)
    written, begin = 0, BEGIN
    with path.open("wb") as file:
        while written < n_lines:
            lines = _stretch(draw, begin).head(n_lines - written)
            file.write(("\n".join(lines.to_list()) + "\n").encode())
            written, begin = written + len(lines), begin + timedelta(seconds=SPAN_S)


def _stretch(draw: np.random.Generator, begin: datetime) -> pl.Series:
    """Return the lines, in order of time, of the sessions that begin in one stretch."""
    which, kind, after = _events(draw)
    n = len(which)
    first = np.sort(draw.integers(0, SPAN_S, SESSIONS))
    chunk = draw.integers(-(2**62), 2**62, SESSIONS)
    node = draw.choice(np.array([f"{net}.{i}" for net in ("192.0.2", "198.51.100") for i in range(1, 102)]), (2, n))
    seconds = first[which] + after.astype(np.int64)
    values = pl.DataFrame(
        {
            "kind": kind,
            "seconds": seconds,
            "pid": draw.integers(10, 30_000, n),
            "chunk": chunk[which],
            "size": np.where(draw.random(n) < 0.8, 67_108_864, draw.integers(1_000, 67_108_864, n)),
            "port": draw.integers(32_768, 60_999, n),
            "part": draw.integers(0, 64, n),
            "job": draw.integers(1, 2_000, n),
            "replica": draw.integers(0, 3, n),
            "a": node[0],
            "b": node[1],
            "user": draw.choice(np.array(["ann", "ben", "cho", "dee"]), n),
        }
    ).with_columns(chunk=pl.format("chk_{}", "chunk"))
    time = pl.lit(begin.replace(tzinfo=None)) + pl.duration(seconds="seconds")
    parts = []
    for i, (level, logger, text) in enumerate(LINES.values()):
        names = re.findall(r"{(\w+)}", text)
        line = pl.format(
            "{} {} {} {}: " + re.sub(r"{\w+}", "{}", text),
            time.dt.strftime("%y%m%d %H%M%S"), "pid", pl.lit(level), pl.lit(logger), *names,
        )  # fmt: skip
        parts.append(values.filter(pl.col("kind") == i).select("seconds", line=line))
    return pl.concat(parts).sort("seconds", maintain_order=True)["line"]


def _events(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return session, kind and seconds after its beginning of each event."""
    every = np.arange(SESSIONS)
    wrong = draw.choice(4, SESSIONS, p=(0.97, 0.01, 0.01, 0.01))  # nothing, handing, copies, disk
    written_s = draw.gamma(2.0, 30.0, SESSIONS)
    removed_s = draw.uniform(3_600, 30_000, SESSIONS)
    found = []

    def add(name: str, sessions: np.ndarray, after_s: np.ndarray) -> None:
        kind = np.full(len(sessions), list(LINES).index(name), np.uint8)
        found.append((sessions, kind, after_s + draw.uniform(0, 1, len(sessions))))

    add("allocated", every, np.zeros(SESSIONS))
    for copy in range(3):
        add("taking", every, np.full(SESSIONS, float(copy)))
        whole = every if copy < 2 else every[wrong != 3]
        for i, name in enumerate(("ended", "taken", "noted")):
            add(name, whole, written_s[whole] + i)
    add("failed", every[wrong == 3], written_s[wrong == 3])
    add("redundant", every[wrong == 2], written_s[wrong == 2] + 3)
    readers = np.repeat(every, draw.geometric(0.4, SESSIONS) - 1)
    add("served", readers, draw.uniform(60, 3_600, len(readers)))
    add("broken", every[wrong == 1], draw.uniform(60, 3_600, int((wrong == 1).sum())))
    checked = every[draw.random(SESSIONS) < 0.1]
    add("verified", checked, draw.uniform(600, 3_600, len(checked)))
    gone = np.repeat(every[draw.random(SESSIONS) < 0.7], 3)
    add("doomed", gone, removed_s[gone])
    add("removed", gone, removed_s[gone] + 2)
    which, kind, after = (np.concatenate(part) for part in zip(*found, strict=True))
    return which, kind, after


def repeat(path: Path, like: Path, n_lines: int) -> None:
    """Write `n_lines` lines: those of an HDFS file again and again, later each time and with other blocks."""
    data = gzip.decompress(like.read_bytes()) if like.suffix == ".gz" else like.read_bytes()
    each = data.count(b"\n")
    written = 0
    with path.open("wb") as file:
        for copy in _copies(data):
            some = copy if written + each <= n_lines else b"".join(copy.splitlines(keepends=True)[: n_lines - written])
            file.write(some)
            written += min(each, n_lines - written)
            if written == n_lines:
                return


def _copies(data: bytes) -> Iterator[bytes]:
    days = sorted(set(re.findall(rb"(?m)^(\d{6}) ", data)))
    for i in count():
        copy = b"\n" + data
        if i:
            copy = copy.replace(b"blk_-", b"\0").replace(b"blk_", b"blk_%d" % i).replace(b"\0", b"blk_-%d" % i)
        for day in reversed(days) if i else ():
            later = datetime.strptime(day.decode(), "%y%m%d").replace(tzinfo=UTC) + timedelta(days=len(days) * i)
            copy = copy.replace(b"\n" + day + b" ", b"\n" + later.strftime("%y%m%d").encode() + b" ")
        yield copy[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--like", type=Path, help="an HDFS file to repeat")
    arguments = parser.parse_args()
    if arguments.like:
        repeat(arguments.file, arguments.like, arguments.lines)
    else:
        make(arguments.file, arguments.lines)


if __name__ == "__main__":
    main()
