"""Raw HDFS lines to templates, in lines per CPU-second, with Drain3 and its example's masks in the same run.

    python benchmarks/template_speed.py [--data ../shared/data/hdfs/HDFS_2percent.log.gz] [--copies 4]

Without `--data` the lines are made, see `storage_lines.py`.

Every figure is the best of `--repeats` runs on one thread; CPU time of the whole process, file already in the page
cache. *cut* splits the header off and nothing more, as a template miner does; *records* is the product's way, which
reads time, level, service and process too. *parameters* finds what stood at every variable of every line.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from oddlog.formats import by_name, parse_lines
from oddlog.sources import read_blocks
from oddlog.templates import Masked, mask, mine
from oddlog.types import Tally
from storage_lines import make

PEER_LINES = 40_000
MADE_LINES = 1_000_000
GZIP = b"\x1f\x8b"


def cut(path: str) -> Iterator[pl.Series]:
    """Yield the messages behind the header, which ends at the first colon and space."""
    for lines in read_blocks(path, Tally()):
        yield lines["text"].str.splitn(": ", 2).struct.field("field_1")


def records(path: str) -> Iterator[pl.Series]:
    """Yield the messages of the records that the product makes of the lines."""
    hdfs = by_name("hdfs")
    for lines in read_blocks(path, Tally()):
        yield parse_lines(lines, hdfs, year=2008)["message"]


def templates(messages: Iterable[pl.Series], each: Callable[[Masked], object] = len) -> tuple[int, int]:
    """Mask block by block, mine the distinct texts, give each line its row; return lines and templates."""
    masked = []
    for block in messages:
        masked.append(one := mask(block))
        each(one)
    seen = pl.DataFrame(
        {
            "key": np.concatenate([m.distinct_key for m in masked]),
            "text": pl.concat([m.distinct_text for m in masked]),
            "count": np.concatenate([np.bincount(m.inverse, minlength=len(m.distinct_key)) for m in masked]),
        }
    )
    level = np.zeros(len(seen), np.uint8)
    mined = mine(seen["key"].to_numpy(), seen["text"], seen["count"].to_numpy(), level)
    rows = [mined.rows_of(m.distinct_key)[m.inverse] for m in masked]
    return sum(map(len, rows)), len(mined)


def drain3(path: str, n: int) -> tuple[int, int]:
    """Give the first `n` lines to Drain3; return lines and clusters."""
    from drain3_peer import drain3_miner  # noqa: PLC0415 -- the peer is optional

    miner = drain3_miner()
    with Path(path).open(encoding="utf-8") as file:
        for line in islice(file, n):
            miner.add_log_message(line.rstrip("\n").split(": ", 1)[1])
    return n, len(miner.drain.clusters)


def best(work: Callable[[], tuple[int, int]], repeats: int) -> tuple[float, int]:
    """Return the most lines per CPU-second in `repeats` runs, and how many templates were found."""
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        lines, found = work()
        rates.append(lines / (time.process_time() - start))
    return max(rates), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="lines in HDFS's layout, plain or gzip")
    parser.add_argument("--copies", type=int, default=1, help="how often the file is repeated")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "hdfs.log")
        if args.data is None:
            make(Path(path), MADE_LINES)
        else:
            data = args.data.read_bytes()
            Path(path).write_bytes((gzip.decompress(data) if data[:2] == GZIP else data) * args.copies)
        ways: dict[str, Callable[[], tuple[int, int]]] = {
            "cut": lambda: templates(cut(path)),
            "cut, parameters": lambda: templates(cut(path), Masked.variables),
            "records": lambda: templates(records(path)),
            "records, parameters": lambda: templates(records(path), Masked.variables),
        }
        peer, found = best(lambda: drain3(path, PEER_LINES), 2)
        print(
            f"| way | lines/CPU-s | × Drain3 | templates |\n|---|---|---|---|\n| Drain3 | {peer:,.0f} | 1 | {found} |"
        )
        for name, work in ways.items():
            rate, found = best(work, args.repeats)
            print(f"| {name} | {rate:,.0f} | {rate / peer:.1f} | {found} |", flush=True)


if __name__ == "__main__":
    main()
