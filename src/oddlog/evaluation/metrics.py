"""Figures of scores, verdicts and labels: numpy only, weights everywhere.

Labels are 1 anomalous, 0 usual; what is neither does not count. Higher scores are more anomalous; NaN, no opinion,
is below every score. Weights [w] say how many cases of the data at large each one stands for: a sample that holds
every anomaly and few usual sessions is weighted back to the share that anomalies truly have (`reweighted`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.types import F64, I8, I64, U64, Bool

US_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Counts:
    """Weights of what was called odd and what is anomalous."""

    hit: float
    missed: float
    false: float
    passed: float

    @property
    def accuracy(self) -> float:
        """Share that was called what it is."""
        return _share(self.hit + self.passed, self.hit + self.passed + self.missed + self.false)

    @property
    def precision(self) -> float:
        """Share of what was called odd that is anomalous; NaN if nothing was."""
        return _share(self.hit, self.hit + self.false)

    @property
    def recall(self) -> float:
        """Share of what is anomalous that was called odd."""
        return _share(self.hit, self.hit + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing was called odd and something is."""
        return _share(2 * self.hit, 2 * self.hit + self.missed + self.false)


def counted(odd: Bool, label: I8, weight: F64 | None = None) -> Counts:
    """Return how verdicts [w] agree with labels [w]."""
    weight = np.ones(len(label)) if weight is None else weight
    anomalous, usual = label == 1, label == 0
    hit, missed, false, passed = (
        float(weight[mask].sum()) for mask in (odd & anomalous, ~odd & anomalous, odd & usual, ~odd & usual)
    )
    return Counts(hit, missed, false, passed)


def reweighted(label: I8, usual: float, anomalous: float) -> F64:
    """Return weights [w] that give both kinds the proportion that they have in the whole data.

    Anomalies keep weight 1, so that a figure's spread is that of the sample.

    >>> reweighted(np.array([1, 0, 0], np.int8), usual=30, anomalous=10).tolist()
    [1.0, 1.5, 1.5]
    """
    n_anomalous, n_usual = (label == 1).sum(), (label == 0).sum()
    if not (usual and anomalous and n_anomalous and n_usual):
        return np.ones(len(label))
    return np.where(label == 0, n_anomalous * usual / anomalous / n_usual, 1.0)


@dataclass(frozen=True)
class Steps:
    """Cumulated weights from the highest score down, one step for each distinct score.

    Attributes
    ----------
    score : F64 [x]
        Descending.
    hit, false : F64 [x]
        Weight of anomalous and of usual cases that score as high or higher.

    """

    score: F64
    hit: F64
    false: F64


def steps(score: F64, label: I8, weight: F64 | None = None) -> Steps:
    """Return the steps of a ranking; cases of one score are one step (Fawcett 2006, algorithm 2)."""
    weight = np.ones(len(label)) if weight is None else weight
    kept = label >= 0
    value, label, weight = np.where(np.isnan(score), -np.inf, score)[kept], label[kept], weight[kept]
    order = np.argsort(-value, kind="stable")
    value, label, weight = value[order], label[order], weight[order]
    last = np.append(np.flatnonzero(value[1:] != value[:-1]), len(value) - 1) if len(value) else np.empty(0, np.int64)
    return Steps(value[last], np.cumsum(weight * (label == 1))[last], np.cumsum(weight * (label == 0))[last])


def roc(score: F64, label: I8, weight: F64 | None = None) -> tuple[F64, F64]:
    """Return false-alarm rate and recall, from (0, 0) to (1, 1); empty without both kinds of labels."""
    made = steps(score, label, weight)
    if not len(made.hit) or not made.hit[-1] or not made.false[-1]:
        return np.empty(0), np.empty(0)
    return np.append(0.0, made.false / made.false[-1]), np.append(0.0, made.hit / made.hit[-1])


def roc_auc(score: F64, label: I8, weight: F64 | None = None) -> float:
    """Return the chance that an anomaly scores above a usual case, ties counted half; NaN without both kinds.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], np.int8))
    0.75
    """
    false_rate, recall = roc(score, label, weight)
    return float(np.trapezoid(recall, false_rate)) if len(recall) else float("nan")


