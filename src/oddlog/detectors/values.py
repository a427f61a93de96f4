"""Numbers out of range, and numbers that drift: durations, sizes, codes, per message type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np

from oddlog.detectors.ranges import Ranges, drift_surprise
from oddlog.detectors.usual import usual_only
from oddlog.errors import ConfigError
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows

LEAST_FOR_DRIFT = 5
"""Values of a number and a type in a window from which on their mean says more than each of them."""
LEAST_MEANS = 10
"""Means of usual windows from which on their variance is believed."""
MOST_SURPRISE = 15.0
"""-log10 p beyond which a value is no odder."""


class Excursions(NamedTuple):
    """The value of each window that is farthest out of range; windows without one are left out [x]."""

    event: I64  # position in the windows given
    window: I64
    number: I64  # index into the context's numbers
    value: F64
    low: F64  # usual 1 % and 99 % of that number for that template (for all, where it had too few)
    high: F64


class Drifts(NamedTuple):
    """The number of each window whose mean is farthest from usual; windows without one are left out [x]."""

    event: I64  # the first of its values
    window: I64
    number: I64
    n: I64  # values in the window
    median: F64  # of these
    usual: F64  # median in training


class ParameterValues:
    """How unlikely a window's numbers are, each for itself and on average, given its type of event.

    For each template and number with at least 20 values the usual range is learned (`ranges.Ranges`); others share
    the range of the number in all templates. A value's surprise is -log10 of the share of usual values as far out,
    on its side; that of the mean of at least `LEAST_FOR_DRIFT` values of a template in a window, with ``z`` the
    standardised value, ``v`` the variance of such means between usual windows beyond what chance alone gives::

        drift = -log10 P(|N(0, 1)| >= |mean z| / sqrt(v + 1 / n))

    so that many mildly high latencies are found although none of them is out of range. A window's score is the
    larger of the highest surprise of a value and the highest drift, each less log10 of how many it is the highest
    of; no number, no opinion.

    Notes
    -----
    The model of parameter values next to one of the order of events: Du, Li, Zheng and Srikumar, "DeepLog", CCS
    2017 (doi 10.1145/3133956.3134015), with ranges in place of a network per type: they need no more
    than 20 values, and say what is usual. The variance between windows is that of a random effect, by moments.

    """

    name = "values"
    reads = frozenset({"template", "numbers"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _ranges: Ranges
    _between: F64  # [p] variance of a window's mean z beyond chance, of each range

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Learn the usual ranges.

        Raises
        ------
        ConfigError
            If the context has no numbers.

        """
        if not context.numbers:
            raise ConfigError("These logs hold no numbers to learn ranges of.", "Leave out the detector 'values'.")
        usual = usual_only(windows, labels)
        weight = usual.weight[usual.window_of_event]
        self._ranges = Ranges.learn(usual.numbers, usual.template, weight, context.numbers, len(context.templates))
        self._between = _between(self._means(usual, least=2), usual.weight, len(self._ranges))
        return self

    def score(self, windows: Windows) -> Scores:
        """Return each event's highest surprise, and each window's (see the class); NaN without any number."""
        event, _, _, surprise = self._surprises(windows)
        highest = np.full(len(windows.template), -np.inf)
        np.maximum.at(highest, event, surprise)
        of_event = np.where(np.isinf(highest), np.nan, highest).astype(np.float32)
        return Scores(np.fmax(*self._parts(windows)), of_event)

    def excursions(self, windows: Windows) -> Excursions:
        """Return the value of each window that is farthest out of its range, if one is.

        Where the values together are odder than each of them, see `drifts`.
        """
        alone, together = self._parts(windows)
        event, at, value, surprise = self._surprises(windows)
        window = windows.window_of_event[event]
        low, high = self._ranges.low[at], self._ranges.high[at]
        out = np.flatnonzero(((value < low) | (value > high)) & ~(together > alone)[window])
        first = out[_first_of_each(window[out], surprise[out])]
        number = self._ranges.number[at[first]]
        return Excursions(event[first], window[first], number, value[first], low[first], high[first])

    def drifts(self, windows: Windows) -> Drifts:
        """Return the number of each window whose mean is farthest from usual, where that is the oddest of it."""
        alone, together = self._parts(windows)
        means = self._means(windows)
        more = np.flatnonzero((together > alone)[means.window])
        first = more[_first_of_each(means.window[more], self._drift(means)[more])]
        at = means.at[first]
        return Drifts(
            means.event[first],
            means.window[first],
            self._ranges.number[at],
            means.n[first],
            means.median[first],
            self._ranges.median[at],
        )

    def _parts(self, windows: Windows) -> tuple[F64, F64]:
        """Return how odd the oddest value of each window is, and how odd its oddest mean [w]; NaN where none is."""
        event, _, _, surprise = self._surprises(windows)
        means = self._means(windows)
        alone = _highest(windows.window_of_event[event], surprise, len(windows))
        return alone, _highest(means.window, self._drift(means), len(windows))

    def _surprises(self, windows: Windows) -> tuple[I64, I64, F64, F64]:
        """Return event, range, value and surprise of each number that is there [x]."""
        event, at, value = self._ranges.find(windows.numbers, windows.template)
        return event, at, value, np.minimum(self._ranges.surprise(value, at), MOST_SURPRISE)

    def _means(self, windows: Windows, least: int = LEAST_FOR_DRIFT) -> _Means:
        """Return the mean z of each template's numbers in each window that holds at least so many of them."""
        event, at, value = self._ranges.find(windows.numbers, windows.template)
        of_event = windows.window_of_event[event]
        order = np.lexsort((value, windows.template[event], at, of_event))
        event, at, value, of_event = event[order], at[order], value[order], of_event[order]
        template = windows.template[event]
        new = np.ones(len(at), np.bool_)
        new[1:] = (np.diff(of_event) != 0) | (np.diff(at) != 0) | (template[1:] != template[:-1])
        start = np.flatnonzero(new)
        n = np.diff(np.append(start, len(at)))
        enough = n >= least
        if not enough.any():
            nothing = np.empty(0, np.int64)
            return _Means(nothing, nothing, nothing, nothing, np.empty(0), np.empty(0))
        mean = np.add.reduceat(self._ranges.standardised(value, at), start)[enough] / n[enough]
        first, start, n = np.minimum.reduceat(event, start)[enough], start[enough], n[enough]
        median = value[start + (n - 1) // 2]  # the lower one of two
        return _Means(of_event[start], at[start], first, n, mean, median)

    def _drift(self, means: _Means) -> F64:
        spread = np.sqrt(self._between[means.at] + 1 / means.n)
        return np.minimum(drift_surprise(means.mean / spread), MOST_SURPRISE)

    def state(self) -> State:
        """Return the ranges."""
        return State(self._ranges.arrays() | {"between": self._between}, {"k": self._ranges.k})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:
        """Rebuild a fitted detector."""
        self = cls()
        arrays = dict(state.arrays)
        self._between = arrays.pop("between")
        self._ranges = Ranges.of_arrays(arrays, context.numbers, state.meta["k"])
        return self


@dataclass(frozen=True)
class _Means:
    """Means of the standardised values of a template's number in a window [g]."""

    window: I64
    at: I64  # range
    event: I64
    n: I64
    mean: F64
    median: F64


def _highest(window: I64, surprise: F64, n_windows: int) -> F64:
    """Return each window's highest surprise less log10 of how many there are [w]; NaN where none is."""
    highest = np.full(n_windows, -np.inf)
    np.maximum.at(highest, window, surprise)
    n = np.bincount(window, minlength=n_windows)
    return np.where(n > 0, np.maximum(highest - np.log10(np.maximum(n, 1)), 0.0), np.nan)


def _between(means: _Means, weight: F64, n_ranges: int) -> F64:
    """Return the variance of usual windows' means beyond chance [p]; where there are too few, that of all; or 1."""
    each = weight[means.window]
    beyond = each * (means.mean**2 - 1 / means.n)
    total = np.bincount(means.at, each, minlength=n_ranges)
    own = np.bincount(means.at, beyond, minlength=n_ranges) / np.maximum(total, 1e-12)
    every = beyond.sum() / each.sum() if each.sum() >= LEAST_MEANS else 1.0
    return np.maximum(np.where(total >= LEAST_MEANS, own, every), 0.0)


def _first_of_each(window: I64, surprise: F64) -> I64:
    """Return the position of the highest surprise of each window that is there."""
    order = np.lexsort((np.arange(len(window)), -surprise, window))
    new = np.ones(len(order), np.bool_)
    new[1:] = np.diff(window[order]) != 0
    return order[new]
