"""How much CPU reading and cleaning take, beside Polars' own row splitting in the same run.

    python benchmarks/read_speed.py FILE [--repeat 4] [--rounds 7]

FILE is a plain or compressed log; it is read `--repeat` times over as one file. Every figure is the best of
`--rounds` rounds in CPU-seconds of one thread (POLARS_MAX_THREADS=1), rounds interleaved.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl
import zstandard

from oddlog.cleaning import Cleaner
from oddlog.formats import detect_format, parse_lines
from oddlog.sources import file_changed, read_blocks
from oddlog.types import Tally


def read(path: Path) -> None:
    for _ in read_blocks(str(path), Tally()):
        pass


def clean(frames: list[pl.DataFrame], **options: bool) -> None:
    cleaner = Cleaner(Tally(), **options)
    for frame in frames:
        cleaner.push(frame)
    cleaner.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeat", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, gz, zst = (Path(folder, f"app.log{ending}") for ending in ("", ".gz", ".zst"))
        lines = pl.concat(read_blocks(str(options.file), Tally()))["text"].to_list()
        data = ("\n".join(lines) + "\n").encode() * options.repeat
        plain.write_bytes(data)
        gz.write_bytes(gzip.compress(data, 6))
        zst.write_bytes(zstandard.compress(data))

        blocks = list(read_blocks(str(plain), Tally()))
        year = file_changed(str(options.file)).year
        found = detect_format(blocks[0]["text"].head(1000), year=year)
        records = [parse_lines(block, found, year=year) for block in blocks]
        n = sum(map(len, blocks))
        print(f"{n:,} lines, {len(data) / n:.0f} bytes each\n\n| what | M lines/CPU-s |\n|---|---|")
        measure(
            n,
            options.rounds,
            {
                "Polars read_lines of the file": lambda: pl.read_lines(plain),
                "read_blocks": lambda: read(plain),
                "read_blocks, gzip": lambda: read(gz),
                "read_blocks, zstd": lambda: read(zst),
                "Cleaner": lambda: clean(records),
                "Cleaner, redact=False": lambda: clean(records, redact=False),
                "Cleaner, drop_duplicates=True": lambda: clean(records, drop_duplicates=True),
            },
        )


def measure(n: int, rounds: int, work: dict[str, Callable[[], object]]) -> None:
    best = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, run in work.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    for name, seconds in best.items():
        print(f"| {name} | {n / seconds / 1e6:.2f} |")


if __name__ == "__main__":
    main()
