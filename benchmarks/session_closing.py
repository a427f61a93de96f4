"""How well open sessions of HDFS are told from those that ended, learned from the first part of the log.

Usage: ``python benchmarks/session_closing.py DATA`` where DATA holds ``hdfs/``. The log is cut at several places;
what really goes on is read from the rest.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.types import EVENTS, Tally, Windows
from oddlog.windows import Windower, learn_closing

MASKED = r"[^\s:,]*[0-9][^\s:,]*"


def events(data: Path) -> pl.DataFrame:
    with gzip.open(data / "hdfs" / "HDFS_2percent.log.gz", "rt") as file:
        text = pl.Series("text", file.read().splitlines())
    part = text.str.splitn(" ", 6).struct.unnest()
    stamp = (part["field_0"] + part["field_1"]).str.to_datetime("%y%m%d%H%M%S", time_unit="us")
    message = part["field_5"]
    return pl.DataFrame(
        {
            "session": message.str.extract(r"(blk_-?\d+)"),
            "template": message.str.replace_all(MASKED, "*").rank("dense"),
            "time_us": stamp.to_physical(),
            **dict.fromkeys(("level", "service", "source"), pl.repeat(0, len(text), eager=True)),
            "line": pl.int_range(len(text), eager=True),
        }
    ).cast(dict(EVENTS))


def sessions(some: pl.DataFrame) -> Windows:
    windower = Windower(by="session", tally=Tally())
    windower.push(some)
    return windower.flush()


def main(data: Path) -> None:
    every = events(data)
    label = dict(pl.read_csv(data / "hdfs" / "anomaly_label.csv").iter_rows())
    whole = dict(every.group_by("session").len().iter_rows())
    time = every["time_us"]
    print(
        "| learned from | cut at | sessions | go on | called over | of these on | ended, called over | of anomalies |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for share in (0.2, 0.5):
        learned_to = time[int(len(time) * share)]
        closing = learn_closing(sessions(every.filter(time <= learned_to)), learned_to)
        for cut in (0.2, 0.4, 0.5, 0.6, 0.8, 1.0):
            if cut < share:
                continue
            end = time[min(int(len(time) * cut), len(time) - 1)]
            windows = sessions(every.filter(time <= end))
            over = closing.is_closed(windows, end)
            on = np.array([whole[key] for key in windows.key]) > windows.lengths
            odd = np.array([label[key] == "Anomaly" for key in windows.key])
            print(
                f"| {share:.0%} | {cut:.0%} | {len(windows):,} | {on.sum():,} | {over.sum():,} | {(over & on).sum()} "
                f"| {(over & ~on).sum():,} of {(~on).sum():,} | {(over & ~on & odd).sum()} of {(~on & odd).sum()} |"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
