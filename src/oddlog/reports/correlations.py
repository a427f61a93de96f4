"""Which service's activity goes along with which errors and which measured numbers, and how much later.

A correlation, never a cause. Series of counts drift and repeat by the hour, and any two that do so correlate; so the
slow part is taken away first, and what is left must be stronger than in series whose blocks were put in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.types import F64

FEWEST = 60  # intervals that a correlation is computed from, at least
SLOW = 30  # intervals before and after, whose mean is the slow part
MOST_LAG = 15  # intervals
ROUNDS = 99
TINY = 1e-12


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of activity `cause`-free: row `activity` with row `other`, which lies `lag` intervals later."""

    activity: int
    other: int
    lag: int
    r: float
    n: int


def lagged(activity: F64, others: F64, *, seed: int = 0, most_lag: int = MOST_LAG) -> list[Correlation]:
    """Return the pairs that go along with each other, the strongest first.

    Parameters
    ----------
    activity : F64 [s, t]
        Counts of each series in each interval.
    others : F64 [o, t]
        What they may go along with; NaN where nothing was measured.
    seed : int
        Of the order of blocks.
    most_lag : int
        Intervals that the other may be later (or earlier).

    Returns
    -------
    list of Correlation
        Pairs whose strongest r over all lags is beyond that of every pair in each of `ROUNDS` series of shuffled
        blocks: a family-wise chance of 1 in 100 (Westfall and Young 1993, max-T).

    """
    if activity.shape[1] < FEWEST or not len(activity) or not len(others):
        return []
    fast, fast_others = without_slow(activity), without_slow(others)
    lags = np.arange(-most_lag, most_lag + 1)
    shifted = _shifted(fast_others, lags)
    r, n = _pearson(fast, shifted)
    draw = np.random.default_rng(seed)
    beyond = max((np.abs(_pearson(_shuffled(fast, draw), shifted)[0]).max() for _ in range(ROUNDS)), default=1.0)
    best = np.abs(r).argmax(axis=1)  # [s, o]
    found = [
        Correlation(i, j, int(lags[best[i, j]]), float(r[i, best[i, j], j]), int(n[i, best[i, j], j]))
        for i, j in np.ndindex(best.shape)
        if abs(r[i, best[i, j], j]) > beyond
    ]
    return sorted(found, key=lambda one: (-abs(one.r), one.activity, one.other))


def without_slow(series: F64) -> F64:
    """Return series [s, t] less their moving mean over an hour of minutes; NaN is left out and stays."""
    there = np.isfinite(series)
    total, n = (np.cumsum(np.pad(x, ((0, 0), (1, 0))), axis=1) for x in (np.where(there, series, 0.0), there))
    at = np.arange(series.shape[1])
    low, high = np.maximum(at - SLOW, 0), np.minimum(at + SLOW + 1, series.shape[1])
    mean = (total[:, high] - total[:, low]) / np.maximum(n[:, high] - n[:, low], 1)
    return np.where(there, series - mean, np.nan)


def _shifted(series: F64, lags: np.ndarray) -> F64:
    """Return [lags, o, t]: at time t what `series` is `lag` intervals later; NaN beyond its ends."""
    t = series.shape[1]
    result = np.full((len(lags), *series.shape), np.nan)
    for i, lag in enumerate(lags.tolist()):
        start, end = max(-lag, 0), min(t - lag, t)
        result[i, :, start:end] = series[:, start + lag : end + lag]
    return result


def _pearson(x: F64, shifted: F64) -> tuple[F64, F64]:
    """Return r and n [s, lags, o] over the intervals where both are measured; r = 0 where that says nothing."""
    lags, o, t = shifted.shape
    flat = shifted.reshape(lags * o, t)
    there = np.isfinite(flat).astype(np.float64)
    y = np.where(there > 0, flat, 0.0)
    n = np.broadcast_to(there.sum(axis=1), (len(x), lags * o))
    sum_x, sum_xx, sum_xy = x @ there.T, (x * x) @ there.T, x @ y.T
    sum_y, sum_yy = y.sum(axis=1), (y * y).sum(axis=1)
    some = np.maximum(n, 1.0)
    var_x = np.maximum(sum_xx - sum_x**2 / some, 0.0)
    var_y = np.maximum(sum_yy - sum_y**2 / some, 0.0)
    scale = np.sqrt(var_x * var_y)
    says = (n >= FEWEST) & (var_x > TINY * some) & (var_y > TINY * some)
    r = np.where(says, (sum_xy - sum_x * sum_y / some) / np.where(says, scale, 1.0), 0.0)
    return r.reshape(len(x), lags, o), n.reshape(len(x), lags, o)


def _shuffled(series: F64, draw: np.random.Generator) -> F64:
    """Return series [s, t] with their blocks of `SLOW` intervals in another order, the same for all."""
    t = series.shape[1]
    blocks = draw.permutation(-(-t // SLOW))
    at = (blocks[:, None] * SLOW + np.arange(SLOW)).ravel()
    return series[:, at[at < t]]
