"""Slow, obvious twins of calibration and thresholds."""

from __future__ import annotations

from collections.abc import Sequence


def survival(usual: Sequence[float], score: float) -> float:
    """Return the smoothed share of usual scores that are as high."""
    return min(1.0, (sum(x >= score for x in usual) + 0.5) / (len(usual) + 1))


def f1_above(scores: Sequence[float], labels: Sequence[int], threshold: float) -> float:
    """Return F1 of "above the threshold is an anomaly"."""
    hit = sum(s > threshold and y == 1 for s, y in zip(scores, labels, strict=True))
    called = sum(s > threshold for s in scores)
    return 2 * hit / (called + sum(y == 1 for y in labels))


def rolling_quantile(initial: Sequence[float], scores: Sequence[float], q: float, size: int) -> list[float]:
    """Return the threshold of each score: the quantile of the `size` scores before it."""
    seen, thresholds = list(initial), []
    for score in scores:
        last = sorted(seen[-size:])
        # the smallest value that at least a share q does not exceed
        thresholds.append(next(x for i, x in enumerate(last) if i + 1 >= q * len(last) - 1e-9))
        seen.append(score)
    return thresholds
