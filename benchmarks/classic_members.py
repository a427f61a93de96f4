"""Each classic detector alone on HDFS: threshold from training only, re-weighted to 2.93 % of anomalies.

    python benchmarks/classic_members.py [--data ../shared/data/hdfs] [--seeds 3] [--only pca,svm]

Learned from 5,583 random usual sessions, 1 % of the whole HDFS_v1, tested on all others. Who learns from labels is
given 175 random anomalous ones too, half of this sample's and 1 % of the whole, and tested on the others. ``pot``: the
threshold at 1 false alarm in 1,000 by the tail fitted to out-of-fold scores of usual sessions (five folds of time, as
`fit` does it); ``quantile``: the 99.9 % quantile of these; ``own``: the method's own threshold, where it has one;
``oracle``: the best threshold on the test sessions themselves, never a headline. These are *development* figures: this
log was looked at while the detectors were written.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from hdfs_members import RATE, USUAL, Sessions, f1, read, reweighted, roc_auc
from oddlog.calibration import Tail, crossfit
from oddlog.detectors import create
from oddlog.thresholds import best_f1, quantile
from oddlog.types import F64, Detector

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "error-count": ("error-count", {}),
    "error-count, WARNING": ("error-count", {"least": "WARNING"}),
    "pca": ("pca", {}),
    "pca, paper": ("pca", {"paper": True}),
    "count-neighbour": ("count-neighbour", {}),
    "bigrams": ("bigrams", {}),
    "bigrams, paper": ("bigrams", {"paper": True}),
    "line-neighbour": ("line-neighbour", {}),
    "iforest": ("iforest", {}),
    "iforest, paper": ("iforest", {"paper": True}),
    "logcluster": ("logcluster", {}),
    "logcluster, paper": ("logcluster", {"paper": True}),
    "two-autoencoders": ("two-autoencoders", {}),
    "two-autoencoders, paper": ("two-autoencoders", {"paper": True}),
    "svm": ("svm", {}),
    "cart": ("cart", {}),
    "logistic": ("logistic", {}),
    "boosting": ("boosting", {}),
}
OWN = {"bigrams": 0.5, "logcluster": 0.3, "iforest": 0.5, "svm": 0.0, "cart": 0.5, "logistic": 0.0, "boosting": 0.0}
"""Where a method itself says that a window is anomalous; of PCA see `PrincipalComponents.limit`."""
FIGURES = ("auc", "pot", "q", "own", "oracle", "cpu_fit", "cpu_score")


def judged(data: Sessions, name: str, options: dict[str, Any], seed: int) -> dict[str, float]:
    """Return the figures of one detector on one split."""
    draw = np.random.default_rng(seed)
    usual = draw.permutation(np.flatnonzero(data.label == 0))
    odd = draw.permutation(np.flatnonzero(data.label == 1))

    def make() -> Detector:
        return create(name, seed, **options)

    with_labels = make().needs == "labels"
    train = np.sort(np.concatenate([usual[:USUAL], odd[: len(odd) // 2] if with_labels else odd[:0]]))
    test = np.setdiff1d(np.arange(len(data.label)), train)
    learn, windows, label = data.windows.take(train), data.windows.take(test), data.label[test]
    known = data.label[train] if with_labels else None
    began = time.process_time()
    fitted = make().fit(learn, data.context, known)
    cpu_fit = time.process_time() - began
    held_out = crossfit(make, learn, data.context, labels=known)
    held_out[data.label[train] == 1] = np.nan  # calibration goes by usual sessions
    began = time.process_time()
    scores = fitted.score(windows).window
    cpu_score = time.process_time() - began
    weight = reweighted(label)
    limit = getattr(fitted, "limit", OWN.get(name, np.nan))
    return {
        "auc": roc_auc(scores, label, weight),
        "pot": f1(scores, Tail.fit(held_out, learn.weight).quantile(RATE), label, weight),
        "q": f1(scores, quantile(held_out[~np.isnan(held_out)], 1 - RATE).value, label, weight),
        "own": f1(scores, limit, label, weight) if np.isfinite(limit) else np.nan,
        "oracle": f1(scores, best_f1(scores, label, weight).value, label, weight),
        "cpu_fit": cpu_fit,
        "cpu_score": cpu_score,
    }


def told(values: F64) -> str:
    return "" if np.isnan(values).all() else f"{values.mean():.4f} ± {values.std():.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/hdfs"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(dict.fromkeys(name for name, _ in VARIANTS.values())))
    asked = parser.parse_args()
    data = read(asked.data, levels=True)
    print(f"{len(data.windows):,} sessions, {data.label.sum()} anomalous, {len(data.context.templates)} templates\n")
    print("| detector | ROC AUC | F1, pot | F1, quantile | F1, own | F1, oracle | fit, CPU-s | score, CPU-s |")
    print("|---|---|---|---|---|---|---|---|")
    for shown, (name, options) in VARIANTS.items():
        if name not in asked.only.split(","):
            continue
        rows = [judged(data, name, options, seed) for seed in range(asked.seeds)]
        columns = {figure: np.array([row[figure] for row in rows]) for figure in FIGURES}
        cells = [told(columns[figure]) for figure in FIGURES[:5]]
        cells += [f"{columns[figure].mean():.2f}" for figure in FIGURES[5:]]
        print(f"| `{shown}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
