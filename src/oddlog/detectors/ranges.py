"""The usual range of each number of each template, and how far out a value is.

::

    -log10 p                                                      .
       3                                                      .     exponential beyond the 98 % quantile; beyond all
                                                          .         n values seen at least log10(n + 1)
     1.4 .                                            .             2 * 2 % of the usual values are as far out
           .                                      .
       0       .        .        .        .   .                     the median
             2 %                              98 %
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from oddlog.types import F32, F64, I64, U32, Bool, Number

LEAST_VALUES = 20
"""Values of a template's number from which on it has a range of its own."""
TAIL = 0.02
"""Share of the values on each side whose distances the tail is fitted to."""
EDGE = 0.01
"""Share of the values on each side beyond what is called usual in words."""
FINEST_LOG = 0.1
"""Least scale of a tail of logarithms: a tenth more or less is no news, even of what was constant."""
FINEST_LINEAR = 0.05
"""The same for linear numbers, relative to their median and to the spread of the number in all templates."""
MOST_Z = 3.0
"""Standardised values are cut here: one value far out must not pass for a drift."""


@dataclass(frozen=True)
class Ranges:
    """Usual ranges [p]: one for each template and number with enough values, and one for each number in all.

    Attributes
    ----------
    row, number : I64 [p]
        The template (-1: all of them) and the number.
    low, median, high : F64 [p]
        1 %, 50 % and 99 % quantile of the raw values (the smallest value that so large a share does not exceed).
    centre : F64 [p]
        The median, scaled; all that follows is scaled (signed logarithm of 1 + |value|, or the value itself).
    below, above : F64 [p]
        Where the tails begin: the 2 % and the 98 % quantile.
    share_below, share_above : F64 [p]
        Of the values, at or beyond these.
    scale_below, scale_above : F64 [p]
        Of the exponential tails.
    mean, deviation : F64 [p]
        Of the values between the tails' beginnings (those beyond count as these).
    least, most, values : F64 [p]
        The smallest and the largest one seen, and how many there were.

    """

    k: int
    logs: Bool
    row: I64
    number: I64
    low: F64
    median: F64
    high: F64
    centre: F64
    below: F64
    above: F64
    share_below: F64
    share_above: F64
    scale_below: F64
    scale_above: F64
    mean: F64
    deviation: F64
    least: F64
    most: F64
    values: F64

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def learn(cls, values: F32, template: U32, weight: F64, numbers: Sequence[Number], k: int) -> Self:
        """Learn from the numbers of events [e, n], the events' templates [e] and weights [e] of a model of k types."""
        logs = np.array([number.scale == "log" for number in numbers], np.bool_)
        found: list[tuple[float, ...]] = []
        for j, is_log in enumerate(logs.tolist()):
            here = np.flatnonzero(np.isfinite(values[:, j]) & (weight > 0))
            value = values[here, j].astype(np.float64)
            order = np.argsort(value, kind="stable")
            here, value = here[order], value[order]
            if not len(value):
                continue
            every = _Range.of(value, weight[here], is_log=is_log, spread=0.0)
            found.append((-1, j, *every.as_floats()))
            row = template[here].astype(np.int64)
            order = np.argsort(row, kind="stable")  # by value within each template
            edges = np.flatnonzero(np.diff(row[order])) + 1
            for part in np.split(order, edges):
                if row[part[0]] < k and weight[here[part]].sum() >= LEAST_VALUES:
                    own = _Range.of(value[part], weight[here[part]], is_log=is_log, spread=every.above - every.below)
                    found.append((row[part[0]], j, *own.as_floats()))
        table = np.array(found, np.float64).reshape(len(found), 2 + len(fields(_Range)))
        ends = (np.ascontiguousarray(column) for column in table.T[2:])
        return cls(k, logs, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *ends)

    def find(self, values: F32, template: U32) -> tuple[I64, I64, F64]:
        """Return event, range and value of each number [e, n] that is there and has a range, by event."""
        if not len(self) or not values.size:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        event, number = np.nonzero(np.isfinite(values))
        at = self._table[np.minimum(template[event], self.k), number]
        known = at >= 0
        event, number = event[known], number[known]
        return event, at[known], values[event, number].astype(np.float64)

    @property
    def _table(self) -> I64:
        """The range of each template and number [k + 1, n], -1 if there is none; the last row serves unseen types."""
        table = np.full((self.k + 1, len(self.logs)), -1)
        every = self.row < 0
        table[:, self.number[every]] = np.flatnonzero(every)
        table[self.row[~every], self.number[~every]] = np.flatnonzero(~every)
        return table

    def surprise(self, value: F64, at: I64) -> F64:
        """Return -log10 of the two-sided share of usual values as far out as each value [x] of range `at` [x]."""
        scaled = self._scaled(value, at)
        high = _beyond(scaled, self.centre[at], self.above[at], self.share_above[at], self.scale_above[at])
        low = _beyond(-scaled, -self.centre[at], -self.below[at], self.share_below[at], self.scale_below[at])
        surprise = np.where(scaled >= self.centre[at], high, low)
        # A value beyond n others is as likely as 1 / (n + 1), whatever the tail says.
        beyond = (scaled > self.most[at]) | (scaled < self.least[at])
        return np.where(beyond, np.maximum(surprise, np.log10(self.values[at] + 1)), surprise)

    def standardised(self, value: F64, at: I64) -> F64:
        """Return each value [x] in standard deviations from the mean, cut at `MOST_Z`."""
        return np.clip((self._scaled(value, at) - self.mean[at]) / self.deviation[at], -MOST_Z, MOST_Z)

    def _scaled(self, value: F64, at: I64) -> F64:
        return np.where(self.logs[self.number[at]], _log(value), value)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything `of_arrays` needs besides the numbers."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in {"k", "logs"}}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], numbers: Sequence[Number], k: int) -> Self:
        """Rebuild."""
        logs = np.array([number.scale == "log" for number in numbers], np.bool_)
        return cls(k, logs, **arrays)  # type: ignore[arg-type] # the arrays that `arrays` returned


