"""Each classic detector alone on the second half of BGL, windows of 100 lines by time.

    python benchmarks/classic_bgl.py [--data ../shared/data/bgl] [--shares 20,50] [--only logistic,boosting]

A window is anomalous if one of its lines is an alert. Who learns from labels is given all windows of the first share,
the others those without an alert; both are tested on the rest. A type that the first share does not hold is unseen; its
text is told before the test, as `detect` does it. ``own`` and ``oracle`` as in `classic_members`; ``no text``: the ROC
AUC where texts of unseen types are not told. The stream has no levels. *Development* figures.
"""

from __future__ import annotations

import argparse
import time
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
from oddlog.types import I8, Context, Templates, Windows

RATE = 0.01  # there are 4,700 windows to learn from at most


def cut(event: np.ndarray) -> Windows:
    """Return windows of 100 rows."""
    n, e = len(event) // WINDOW, len(event)
    start = np.arange(n, dtype=np.int64) * WINDOW
    return Windows(
        key=pl.Series("key", [str(i) for i in range(n)], dtype=pl.String),
        start=start,
        end=start + WINDOW - 1,
        closed_by=np.full(n, 5, np.uint8),  # bounds
        weight=np.ones(n),
        offsets=np.arange(n + 1, dtype=np.int64) * WINDOW,
        template=event.astype(np.uint32),
        time_us=np.arange(e, dtype=np.int64),
        level=np.zeros(e, np.uint8),
        service=np.zeros(e, np.uint16),
        source=np.zeros(e, np.uint16),
        line=np.arange(1, e + 1, dtype=np.uint64),
        numbers=np.empty((e, 0), np.float32),
    )


def split(folder: Path, share: float) -> tuple[Windows, I8, Windows, I8, Context, list[str]]:
    """Return windows and labels of the first share and of the rest, the model's types, and the unseen ones' texts."""
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
    return whole.take(before), label[before], whole.take(after), label[after], Context(templates), told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bgl"))
    parser.add_argument("--shares", default="20,50")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    for share in asked.shares.split(","):
        learn, known, test, label, context, texts = split(asked.data, int(share) / 100)
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
            print(f"| `{shown}` | {auc:.3f} | {untold} | {pot:.3f} | {own} | {best:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
