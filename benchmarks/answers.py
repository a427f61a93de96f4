"""What answers are worth on HDFS by time: F1 after so many, given as somebody on duty would give them.

    python benchmarks/answers.py ../shared/data/hdfs

Learn from the usual sessions of the first 20 % or 50 % of the lines, detect in the sessions that begin later
(`hdfs_whole_way.py`: time20, time50). Then, again and again: the first odd session that is a false alarm and that no
answer covers is called usual, at the time it ends. That answer holds only for sessions that end later
(``Answers(only_later=True)``), so each pattern's first false alarm counts, and so does every anomaly that an answer
hides. Verdicts come from `detect`, anew after each answer.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

import oddlog
from hdfs_whole_way import TRUE_SHARE, read, split
from oddlog.feedback import Answer, Answers
from oddlog.incidents import pattern_of
from oddlog.pipeline.reading import Reading
from oddlog.templates import Matcher, mask

AT = (0, 1, 2, 5, 10, 20, 50)


def events_of(path: Path, matcher: Matcher) -> pl.DataFrame:
    """Return ``block time row`` of each line."""
    parts = []
    for records in Reading().records(path):
        masked = mask(records["message"])
        rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
        block = records["message"].str.extract(r"(blk_-?\d+)")
        parts.append(pl.DataFrame({"block": block, "time": records["time"], "row": rows}))
    return pl.concat(parts)


def usual(window: dict, events: pl.DataFrame, matcher: Matcher, *, excuse: bool) -> Answer:
    """Return that the set of types of a window is usual, said when it ends."""
    own = events.filter(pl.col("block") == window["block"], pl.col("time").is_between(window["start"], window["end"]))
    rows = own["row"].unique().to_list()
    new = tuple(f"{matcher.key_of(row):016x}" for row in rows if excuse and row >= len(matcher.templates))
    company = tuple(f"{matcher.key_of(row):016x}" for row in rows if excuse and row < len(matcher.templates))
    pattern = pattern_of(matcher.key_of(row) for row in rows)
    return Answer("usual", pattern, window["end"], new_types=new, company=company)


def judged(windows: pl.DataFrame, anomalous: dict[str, bool]) -> dict[str, float]:
    """Return how good the verdicts are; a block of several windows is odd if one of them is."""
    blocks = windows.group_by("block").agg(pl.col("is_anomaly").any())
    truth = np.array([anomalous[block] for block in blocks["block"]])
    odd = blocks["is_anomaly"].to_numpy()
    weight = np.where(truth, 1.0, truth.sum() * (1 - TRUE_SHARE) / TRUE_SHARE / max((~truth).sum(), 1))
    hit, false, missed = (weight[mask].sum() for mask in (truth & odd, ~truth & odd, truth & ~odd))
    return {
        "F1": 2 * hit / (2 * hit + false + missed),
        "precision": hit / max(hit + false, 1e-9),
        "recall": hit / (hit + missed),
        "false alarms": int((~truth & odd).sum()),
        "anomalies missed": int((truth & ~odd).sum()),
    }


def run(
    train: list[str], test: list[str], anomalous: dict[str, bool], options: dict, most: int, *, excuse: bool
) -> list[dict]:
    """Return the figures after 0, 1, 2 … answers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test.log")
        path.write_text("\n".join(test) + "\n")
        Path(folder, "train.log").write_text("\n".join(train) + "\n")
        model = oddlog.fit(Path(folder, "train.log"), **options)
        matcher = Matcher(model.context.templates)
        events = events_of(path, matcher)
        answers, figures = Answers(only_later=True), []
        last: datetime | None = None
        while True:
            found = model.detect(path, answers=answers)
            windows = found.scores.with_columns(block=pl.col("key").str.replace(r"#\d+$", ""))
            figures.append(judged(windows, anomalous))
            later = pl.lit(value=True) if last is None else pl.col("end") > last
            false = windows.filter("is_anomaly", ~pl.col("block").replace_strict(anomalous), later).sort("end", "key")
            if len(figures) > most or not len(false):
                return figures
            answers.add(usual(false.row(0, named=True), events, matcher, excuse=excuse))
            last = false["end"][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--protocols", default="time20,time50")
    parser.add_argument("--detectors", default="snn,dae,ocsvm,new-event")
    parser.add_argument(
        "--sets-only", action="store_true", help="answers excuse no new types, only equal sets of types"
    )
    parser.add_argument("--most", type=int, default=50, help="answers")
    arguments = parser.parse_args()
    lines, block, anomalous = read(arguments.data)
    for protocol in arguments.protocols.split(","):
        train, test = split(protocol, 0, lines, block, anomalous)
        options = {"detectors": arguments.detectors.split(","), "rates": False}
        figures = run(train, test, anomalous, options, arguments.most, excuse=not arguments.sets_only)
        for n in AT:
            if n <= arguments.most:
                row = figures[min(n, len(figures) - 1)]
                said = " · ".join(f"{name} {value:.4g}" for name, value in row.items())
                more = "" if n < len(figures) else f" (no false alarm is left after {len(figures) - 1})"
                print(f"{protocol} after {n:>2} answers: {said}{more}", flush=True)


if __name__ == "__main__":
    main()
