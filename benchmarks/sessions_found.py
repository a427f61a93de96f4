"""Which session key is found on real logs: one line per log, and the evidence with ``--all``.

Usage: ``python benchmarks/sessions_found.py DATA [--all]`` where DATA holds the folders described in docs/windows.md.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
import time
from pathlib import Path

import polars as pl

from oddlog.formats import detect_format, parse_lines
from oddlog.sources import file_changed, read_blocks
from oddlog.types import Tally
from oddlog.windows import SessionChoice, find_session

FEW = 200_000  # records that are looked at


def read(paths: list[Path]) -> tuple[pl.DataFrame, str]:
    """Return the first records of the files, in order of time where they have one, and the format's name."""
    parts: list[pl.DataFrame] = []
    name = "-"
    for path in paths:
        year = file_changed(str(path)).year
        detected = None
        for block in read_blocks(str(path), Tally()):
            detected = detected or detect_format(block["text"], year=year)
            parts.append(parse_lines(block, detected, year=year))
            if sum(map(len, parts)) >= FEW:
                break
        name = detected.format.name if detected else name
    records = pl.concat(parts, how="diagonal")
    if len(paths) > 1 and records["time"].null_count() < len(records) // 10:
        records = records.sort("time", maintain_order=True)
    return records.head(FEW), name


def logs(data: Path, scratch: Path) -> dict[str, list[Path]]:
    """Return the files of each log."""
    with tarfile.open(data / "trainticket" / "nezha_logs_faults.tar.xz") as archive:
        archive.extractall(scratch, filter="data")
    return {
        "hdfs": [data / "hdfs" / "HDFS_2percent.log.gz"],
        "openstack_nova": [data / "openstack_nova" / "nova_runs.tsv.gz"],
        "trainticket": sorted(scratch.rglob("*_log.csv")),
        "bgl (first 10k)": [data / "bgl" / "bgl_raw_first_10k.log.gz"],
        "bgl (shuffled)": [data / "bgl" / "bgl_raw_shuffled_20k.log.gz"],
        "access": [data / "access" / "apache_combined_10k.log.gz"],
        **{f"2k {p.name}": [p / f"{p.name}_2k.log"] for p in sorted((data / "loghub_2k").iterdir())},
    }


def row(choice: SessionChoice) -> str:
    """Return what was found, or the nearest miss."""
    if choice.kind != "none":
        best = choice.candidates.row(0, named=True)
        return (
            f"{choice.kind} `{choice.value}` | {choice.confidence:.2f} | "
            f"{best['coverage']:.0%}, {best['values']:,} values, lives {best['lifetime_share']:.3f}"
        )
    misses = choice.candidates.drop_nulls("score").sort("score", descending=True)
    nearest = "`{candidate}` {why_not}".format(**misses.row(0, named=True)) if len(misses) else "no candidate"
    return f"none | {choice.confidence:.2f} | {nearest}"


def main(data: Path, *, evidence: bool) -> None:
    print("| log | format | found | confidence | evidence, or the nearest miss | CPU s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, paths in logs(data, Path(scratch)).items():
            records, form = read(paths)
            began = time.process_time()
            choice = find_session(records)
            print(f"| {name} | {form} | {row(choice)} | {time.process_time() - began:.2f} |")
            if evidence:
                with pl.Config(tbl_cols=-1, tbl_rows=-1, tbl_width_chars=240, fmt_str_lengths=60):
                    print(choice.candidates)


if __name__ == "__main__":
    main(Path(sys.argv[1]), evidence="--all" in sys.argv)
