"""Windows as sequences for networks: cut into pieces, put into batches of like length, padded and masked.

A window of 100,000 events is many pieces, a window of one event is one; memory is bounded by the batch, not by
the longest window::

    window 0   e0 e1 e2 e3 e4 e5 e6      most = 4, warm = 1
    piece 0    e0 e1 e2 e3               all four are scored
    piece 1             e3 e4 e5 e6      e3 is only there to warm up, three are scored
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oddlog.features.hashing import GOLDEN, mix, places, sums_of
from oddlog.types import CLOSED_BY, F32, F64, I64, Bool, Windows

MAX_PIECES = 1_024
"""Pieces of one batch."""
MAX_CELLS = 1 << 16
"""Steps of one batch, padding included: fused vectors exist for so many events at a time."""
FEWEST_APART = 20
"""Windows from which on some are kept apart to decide when training stops."""
ENDED = tuple(CLOSED_BY.index(how) for how in ("end", "idle", "rest"))
"""How a window is closed that is over: nothing more is to come, and that its last step is the last means something."""


@dataclass(frozen=True)
class Pieces:
    """Stretches of windows, none longer than a network is to see at once.

    Attributes
    ----------
    window : I64 [x]
        The window each piece is of, ascending.
    start, stop : I64 [x]
        Its events.
    fresh : I64 [x]
        Its first event that is scored; those before it only warm up.
    last : Bool [x]
        Whether its window ends with it.

    """

    window: I64
    start: I64
    stop: I64
    fresh: I64
    last: Bool

    def __len__(self) -> int:
        return len(self.window)

    @property
    def length(self) -> I64:
        """Events of each piece [x]."""
        return self.stop - self.start

    def take(self, index: I64) -> Pieces:
        """Return the pieces at `index` [y], in that order."""
        return Pieces(self.window[index], self.start[index], self.stop[index], self.fresh[index], self.last[index])


def ended(windows: Windows) -> Bool:
    """Return which windows are over [w]; the others were cut off by their bounds, a limit, or the input."""
    over: Bool = np.isin(windows.closed_by, ENDED)
    return over


def pieces(offsets: I64, most: int, warm: int = 0) -> Pieces:
    """Cut each window into pieces of at most `most` events, `warm` of them seen before (see the drawing above).

    A window without events is one piece without events.

    >>> found = pieces(np.array([0, 7, 7, 8]), 4, warm=1)
    >>> found.window.tolist(), found.start.tolist(), found.fresh.tolist(), found.stop.tolist()
    ([0, 0, 1, 2], [0, 3, 7, 7], [0, 4, 7, 7], [4, 7, 7, 8])
    """
    length = np.diff(offsets)
    step = most - warm
    n = 1 + np.maximum(-(-(length - most) // step), 0)
    window = np.repeat(np.arange(len(length)), n)
    rank = np.arange(len(window)) - np.repeat(np.cumsum(n) - n, n)
    first, end = offsets[:-1][window], offsets[1:][window]
    start = first + rank * step
    fresh = np.where(rank > 0, start + warm, first)
    return Pieces(window, start, np.minimum(start + most, end), fresh, rank == n[window] - 1)


def batches(length: I64, most: int = MAX_PIECES, cells: int = MAX_CELLS) -> Iterator[I64]:
    """Return the positions [b] of each batch: pieces of like length stand together, so that little is padding."""
    order = np.argsort(length, kind="stable")
    start = 0
    while start < len(order):
        stop = min(start + most, len(order))
        longest = np.maximum(length[order[start:stop]], 1)  # ascending: the last is the width of the batch
        fits = int((longest * np.arange(1, stop - start + 1) <= cells).sum())
        stop = start + max(fits, 1)
        yield order[start:stop]
        start = stop


def grid(start: I64, length: I64, width: int) -> tuple[I64, Bool]:
    """Return the event at each step of a batch [b, t], and which steps are events and not padding [b, t]."""
    step = np.arange(width)
    real = step < length[:, None]
    return np.where(real, start[:, None] + step, 0), real


def mean_of_top(values: F64, offsets: I64, top: int) -> F64:
    """Return the mean of the `top` highest values of each stretch [w], of fewer where there are fewer; NaN for none.

    >>> mean_of_top(np.array([1.0, 5.0, 3.0, 3.0, 2.0]), np.array([0, 4, 4, 5]), 2).tolist()
    [4.0, nan, 2.0]
    """
    length = np.diff(offsets)
    found: F64
    stretch = np.repeat(np.arange(len(length)), length)
    if top >= length.max(initial=0):  # of all, whatever their order: sorting a million takes .3 s
        found = np.full(len(length), np.nan)
        np.divide(np.bincount(stretch, values, minlength=len(length)), length, out=found, where=length > 0)
        return found
    order = np.lexsort((-values, stretch))
    rank = np.arange(len(values)) - np.repeat(offsets[:-1], length)
    kept = rank < top
    total = np.bincount(stretch[kept], values[order][kept], minlength=len(length))
    found = np.full(len(length), np.nan)
    np.divide(total, np.minimum(length, top), out=found, where=length > 0)
    return found


def alike(token: I64, offsets: I64, mark: I64) -> tuple[I64, I64]:
    """Return the first of the windows that hold the same tokens in the same order [u], and each one's place there [w].

    Parameters
    ----------
    token : I64 [e]
        What is compared of each event.
    offsets : I64 [w + 1]
        Where windows begin.
    mark : I64 [w]
        What is compared of each window besides.

    """
    with np.errstate(over="ignore"):
        part = mix(token.astype(np.uint64) * GOLDEN + mix(places(offsets)))
        hashes = mix(sums_of(part, offsets)) + mix(mark.astype(np.uint64))
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64)


def sampled(weight: F64, most: int, seed: int) -> I64:
    """Return at most `most` positions, ascending: half of them the heaviest, so that nothing common becomes unknown."""
    if len(weight) <= most:
        return np.arange(len(weight))
    heavy = np.argsort(-weight, kind="stable")[: most // 2]
    rest = np.setdiff1d(np.arange(len(weight)), heavy)
    drawn = np.random.default_rng(seed).permutation(rest)[: most - len(heavy)]
    return np.sort(np.concatenate([heavy, drawn]))


def held_back(windows: Windows, share: float = 0.15) -> tuple[I64, I64]:
    """Return the windows to learn from [x] and those of the last `share` of the time [y], which decide when to stop.

    Of fewer than 20 windows all do both.
    """
    order = np.lexsort((windows.end, windows.start))
    if len(order) < FEWEST_APART:
        return order, order
    cut = round(len(order) * (1 - share))
    return np.sort(order[:cut]), np.sort(order[cut:])


def with_ends(event: F32, end: F64, windows: Windows) -> tuple[F64, I64]:
    """Return each window's steps one after the other, its end behind them where one is due, and where they begin."""
    due = ~np.isnan(end)
    offsets = np.concatenate([[0], np.cumsum(windows.lengths + due)])
    steps = np.empty(offsets[-1])
    shift = np.repeat(offsets[:-1] - windows.offsets[:-1], windows.lengths)
    steps[np.arange(len(event)) + shift] = event
    steps[offsets[1:][due] - 1] = end[due]
    return steps, offsets


