"""Whole windows, for detectors that read more than how often each type stands in them.

Windows alike in their counts differ in order, times and numbers, so nothing can be merged here: what bounds the memory
is a draw. It is uniform, and the same whatever the order in which the windows come.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from oddlog.pipeline.learning.distinct import MOST_EVENTS, MOST_WINDOWS, drawn
from oddlog.types import I8, I64, U64, Windows


@dataclass(frozen=True)
class Whole:
    """Windows as they were.

    Attributes
    ----------
    windows : Windows
        In order of time.
    label : I8 [w]
        0 usual, 1 anomalous, -1 unknown.
    fold : I64 [w]
        Stretch of time each stands in.
    sampled_from : int
        Windows there were, if not all were taken.

    """

    windows: Windows
    label: I8
    fold: I64
    sampled_from: int = 0

    def of(self, index: I64) -> Whole:
        """Return the windows at `index` [x]."""
        return Whole(self.windows.take(index), self.label[index], self.fold[index], self.sampled_from)


@dataclass
class WholeWindows:
    """Takes windows partition by partition; keeps as many as the limits allow.

    Those of the smallest draws are kept. What was once beyond a limit is beyond it for ever, so that the order of
    the partitions changes nothing.
    """

    most_windows: int = MOST_WINDOWS
    most_events: int = MOST_EVENTS
    n_windows: int = 0
    _parts: list[tuple[Whole, U64]] = field(default_factory=list)
    _events: int = 0
    _held: int = 0
    _below: np.uint64 = field(default_factory=lambda: np.uint64(np.iinfo(np.uint64).max))

    def add(self, windows: Windows, label: I8, fold: I64) -> None:
        """Take in finished windows with their labels and folds [w]."""
        draw = drawn(windows)
        self.n_windows += len(windows)
        kept = np.flatnonzero(draw < self._below)
        self._parts.append((Whole(windows, label, fold).of(kept), draw[kept]))
        self._held += len(kept)
        self._events += int(windows.lengths[kept].sum())
        if self._held > 2 * self.most_windows or self._events > 2 * self.most_events:
            self._merge()

    def _merge(self) -> None:
        windows = Windows.concat([part.windows for part, _ in self._parts])
        label = np.concatenate([part.label for part, _ in self._parts])
        fold = np.concatenate([part.fold for part, _ in self._parts])
        draw = np.concatenate([d for _, d in self._parts])
        order = np.argsort(draw, kind="stable")
        beyond = np.cumsum(windows.lengths[order]) > self.most_events
        beyond[self.most_windows :] = True
        if beyond.any():
            self._below = min(self._below, draw[order[int(beyond.argmax())]])
        kept = np.flatnonzero(draw < self._below)
        self._parts = [(Whole(windows, label, fold).of(kept), draw[kept])]
        self._held, self._events = len(kept), int(windows.lengths[kept].sum())

    def whole(self) -> Whole:
        """Return the windows, in order of time."""
        if not self._parts:
            return Whole(Windows.empty(), np.empty(0, np.int8), np.empty(0, np.int64))
        self._merge()
        whole, draw = self._parts.pop()
        line = np.append(whole.windows.line, 0)[whole.windows.offsets[:-1]]  # what goes for time where there is none
        order = pl.DataFrame({"start": whole.windows.start, "line": line, "draw": draw}).select(
            pl.arg_sort_by("start", "line", "draw").cast(pl.Int64)
        )
        taken = whole.of(order.to_series().to_numpy())
        return Whole(taken.windows, taken.label, taken.fold, self.n_windows if len(draw) < self.n_windows else 0)
