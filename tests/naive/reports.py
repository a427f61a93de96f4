"""Slow, obvious twins of what a report computes."""

from __future__ import annotations

import math


def without_slow(series, half):
    """Each value less the mean of those at most `half` places away, itself among them; None is left out."""
    result = []
    for i, value in enumerate(series):
        near = [other for other in series[max(i - half, 0) : i + half + 1] if other is not None]
        result.append(None if value is None else value - sum(near) / len(near))
    return result


def pearson(pairs):
    """Pearson's r of pairs of numbers."""
    n = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return covariance / math.sqrt(sum((x - mean_x) ** 2 for x, _ in pairs) * sum((y - mean_y) ** 2 for _, y in pairs))


def lagged_pairs(x, y, lag):
    """Pairs of x at each place and y `lag` places later, where there are both."""
    return [(x[i], y[i + lag]) for i in range(len(x)) if 0 <= i + lag < len(y) and y[i + lag] is not None]


def area_under_roc(score, anomalous):
    """The share of pairs of an anomaly and a usual one in which the anomaly scores higher; a tie is half."""
    odd = [s for s, a in zip(score, anomalous, strict=True) if a]
    usual = [s for s, a in zip(score, anomalous, strict=True) if not a]
    wins = sum((o > u) + 0.5 * (o == u) for o in odd for u in usual)
    return wins / (len(odd) * len(usual))