def distinct_pieces(
    windows: Windows, first: I64, inverse: I64, most: int, seed: int, cut: tuple[int, int]
) -> tuple[Windows, Pieces, F64]:
    """Return the windows that differ, their pieces, and the square root of what each piece's windows weigh.

    Parameters
    ----------
    windows : Windows
        [w]
    first, inverse : I64
        As `alike` returns them.
    most : int
        Windows, and pieces, at most; see `sampled`.
    seed : int
        Of what is left out.
    cut : tuple of int
        Events of a piece, and those that only warm up.

    """
    weight: F64 = np.bincount(inverse, windows.weight, minlength=len(first)).astype(np.float64)
    kept = sampled(weight, most, seed)
    distinct, weight = windows.take(first[kept]), np.sqrt(weight[kept]).astype(np.float64)
    found = pieces(distinct.offsets, *cut)
    found = found.take(sampled(weight[found.window], most, seed))
    return distinct, found, weight[found.window]


def spread(event: F32, distinct: Windows, inverse: I64, windows: Windows) -> F32:
    """Return for each event of all windows [e] what belongs to its place in the distinct window that is like it."""
    rank = np.arange(len(windows.template)) - np.repeat(windows.offsets[:-1], windows.lengths)
    found: F32 = event[distinct.offsets[inverse][windows.window_of_event] + rank]
    return found
