"""Accuracy of the default members on HDFS: threshold from training only, re-weighted to 2.93 % of anomalies.

    python benchmarks/hdfs_members.py [--data ../shared/data/hdfs] [--seeds 5] [--only random,contaminated,time]

*random*        learn from 5,583 random usual sessions, test on all others
*distinct*      the same, each distinct row of counts of the test sessions once, as many as there are
*contaminated*  learn from a random half of all sessions, anomalies left in, no label used; test on the other half
*time*          learn from the sessions that ended in the first 20 % (50 %) of the sessions' starts, anomalies left in;
                test on those that began later, as many anomalies as there are

Every session counts as ended: whether one is still open when the log ends is the windower's question, not the
members'. ``pot`` is the threshold at 1 false alarm in 1,000 by the fitted tail (the default), ``q`` the 99.9 %
quantile of the same out-of-fold scores, ``kinds`` the fitted tail of one score for each distinct row of counts of each
fold, so that what comes in a burst counts once, ``oracle`` the best threshold on the test sessions themselves: never a
headline.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.calibration import Calibrator, Tail, crossfit, time_folds
from oddlog.detectors import DEFAULT, create
from oddlog.detectors.trim import trim
from oddlog.features.counts import counts
from oddlog.formats import by_name, parse_lines
from oddlog.sources import read_blocks
from oddlog.templates import Matcher, mask, mine
from oddlog.thresholds import best_f1, quantile
from oddlog.types import F64, I8, I64, Context, Tally, Windows

SHARE = 0.0293  # of anomalous blocks in the whole HDFS_v1
USUAL = 5_583  # 1 % of its usual blocks
RATE = 0.001


@dataclass(frozen=True)
class Sessions:
    """All sessions, with their labels."""

    windows: Windows
    label: I8
    context: Context


def read(folder: Path, *, levels: bool = False) -> Sessions:
    """Return the sessions of the raw lines, by block; the levels of their lines only if asked for."""
    parts = [
        parse_lines(lines, by_name("hdfs"), year=2008).select("time", "message", "line", "level")
        for lines in read_blocks(str(folder / "HDFS_2percent.log.gz"), Tally())
    ]
    records = pl.concat(parts)
    masked = mask(records["message"])
    count = np.bincount(masked.inverse, minlength=len(masked.distinct_key))
    context = Context(mine(masked.distinct_key, masked.distinct_text, count, np.zeros(len(count), np.uint8)))
    rows = Matcher(context.templates).rows(masked.distinct_key, masked.distinct_text)
    events = records.select(
        "time",
        "line",
        "level",
        session=pl.col("message").str.extract(r"(blk_-?\d+)"),
        template=pl.Series(rows[masked.inverse]),
    ).sort("session", "time", "line")
    answers = pl.read_csv(folder / "anomaly_label.csv")
    groups = events.group_by("session", maintain_order=True).agg(
        pl.len(), pl.col("time").min().alias("start"), pl.col("time").max().alias("end")
    )
    groups = groups.join(answers, left_on="session", right_on="BlockId", how="left", maintain_order="left")
    n, e = len(groups), len(events)
    windows = Windows(
        key=groups["session"],
        start=groups["start"].to_physical().to_numpy(),
        end=groups["end"].to_physical().to_numpy(),
        closed_by=np.ones(n, np.uint8),
        weight=np.ones(n),
        offsets=np.concatenate([[0], np.cumsum(groups["len"].to_numpy())]).astype(np.int64),
        template=events["template"].to_numpy(),
        time_us=events["time"].to_physical().to_numpy(),
        level=events["level"].to_physical().to_numpy().astype(np.uint8) if levels else np.zeros(e, np.uint8),
        service=np.zeros(e, np.uint16),
        source=np.zeros(e, np.uint16),
        line=events["line"].to_numpy(),
        numbers=np.empty((e, 0), np.float32),
    )
    return Sessions(windows, (groups["Label"] == "Anomaly").to_numpy().astype(np.int8), context)


@dataclass(frozen=True)
class Judged:
    """Scores of the test sessions, and where the threshold from training lies."""

    members: F64  # [m, w]
    combined: F64  # [w]
    pot: float
    q: float
    kinds: float
    cpu_fit: float
    cpu_score: float


def judge(train: Windows, test: Windows, context: Context, seed: int, *, shuffle: bool = False) -> Judged:
    """Learn, calibrate out of fold, score; `shuffle` draws the folds at random instead of cutting the time."""
    began = time.process_time()
    fold = np.random.default_rng(seed).permutation(len(train)) % 5 if shuffle else time_folds(train.start, 5)
    held_out = np.array([crossfit(partial(create, name, seed), train, context, fold) for name in DEFAULT])
    members = [create(name, seed).fit(train, context) for name in DEFAULT]
    calibrator = Calibrator().fit(held_out, train.weight)
    fitted = time.process_time()
    scores = np.array([member.score(test).window for member in members])
    combined = calibrator.combined(scores)
    scored = time.process_time()
    usual = calibrator.combined(held_out)
    return Judged(
        scores,
        combined,
        calibrator.threshold(RATE),
        quantile(usual, 1 - RATE, train.weight).value,
        of_kinds(usual, train, context, fold),
        fitted - began,
        scored - fitted,
    )


def of_kinds(usual: F64, train: Windows, context: Context, fold: I64) -> float:
    """Return the threshold of `RATE` where windows of the same row of counts in one fold are one alarm."""
    kind = counts(train, len(context.templates)).inverse * 5 + fold
    kinds, place = np.unique(kind, return_inverse=True)
    highest = np.full(len(kinds), -np.inf)
    np.maximum.at(highest, place, usual)
    return Tail.fit(highest).quantile(min(RATE * len(usual) / len(kinds), 1.0))


def reweighted(label: I8) -> F64:
    """Return weights that make anomalies `SHARE` of all."""
    anomalies, usual = (label == 1).sum(), (label == 0).sum()
    return np.where(label == 1, 1.0, anomalies * (1 - SHARE) / SHARE / max(usual, 1))


def f1(scores: F64, threshold: float, label: I8, weight: F64) -> float:
    called = scores > threshold
    return float(2 * weight[called & (label == 1)].sum() / (weight[called].sum() + weight[label == 1].sum()))


def roc_auc(scores: F64, label: I8, weight: F64) -> float:
    """Return the chance that an anomaly scores above a usual session, ties counted half."""
    _, inverse = np.unique(scores, return_inverse=True)
    usual = np.bincount(inverse, weight * (label == 0))
    anomalous = np.bincount(inverse, weight * (label == 1))
    below = np.cumsum(usual) - usual / 2
    return float(anomalous @ below / (usual.sum() * anomalous.sum()))


def row(name: str, judged: Judged, label: I8, weight: F64, note: str = "") -> dict[str, float]:
    """Print one line of the table, return its figures."""
    figures = {
        "auc": roc_auc(judged.combined, label, weight),
        "pot": f1(judged.combined, judged.pot, label, weight),
        "q": f1(judged.combined, judged.q, label, weight),
        "kinds": f1(judged.combined, judged.kinds, label, weight),
        "oracle": f1(judged.combined, best_f1(judged.combined, label, weight).value, label, weight),
    }
    members = " ".join(
        f"{member} {roc_auc(scores, label, weight):.4f}" for member, scores in zip(DEFAULT, judged.members, strict=True)
    )
    print(
        f"{name:<22} AUC {figures['auc']:.5f}  F1 pot {figures['pot']:.4f} q {figures['q']:.4f} "
        f"kinds {figures['kinds']:.4f} oracle {figures['oracle']:.4f}  [{members}] {note}",
        flush=True,
    )
    return figures


def summary(name: str, rows: list[dict[str, float]]) -> None:
    """Print mean, standard deviation and lowest over the seeds."""
    for figure in ("auc", "pot", "q", "kinds", "oracle"):
        values = np.array([r[figure] for r in rows])
        print(f"{name:<22} {figure:<6} mean {values.mean():.4f} std {values.std():.4f} lowest {values.min():.4f}")


def distinct_of(test: Windows, label: I8, context: Context) -> I64:
    """Return the first session of each distinct row of counts and label."""
    row_of = counts(test, len(context.templates)).inverse
    return np.asarray(np.unique(row_of * 2 + label, return_index=True)[1], np.int64)


def take(judged: Judged, index: I64) -> Judged:
    return Judged(judged.members[:, index], judged.combined[index], judged.pot, judged.q, judged.kinds, 0.0, 0.0)


def random_split(
    data: Sessions, seeds: int, n_usual: int = USUAL, *, shuffle: bool = False
) -> Iterator[tuple[str, dict[str, float]]]:
    for seed in range(seeds):
        usual = np.random.default_rng(seed).permutation(np.flatnonzero(data.label == 0))
        train = np.sort(usual[:n_usual])
        test = np.setdiff1d(np.arange(len(data.label)), train)
        learn, windows, label = data.windows.take(train), data.windows.take(test), data.label[test]
        judged = judge(learn, windows, data.context, seed, shuffle=shuffle)
        note = f"fit + crossfit {judged.cpu_fit:.1f} CPU-s, {len(test) / judged.cpu_score:,.0f} sessions/CPU-s"
        yield "random", row(f"random {seed}", judged, label, reweighted(label), note)
        first = distinct_of(windows, label, data.context)
        note = f"{len(first)} rows, {label[first].sum()} anomalous"
        alone = row(f"distinct {seed}", take(judged, first), label[first], np.ones(len(first)), note)
        yield "distinct", alone
        print(f"    trimming would say: {trim(learn, data.context)[1]}")


def contaminated(data: Sessions, seeds: int) -> Iterator[tuple[str, dict[str, float]]]:
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data.label))
        half = len(order) // 2
        train, test = np.sort(order[:half]), np.sort(order[half:])
        learn, label = data.windows.take(train), data.label[test]
        keep, report = trim(learn, data.context)
        wrong = int((data.label[train][~keep] == 0).sum())
        left = int(data.label[train][keep].sum())
        judged = judge(learn.take(keep), data.windows.take(test), data.context, seed)
        note = f"{report}; {wrong} of them usual, {left} anomalies left in"
        yield "contaminated", row(f"contaminated {seed}", judged, label, reweighted(label), note)
        untrimmed = judge(learn, data.windows.take(test), data.context, seed)
        yield "untrimmed", row(f"  without trimming {seed}", untrimmed, label, reweighted(label))


def by_time(data: Sessions, seeds: int, *, shuffle: bool = False) -> Iterator[tuple[str, dict[str, float]]]:
    for share in (0.2, 0.5):
        split = int(np.quantile(data.windows.start, share))
        train, test = np.flatnonzero(data.windows.end < split), np.flatnonzero(data.windows.start >= split)
        learn, label = data.windows.take(train), data.label[test]
        keep, report = trim(learn, data.context)
        for seed in range(seeds):
            judged = judge(learn.take(keep), data.windows.take(test), data.context, seed, shuffle=shuffle)
            name = f"time {share:.0%}"
            yield name, row(f"{name} {seed}", judged, label, np.ones(len(test)), str(report) if seed == 0 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/hdfs"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--usual", type=int, default=USUAL, help="sessions that `random` learns from")
    parser.add_argument("--shuffle", action="store_true", help="folds at random; without, stretches of time")
    parser.add_argument("--only", default="random,contaminated,time")
    asked = parser.parse_args()
    data = read(asked.data)
    print(f"{len(data.windows):,} sessions, {data.label.sum()} anomalous, {len(data.context.templates)} templates")
    parts = {
        "random": partial(random_split, n_usual=asked.usual, shuffle=asked.shuffle),
        "contaminated": contaminated,
        "time": partial(by_time, shuffle=asked.shuffle),
    }
    rows: dict[str, list[dict[str, float]]] = {}
    for part in asked.only.split(","):
        for name, figures in parts[part](data, asked.seeds):
            rows.setdefault(name, []).append(figures)
    print()
    for name, found in rows.items():
        summary(name, found)


if __name__ == "__main__":
    main()
