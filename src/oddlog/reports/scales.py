"""Where a value stands on a chart, and which values are written at its axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from oddlog.reports.wording import MONTHS, at_us

SECOND_US = 1_000_000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 182, 365, 3_650)),
)
"""Lengths of time that people count in."""
SMALLEST_US = 60 * SECOND_US  # a chart of one moment is a minute wide


@dataclass(frozen=True)
class Scale:
    """From `low` … `high` to pixels `first` … `last`."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; what lies beyond stands at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return self.first + min(max(share, 0.0), 1.0) * (self.last - self.first)


def step_for(span_us: float, most: int, unit_us: int = SECOND_US) -> int:
    """Return the shortest length of time that people count in, in microseconds, of which `most` hold the span.

    It is a multiple of `unit_us`, the finest there is.
    """
    steps = (s * SECOND_US for s in STEPS_S if s * SECOND_US % unit_us == 0)
    coarser = -(-int(span_us) // (most * unit_us)) * unit_us
    return next((step for step in steps if span_us / step <= most), coarser)


def time_ticks(low_us: float, high_us: float, most: int = 9) -> list[tuple[float, str]]:
    """Return the times to write at an axis, with their labels; a new day is said where it begins.

    >>> start = datetime.fromisoformat("2026-03-03T22:00Z").timestamp() * 1e6
    >>> [label for _, label in time_ticks(start, start + 4 * 3600e6, 4)]
    ['22:00', '23:00', '4 Mar', '01:00', '02:00']
    """
    step = step_for(high_us - low_us, most)
    first = -(-int(low_us) // step) * step
    return [(float(at), _tick_label(at_us(at), step)) for at in range(first, int(high_us) + 1, step)]


def _tick_label(time: datetime, step_us: int) -> str:
    if step_us >= 182 * _DAY * SECOND_US:
        return f"{MONTHS[time.month - 1]} {time.year}"
    if time.time() == time.min.time():
        return f"{time.day} {MONTHS[time.month - 1]}"
    return f"{time:%H:%M:%S}" if step_us < _MINUTE * SECOND_US else f"{time:%H:%M}"


def nice_ticks(high: float, most: int = 4) -> list[float]:
    """Return round values from 0 on, the last of them at or above `high`.

    >>> nice_ticks(87), nice_ticks(3), nice_ticks(0)
    ([0.0, 50.0, 100.0], [0.0, 1.0, 2.0, 3.0], [0.0, 1.0])
    """
    if high <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(high / most))
    step = next(power * m for m in (1, 2, 5, 10, 20) if high / (power * m) <= most)
    if high >= 1:
        step = max(step, 1.0) if high <= most else step
    return [i * step for i in range(math.ceil(high / step - 1e-9) + 1)]


def short(value: float) -> str:
    """Return a number for an axis.

    >>> short(0), short(2500), short(12_000), short(3_000_000), short(0.25)
    ('0', '2.5k', '12k', '3M', '0.25')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