@dataclass(frozen=True)
class _Range:
    """One range; the attributes of `Ranges`."""

    low: float
    median: float
    high: float
    centre: float
    below: float
    above: float
    share_below: float
    share_above: float
    scale_below: float
    scale_above: float
    mean: float
    deviation: float
    least: float
    most: float
    values: float

    @classmethod
    def of(cls, value: F64, weight: F64, *, is_log: bool, spread: float) -> Self:
        """Return the range of ascending values [x] with weights; `spread` is that of the number in all templates."""
        reached = np.cumsum(weight)
        total = float(reached[-1])
        at = np.searchsorted(reached, total * np.array([EDGE, TAIL, 0.5, 1 - TAIL, 1 - EDGE]) * (1 - 1e-12))
        low, below, median, above, high = value[np.minimum(at, len(value) - 1)].tolist()
        scaled = _log(value) if is_log else value
        ends = np.array([median, below, above])
        centre, start, end = (_log(ends) if is_log else ends).tolist()
        finest = FINEST_LOG if is_log else FINEST_LINEAR * max(abs(median), spread, 1e-6)
        upper, lower = scaled > end, scaled < start
        kept = np.clip(scaled, start, end)
        mean = float(weight @ kept) / total
        deviation = float(np.sqrt(weight @ (kept - mean) ** 2 / total))
        return cls(
            low,
            median,
            high,
            centre,
            start,
            end,
            float(weight[scaled <= start].sum()) / total,
            float(weight[scaled >= end].sum()) / total,
            max(_scale(start - scaled[lower], weight[lower]), finest),
            max(_scale(scaled[upper] - end, weight[upper]), finest),
            mean,
            max(deviation, finest),
            float(scaled[0]),
            float(scaled[-1]),
            total,
        )

    def as_floats(self) -> tuple[float, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def _scale(excess: F64, weight: F64) -> float:
    """Return the scale of an exponential tail: the mean excess, or more where the largest one is too far for it.

    Of n excesses the largest is expected at ``scale * ln(n)``; heavier tails reach farther.
    """
    n = float(weight.sum())
    if n <= 0:
        return 0.0
    return max(float(weight @ excess) / n, float(excess.max()) / float(np.log1p(n)))


def _beyond(value: F64, centre: F64, start: F64, share: F64, scale: F64) -> F64:
    """Return the surprise of values at or above the centre: linear to where the tail starts, the tail beyond."""
    at_start = -np.log10(np.minimum(2 * share, 1.0))
    width = start - centre
    inside = at_start * np.divide(value - centre, width, out=np.zeros_like(value), where=width > 0)
    return np.where(value > start, at_start + (value - start) / scale / np.log(10), inside)


def _log(value: F64) -> F64:
    return np.sign(value) * np.log1p(np.abs(value))


def drift_surprise(deviations: F64) -> F64:
    """Return -log10 of the chance that a normal variable is so many standard deviations [x] off, on either side.

    Sampford's bound on Mill's ratio ("Some inequalities on Mill's ratio and related functions", Annals of
    Mathematical Statistics 24, 1953, doi 10.1214/aoms/1177729093), within 1 % from one deviation on.

    >>> drift_surprise(np.array([0.0, 1.96, 6.0])).round(2).tolist()
    [0.0, 1.3, 8.7]
    """
    off = np.abs(deviations)
    density = np.log10(np.e) * off**2 / 2 + np.log10(np.sqrt(2 * np.pi))
    surprise: F64 = np.maximum(density - np.log10(8 / (3 * off + np.sqrt(off**2 + 8))), 0.0)
    return surprise
