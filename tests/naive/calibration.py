"""Slow, obvious twins of calibration and thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence


def survival(usual: Sequence[float], score: float) -> float:
    """Return the smoothed share of usual scores that are as high."""
    return min(1.0, (sum(x >= score for x in usual) + 0.5) / (len(usual) + 1))


def f1_above(scores: Sequence[float], labels: Sequence[int], threshold: float) -> float:
    """Return F1 of "above the threshold is an anomaly"."""
    hit = sum(s > threshold and y == 1 for s, y in zip(scores, labels, strict=True))
    called = sum(s > threshold for s in scores)
    return 2 * hit / (called + sum(y == 1 for y in labels))


def rolling_thresholds(
    usual: Sequence[float], learned: float, blocks: Sequence[Sequence[float]], size: int, most: int
) -> list[float]:
    """Return the threshold of each block of scores (-log10 p), and that of the block behind them."""
    body = min(1.0, learned / 2)

    def shares(scores: Sequence[float], threshold: float) -> list[float]:
        """Return, for each window that is not odd: those above the body, their excess, and odd ones."""
        others = [x for x in scores if x <= threshold]
        above = [x - body for x in others if x > body]
        return [len(above) / len(others), sum(above) / len(others), (len(scores) - len(others)) / len(others)]

    now, first, mean, thresholds = learned, [], [], []
    rolls = sum(body < x <= learned for x in usual) / len(usual) >= 0.01
    for block in blocks:
        thresholds.append(now)
        n = sum(x <= now for x in block)
        if not (rolls and n) or sum(x > learned for x in block) > 0.1 * len(block):
            continue
        if not mean:
            first.append(block)
            every = [x for one in first for x in one]
            if len(first) >= most and sum(x <= learned for x in every) >= size / 4 and shares(every, learned)[0]:
                begun = mean = shares(every, learned)
        elif begun[0] >= 0.01:
            weight = min(n / size, 1 / most)
            mean = [old + weight * (new - old) for old, new in zip(mean, shares(block, now), strict=True)]
            odd = min(mean[2], begun[2], mean[0] * begun[2] / begun[0])
            slope = (mean[1] + odd * (now - body)) / mean[0]
            usual_slope = (begun[1] + begun[2] * (learned - body)) / begun[0]
            more = math.log((mean[0] + odd) / (begun[0] + begun[2]))
            now = min(max(body + slope * (more + (learned - body) / usual_slope), learned - 1, body), learned + 1)
    return [*thresholds, now]
