"""Scores and verdicts against labels: the usual figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.types import F64, I8, Bool


@dataclass(frozen=True)
class Judged:
    """Verdicts of labelled windows, or lines.

    Attributes
    ----------
    found, missed, false_alarms, passed : int
        Anomalous windows called odd and not; usual ones called odd and not.
    false_rate, recall : F64 [x]
        The receiver operating characteristic, from (0, 0) to (1, 1); empty without both kinds of labels.
    auc : float
        Area under it; NaN without both kinds.

    """

    found: int
    missed: int
    false_alarms: int
    passed: int
    false_rate: F64
    recall: F64
    auc: float

    @property
    def n(self) -> int:
        """How many windows have a label."""
        return self.found + self.missed + self.false_alarms + self.passed

    @property
    def accuracy(self) -> float:
        """Share of what has a label that was called what it is."""
        return _share(self.found + self.passed, self.missed + self.false_alarms)

    @property
    def precision(self) -> float:
        """Share of what was called odd that is anomalous; NaN if nothing was."""
        return _share(self.found, self.false_alarms)

    @property
    def found_share(self) -> float:
        """Recall: share of what is anomalous that was called odd."""
        return _share(self.found, self.missed)

    @property
    def false_share(self) -> float:
        """Share of what is usual that was called odd."""
        return _share(self.false_alarms, self.passed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.found, self.missed + self.false_alarms)


def judged(score: F64, odd: Bool, label: I8) -> Judged:
    """Return how well verdicts agree with labels: of scores, verdicts and labels (0 or 1) [w]."""
    anomalous = label == 1
    false_rate, recall, auc = _roc(score, anomalous)
    return Judged(
        found=int((odd & anomalous).sum()),
        missed=int((~odd & anomalous).sum()),
        false_alarms=int((odd & ~anomalous).sum()),
        passed=int((~odd & ~anomalous).sum()),
        false_rate=false_rate,
        recall=recall,
        auc=auc,
    )


def _roc(score: F64, anomalous: Bool) -> tuple[F64, F64, float]:
    """Return the curve and the area under it; windows of one score are one step (Fawcett 2006, algorithm 2)."""
    if anomalous.all() or not anomalous.any():
        return np.empty(0), np.empty(0), float("nan")
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last_of_step = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
    hits = np.cumsum(anomalous[order])[last_of_step]
    recall = np.append(0.0, hits / anomalous.sum())
    false_rate = np.append(0.0, (last_of_step + 1 - hits) / (~anomalous).sum())
    return false_rate, recall, float(np.trapezoid(recall, false_rate))


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest else float("nan")
