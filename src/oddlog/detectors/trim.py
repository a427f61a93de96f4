"""Leave out of the training windows what is probably an anomaly.

A novelty detector takes whatever repeats for usual, anomalies included: with HDFS's 3 % of anomalies left in,
the ROC AUC of the nearest neighbour falls from .9998 to .50-.76, that of all members together to .89-.94; with
them trimmed it is .998. Rare is not the mark of an anomaly, for usual rare windows are *near* many others. So
the measure is how far one has to go from a window to meet a given share of all windows::

    usual, frequent    o o o o o        near: the others are like it
    usual, rare          x              near: one event more than many others
    anomaly, repeated                a a a a    far: its like are too few to make up the share
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.detectors.distance import Yardstick
from oddlog.features.counts import Counts, counts
from oddlog.types import F32, F64, I8, Bool, Context, Windows

SHARE = 0.05
"""Share of all windows that must be met. Anomalies that look alike and make up more pass for usual."""
MAX_SHARE = 0.1
"""Largest share of the windows that may be trimmed; beyond it the logs are varied rather than contaminated."""
MIN_SHARE = 0.005
"""Share of far windows from which they are trimmed. Usual logs have odd windows that repeat, too (0.3 % of HDFS's
usual sessions lie as far as its anomalies); without them in training each one met later is a false alarm. Set after
looking at HDFS, between those 0.3 % and the 0.5 % that are far once 0.2 % of anomalies are mixed in."""
STRETCH = 1.5
"""How much farther than the nearest 1 - `MAX_SHARE` of the windows a usual one may lie."""
MAX_REFERENCES = 1_000
"""Distinct windows that distances are taken to: those that stand for most windows."""
BLOCK = 1 << 20
"""Cells of a block of distances."""


@dataclass(frozen=True)
class Trimmed:
    """What was trimmed.

    Attributes
    ----------
    windows : float
        Weight of all windows.
    far : float
        Weight of those beyond the cut, whether left out or, being few, kept.
    trimmed : float
        Weight of those left out.
    distinct, distinct_trimmed : int
        Distinct rows of counts, and how many of them were left out altogether.
    cut : float
        The distance beyond which a window is far.

    """

    windows: float
    far: float
    trimmed: float
    distinct: int
    distinct_trimmed: int
    cut: float

    @property
    def share(self) -> float:
        """Share of the windows that was left out."""
        return self.trimmed / self.windows if self.windows else 0.0

    def __str__(self) -> str:
        if not self.far and not self.trimmed:
            return f"none of {self.windows:,.0f} windows is so unlike the others that it was left out of training"
        if not self.trimmed:
            return (
                f"{self.far:,.0f} of {self.windows:,.0f} windows ({self.far / self.windows:.1%}) are unlike the "
                "others; so few may be usual, all were learned from"
            )
        return (
            f"{self.trimmed:,.0f} of {self.windows:,.0f} windows ({self.share:.1%}; {self.distinct_trimmed:,} of "
            f"{self.distinct:,} distinct) were left out of training: too unlike the others"
        )


def trim(windows: Windows, context: Context, labels: I8 | None = None) -> tuple[Bool, Trimmed]:
    """Say which windows to learn from.

    A window's distance is the smallest one within which windows of `SHARE` of the whole weight lie (the k-th
    nearest neighbour of Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data
    sets", SIGMOD 2000, section 2, doi 10.1145/342009.335437, with k counted in windows and the distance of
    `distance.Yardstick`). It is left out beyond the cut: `STRETCH` x the 90 % quantile of all distances, and at
    least ``ln(1 / SHARE)``, what one type held by fewer than `SHARE` of the windows adds. If less than
    `MIN_SHARE` of the weight lies beyond the cut, nothing is left out.

    Parameters
    ----------
    windows : Windows
        [w]
    context : Context
        That of the model.
    labels : I8 [w], optional
        Windows labelled usual (0) are kept, those labelled anomalous (1) left out; -1 is for the rule to say.

    Returns
    -------
    keep : Bool [w]
        True where the window may be learned from.
    Trimmed
        How much was left out.

    """
    if len(windows) == 0:
        return np.ones(0, np.bool_), Trimmed(0.0, 0.0, 0.0, 0, 0, 0.0)
    found = counts(windows, len(context.templates))
    distance = _distance_to_share(found, SHARE)
    cut = _cut(distance, found.weight)
    near = distance <= cut
    far = float(found.weight[~near].sum())
    if far < MIN_SHARE * found.weight.sum():
        near = np.ones(len(found), np.bool_)
    keep = near[found.inverse]
    if labels is not None:
        keep = np.where(labels < 0, keep, labels == 0)
    kept_rows = np.unique(found.inverse[keep])
    return keep, Trimmed(
        float(windows.weight.sum()),
        far,
        float(windows.weight[~keep].sum()),
        len(found),
        len(found) - len(kept_rows),
        cut,
    )


def _distance_to_share(found: Counts, share: float) -> F64:
    """Return the distance within which `share` of the weight lies, of each row [r]."""
    yardstick = Yardstick.fit(found)
    reference = found.heaviest(MAX_REFERENCES)
    room = share * reference.weight.sum()
    result = np.empty(len(found))
    step = max(1, BLOCK // max(len(reference), found.columns.width))
    for start in range(0, len(found), step):
        distance = yardstick.to_each(found, start, min(start + step, len(found)), reference)
        result[start : start + step] = _weighted_smallest(distance, reference.weight, room)
    return result


def _weighted_smallest(distance: F32, weight: F64, room: float) -> F64:
    """Return the smallest distance of each row [b, r] within which `room` of the weight [r] lies."""
    most = min(int(np.ceil(room / weight.min())), len(weight))  # no row needs more of its nearest than this
    nearest = np.argpartition(distance, most - 1, axis=1)[:, :most]
    away = np.take_along_axis(distance, nearest, axis=1)
    order = np.argsort(away, axis=1, kind="stable")
    reached = np.cumsum(weight[np.take_along_axis(nearest, order, axis=1)], axis=1)
    at = (reached >= room * (1 - 1e-12)).argmax(1)[:, None]  # the room for rounding
    return np.take_along_axis(np.take_along_axis(away, order, axis=1), at, axis=1)[:, 0].astype(np.float64)


def _cut(distance: F64, weight: F64) -> float:
    """Return the distance beyond which rows are left out; at most `MAX_SHARE` of the weight lies there."""
    order = np.argsort(distance, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    usual = distance[order[np.searchsorted(reached, 1 - MAX_SHARE)]]
    return float(max(STRETCH * usual, np.log(1 / SHARE)))
