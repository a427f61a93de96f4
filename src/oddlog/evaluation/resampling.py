"""How far figures would swing on other data of the same kind: sessions, runs or stretches of time drawn anew.

Seeds tell how a method swings on *these* data, which is another question, and a smaller one.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 6.4 and 13.3 (percentile intervals); blocks
for what is not independent in time: Künsch, Annals of Statistics 17, 1989 (doi 10.1214/aos/1176347265), here without
overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import F64, I8, I64, Bool

RESAMPLES = 1_000
AUC_RESAMPLES = 200  # each sorts nothing anew, but sums over all cases
LEVEL = 0.95
BLOCKS = 50  # stretches of time that a stream of windows is cut into
AT_ONCE = 2_000_000  # draws held in memory


def time_blocks(start: I64, n: int = BLOCKS) -> I64:
    """Return the stretch [w] that each window stands in: as many windows in each, in order of time."""
    block = np.empty(len(start), np.int64)
    block[np.argsort(start, kind="stable")] = np.arange(len(start)) * n // max(len(start), 1)
    return block


def cells_of(odd: Bool, label: I8, weight: F64, block: I64) -> F64:
    """Return the weight of hits, misses, false alarms and passes of each block [g, 4]."""
    anomalous, usual = label == 1, label == 0
    masks = (odd & anomalous, ~odd & anomalous, odd & usual, ~odd & usual)
    n = int(block.max(initial=-1)) + 1
    return np.stack([np.bincount(block, weight * mask, minlength=n) for mask in masks], axis=1)


def f1_of(sums: F64) -> F64:
    """Return F1 of hits, misses, false alarms (and passes) in the last axis; 0 where nothing is anomalous or odd."""
    hit, missed, false = sums[..., 0], sums[..., 1], sums[..., 2]
    return 2 * hit / np.maximum(2 * hit + missed + false, 1e-300)


def f1_interval(odd: Bool, label: I8, weight: F64, block: I64, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of F1 when blocks [w] (a session each, or a stretch of time) are drawn anew."""
    cells = cells_of(odd, label, weight, block)
    # Blocks alike are one kind: a session is a hit, a miss, a false alarm or a pass, and nothing else tells them apart.
    kinds, n = np.unique(cells, axis=0, return_counts=True)
    if not len(kinds):
        return float("nan"), float("nan")
    draw = np.random.default_rng(seed)
    drawn = draw.multinomial(int(n.sum()), n / n.sum(), size=RESAMPLES)
    return _interval(f1_of(drawn @ kinds))


def auc_interval(score: F64, label: I8, weight: F64, block: I64, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of ROC AUC when blocks [w] are drawn anew."""
    kept = label >= 0
    value = np.where(np.isnan(score), -np.inf, score)[kept]
    _, rank = np.unique(value, return_inverse=True)
    draw = np.random.default_rng(seed)
    numbers, of = np.unique(block[kept], return_inverse=True)
    found = []
    for _ in range(AUC_RESAMPLES if len(numbers) > 1 else 0):
        drawn = np.bincount(draw.integers(len(numbers), size=len(numbers)), minlength=len(numbers))[of] * weight[kept]
        usual, odd = (np.bincount(rank, drawn * (label[kept] == one)) for one in (0, 1))
        if usual.sum() and odd.sum():
            found.append(odd @ (np.cumsum(usual) - usual / 2) / (usual.sum() * odd.sum()))
    return _interval(np.array(found)) if found else (float("nan"), float("nan"))


def f1_difference(
    one: Bool, other: Bool, label: I8, weight: F64, block: I64, seed: int = 0
) -> tuple[float, float, float]:
    """Return how much higher F1 of the first is than that of the other, and its 95 % interval: both see one draw."""
    cells = np.concatenate([cells_of(odd, label, weight, block) for odd in (one, other)], axis=1)
    kinds, n = np.unique(cells, axis=0, return_counts=True)
    if not len(kinds):
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).multinomial(int(n.sum()), n / n.sum(), size=RESAMPLES) @ kinds
    seen = cells.sum(axis=0)
    low, high = _interval(f1_of(drawn[:, :4]) - f1_of(drawn[:, 4:]))
    return float(f1_of(seen[:4]) - f1_of(seen[4:])), low, high


@dataclass(frozen=True)
class Paired:
    """What two detectors said of the same cases, under one seed.

    Attributes
    ----------
    unit : pl.Series [g]
        What may be swapped, by a name that is the same under every seed: a session, or a stretch of time.
    one, other : F64 [g, 4]
        Hits, misses, false alarms and passes of each detector; see `cells_of`.

    """

    unit: pl.Series
    one: F64
    other: F64


def paired_test(one: Bool, other: Bool, label: I8, weight: F64, block: I64, seed: int = 0) -> float:
    """Return the p-value (two-sided) of the difference in F1 between two detectors that judged the same cases.

    Whoever gave which verdict of a block is drawn anew: if neither is better, that changes nothing. Yeh, "More
    accurate tests for the statistical significance of result differences", COLING 2000, section 3.3
    (arXiv cs/0008005).
    """
    cells = [cells_of(odd, label, weight, block) for odd in (one, other)]
    return pooled_test([Paired(pl.Series(np.arange(len(cells[0]))), *cells)], seed)


def pooled_test(pairs: Sequence[Paired], seed: int = 0) -> float:
    """Return the p-value (two-sided) of the mean difference in F1 over several seeds, as `paired_test` of one.

    Seeds judge the same cases again, and are no new ones: a case that several of them judge is one unit, whose
    verdicts are swapped in all of them at once or in none. So what is tested is the difference on these cases after
    these draws of what is learned from; five seeds are no five times the evidence. Whole units that hang together are
    what is permuted: Gail et al., "On design considerations and randomization-based inference for community
    intervention trials", Statistics in Medicine 15, 1996.
    """
    units = pl.concat([pair.unit.cast(pl.String) for pair in pairs]).unique().sort()
    change = np.zeros((len(units), len(pairs), 4))
    for i, pair in enumerate(pairs):
        change[units.search_sorted(pair.unit.cast(pl.String)).to_numpy(), i] = pair.other - pair.one
    change = change[change.any(axis=(1, 2))]
    if not len(change):
        return 1.0
    one, other = (np.stack([getattr(pair, name).sum(axis=0) for pair in pairs]) for name in ("one", "other"))
    seen = abs(float((f1_of(one) - f1_of(other)).mean()))
    draw = np.random.default_rng(seed)
    reached = done = 0
    while done < RESAMPLES:
        n = min(RESAMPLES - done, max(AT_ONCE // len(change), 1))
        moved = (draw.integers(2, size=(n, len(change))) @ change.reshape(len(change), -1)).reshape(n, -1, 4)
        found = np.abs((f1_of(one + moved) - f1_of(other - moved)).mean(axis=1))
        reached += int((found >= seen - 1e-12).sum())
        done += n
    return (reached + 1) / (RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are: Holm, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factor = np.arange(len(p_values), 0, -1)
    raised = np.minimum(np.maximum.accumulate(np.asarray(p_values, np.float64)[order] * factor), 1.0)
    corrected = np.empty(len(p_values))
    corrected[order] = raised
    return [round(float(p), 12) for p in corrected]


def _interval(values: F64) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