def precision_recall(score: F64, label: I8, weight: F64 | None = None) -> tuple[F64, F64, F64]:
    """Return precision, recall and the score at or above which they hold, from the highest score down."""
    made = steps(score, label, weight)
    if not len(made.hit) or not made.hit[-1]:
        return np.empty(0), np.empty(0), np.empty(0)
    return made.hit / np.maximum(made.hit + made.false, 1e-300), made.hit / made.hit[-1], made.score


def pr_auc(score: F64, label: I8, weight: F64 | None = None) -> float:
    """Return the average precision: Σ (recall step × precision), without interpolation; NaN without an anomaly.

    Davis and Goadrich, ICML 2006 (doi 10.1145/1143844.1143874): straight lines between points would be too good.
    """
    precision, recall, _ = precision_recall(score, label, weight)
    return float(np.diff(recall, prepend=0.0) @ precision) if len(recall) else float("nan")


def oracle(score: F64, label: I8, weight: F64 | None = None) -> tuple[float, float]:
    """Return the best F1 of any threshold, and the score at or above which it calls odd: hindsight, no result."""
    made = steps(score, label, weight)
    if not len(made.hit) or not made.hit[-1]:
        return float("nan"), float("nan")
    f1 = 2 * made.hit / (made.hit + made.false + made.hit[-1])
    best = int(f1.argmax())
    return float(f1[best]), float(made.score[best])


def false_alarms_a_day(odd: Bool, label: I8, start_us: I64, end_us: I64) -> float:
    """Return how many usual cases a day were called odd; NaN without times."""
    span = (int(end_us.max()) - int(start_us.min())) / US_PER_DAY if len(start_us) else 0.0
    return _share(float((odd & (label == 0)).sum()), span)


def by_pattern(score: F64, odd: Bool, label: I8, pattern: U64) -> tuple[I64, F64]:
    """Return how many patterns were shown, and the recall they bring, the most pressing first.

    Cases called odd are grouped by their pattern; patterns come by their highest score. A pattern brings the
    anomalous cases that it holds: whoever looks at one of them has seen them all.
    """
    anomalies = (label == 1).sum()
    alerts = np.flatnonzero(odd)
    if not len(alerts) or not anomalies:
        return np.zeros(1, np.int64), np.zeros(1)
    order = alerts[np.argsort(-np.nan_to_num(score[alerts], nan=-np.inf), kind="stable")]
    _, first, inverse = np.unique(pattern[order], return_index=True, return_inverse=True)
    brings = np.bincount(inverse, label[order] == 1)[np.argsort(first)]
    return np.arange(len(first) + 1), np.append(0.0, np.cumsum(brings) / anomalies)


def by_day(score: F64, odd: Bool, label: I8, pattern: U64, day: I64) -> tuple[I64, I64]:
    """Return the rank [x] of each pattern among those first odd on the same day, and the anomalies that it holds.

    Ranks count from 0, the highest score of that day first. A pattern holds the anomalous cases that are odd, of its
    first day and of later ones.
    """
    alerts = np.flatnonzero(odd)
    if not len(alerts):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    _, inverse = np.unique(pattern[alerts], return_inverse=True)
    n = int(inverse.max()) + 1
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, inverse, day[alerts])
    value = np.nan_to_num(score[alerts], nan=-np.inf)
    top = np.full(n, -np.inf)
    on_first = day[alerts] == first[inverse]
    np.maximum.at(top, inverse[on_first], value[on_first])
    brings = np.bincount(inverse, label[alerts] == 1, minlength=n).astype(np.int64)
    order = np.lexsort((-top, first))
    begins = np.searchsorted(first[order], first[order])
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n) - begins
    return rank, brings


def distinct(alike: U64, label: I8) -> I64:
    """Return the first case of each distinct content and label: what is left when duplicates count once."""
    pairs = np.stack([alike, label.astype(np.int64).astype(np.uint64)])
    return np.sort(np.unique(pairs, axis=1, return_index=True)[1]).astype(np.int64)


def top(ranked: list[tuple[str, ...]], truth: list[str], k: int) -> float:
    """Return the share of cases whose true name is among the first `k` named; NaN without cases.

    >>> top([("db", "web"), ("web",)], ["web", "db"], 1), top([("db", "web"), ("web",)], ["web", "db"], 3)
    (0.0, 0.5)
    """
    return _share(sum(name in names[:k] for names, name in zip(ranked, truth, strict=True)), len(truth))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
