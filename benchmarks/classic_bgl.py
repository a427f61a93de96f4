"""Each classic detector alone on the second half of BGL, windows of 100 lines by time.

    python benchmarks/classic_bgl.py [--data ../shared/data/bgl] [--shares 20,50] [--only logistic,boosting]

A window is anomalous if one of its lines is an alert. Who learns from labels is given all windows of the first share,
the others those without an alert; both are tested on the rest. A type that the first share does not hold is unseen; its
text is told before the test, as `detect` does it. ``own`` and ``oracle`` as in `classic_members`; ``no text``: the ROC
AUC where texts of unseen types are not told. ``by line``: learned from the labels of single lines, windows of one line
each, and a window has the score of its highest line. The stream has no levels. *Development* figures.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from bgl_half2 import WINDOW, read
from classic_members import OWN, VARIANTS
from hdfs_members import f1, roc_auc
from oddlog.calibration import Tail, crossfit
from oddlog.detectors import create
from oddlog.features.text import embed
from oddlog.thresholds import best_f1
from oddlog.types import F64, I8, Context, Templates, Windows

BY_LINE = ("logistic", "boosting")
RATE = 0.01  # there are 4,700 windows to learn from at most


def cut(event: np.ndarray, size: int = WINDOW) -> Windows:
    """Return windows of so many rows."""
    n, e = len(event) // size, len(event)
    start = np.arange(n, dtype=np.int64) * size
    return Windows(
        key=pl.Series("key", [str(i) for i in range(n)], dtype=pl.String),
        start=start,
        end=start + size - 1,
        closed_by=np.full(n, 5, np.uint8),  # bounds
        weight=np.ones(n),
        offsets=np.arange(n + 1, dtype=np.int64) * size,
        template=event.astype(np.uint32),
        time_us=np.arange(e, dtype=np.int64),
        level=np.zeros(e, np.uint8),
        service=np.zeros(e, np.uint16),
        source=np.zeros(e, np.uint16),
        line=np.arange(1, e + 1, dtype=np.uint64),
        numbers=np.empty((e, 0), np.float32),
    )


def by_line(name: str, learn: Windows, alert: np.ndarray, test: Windows, context: Context, texts: list[str]) -> F64:
    """Return the highest score of the lines of each test window, by a member that was told which lines are alerts."""
    once, n = np.unique(learn.template.astype(np.int64) * 2 + alert, return_counts=True)
    lines = replace(cut(once // 2, size=1), weight=n.astype(np.float64))
    fitted = create(name, 0).fit(lines, context, (once % 2).astype(np.int8)).with_texts(texts)  # type: ignore[attr-defined] # those on words have it
    of_type = fitted.score(cut(np.arange(len(context.templates) + len(texts)), size=1)).window
    return np.asarray(of_type[test.template].reshape(len(test), WINDOW).max(1), np.float64)


def split(folder: Path, share: float) -> tuple[Windows, I8, Windows, I8, Context, list[str], np.ndarray]:
    """Return windows and labels of the first share and of the rest, types, unseen texts, and the first alerts."""
    event, alert, texts = read(folder)
    windows = len(event) // WINDOW
    first = round(windows * share)
    known, unseen = np.unique(event[: first * WINDOW]), np.setdiff1d(event, event[: first * WINDOW])
    order = np.concatenate([known, unseen])
    row = np.empty(order.max() + 1, np.int64)
    row[order] = np.arange(len(order))
    whole, label = cut(row[event]), alert.reshape(-1, WINDOW).any(1).astype(np.int8)
    text = tuple(texts[one] for one in known.tolist())
    k = len(known)
    keys = np.arange(k, dtype=np.uint64)
    templates = Templates(text, np.zeros(k, np.uint8), np.ones(k, np.int64), keys, keys.astype(np.uint32), embed(text))
    before, after = np.arange(first), np.arange(first, windows)
    told = [texts[one] for one in unseen.tolist()]
    first_alerts = alert[: first * WINDOW].astype(np.int64)
    return whole.take(before), label[before], whole.take(after), label[after], Context(templates), told, first_alerts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bgl"))
    parser.add_argument("--shares", default="20,50")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    for share in asked.shares.split(","):
        learn, known, test, label, context, texts, alert = split(asked.data, int(share) / 100)
        print(f"\nFirst {share} %: {len(learn):,} windows, {known.sum():,} anomalous, {len(context.templates)} types")
        print(f"Rest: {len(test):,} windows, {label.sum():,} anomalous, {len(texts)} unseen types\n")
        print("| detector | ROC AUC | no text | F1, pot | F1, own | F1, oracle | CPU-s |")
        print("|---|---|---|---|---|---|---|")
        for shown, (name, options) in VARIANTS.items():
            if asked.only and name not in asked.only.split(","):
                continue
            with_labels = create(name).needs == "labels"
            usual = np.ones(len(learn), np.bool_) if with_labels else known == 0
            given = known if with_labels else None
            began = time.process_time()
            fitted = create(name, 0, **options).fit(learn.take(usual), context, given)
            telling = fitted.with_texts(texts) if hasattr(fitted, "with_texts") else fitted
            scores, weight = telling.score(test).window, np.ones(len(test))
            seconds = time.process_time() - began
            untold = "" if telling is fitted else f"{roc_auc(fitted.score(test).window, label, weight):.3f}"
            held_out = crossfit(lambda: create(name, 0, **options), learn.take(usual), context, labels=given)  # noqa: B023 - called here
            held_out[known[usual] == 1] = np.nan
            pot = f1(scores, Tail.fit(held_out).quantile(RATE), label, weight)
            limit = getattr(fitted, "limit", OWN.get(name, np.nan))
            own = f"{f1(scores, limit, label, weight):.3f}" if np.isfinite(limit) else ""
            best = f1(scores, best_f1(scores, label, weight).value, label, weight)
            auc = roc_auc(scores, label, weight)
            if name in BY_LINE:
                highest = by_line(name, learn, alert, test, context, texts)
                figures = [
                    f1(highest, 0.0, label, weight),
                    f1(highest, best_f1(highest, label, weight).value, label, weight),
                ]
                auc_line = roc_auc(highest, label, weight)
                print(
                    f"| `{shown}`, by line | {auc_line:.3f} | | | {figures[0]:.3f} | {figures[1]:.3f} | |", flush=True
                )
            print(f"| `{shown}` | {auc:.3f} | {untold} | {pot:.3f} | {own} | {best:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
