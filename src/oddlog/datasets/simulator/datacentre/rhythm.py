"""How much happens when: hours of the day, days of the week, and the time until something has happened so often."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, START_US, Span
from oddlog.datasets.simulator.datacentre.requests import BY_NAME, SCENARIOS
from oddlog.types import I64

DAY_MINUTES = 24 * 60

_HOURS = {
    "people": (14, 9, 7, 6, 7, 12, 28, 52, 74, 88, 96, 100, 94, 92, 94, 92, 90, 92, 98, 104, 96, 74, 48, 27),
    "machines": (16, 14, 14, 16, 26, 58, 84, 96, 100, 98, 94, 92, 84, 90, 96, 98, 94, 86, 70, 52, 38, 28, 22, 18),
}
_WEEKEND = (22, 17, 13, 10, 9, 10, 14, 24, 42, 60, 72, 76, 74, 72, 72, 74, 76, 78, 80, 78, 68, 54, 40, 28)
_DAYS = {"people": (100, 104, 102, 105, 97, 62, 54), "machines": (102, 104, 103, 102, 98, 46, 12)}
"""Percent, from Monday."""
BURST, BURST_MINUTES = 3, 12


class Rhythm:
    """The expected number of requests in each minute.

    Parameters
    ----------
    minutes : int
        Length of the whole simulation.
    request_lines : int
        Lines that requests write in all of it.
    bursts : tuple of int
        Minutes at which three times as many people come, for a while.

    """

    def __init__(self, minutes: int, request_lines: int, bursts: tuple[int, ...] = ()) -> None:
        self.minutes = minutes
        self._weight = {name: _weights(name, minutes) for name in _HOURS}
        for burst in bursts:
            self._weight["people"][burst : burst + BURST_MINUTES] *= BURST
        self._until = {name: np.concatenate([[0], np.cumsum(w)]) for name, w in self._weight.items()}
        per_unit = sum(s.weight * s.mean_lines for s in SCENARIOS)
        self._starts = {s.name: round(s.weight * request_lines / per_unit) for s in SCENARIOS}

    @property
    def end_us(self) -> int:
        """The microsecond after the last one."""
        return START_US + self.minutes * MINUTE_US

    def weights(self, name: str, first: int, last: int) -> I64:
        """Return the relative number of requests in each of some minutes."""
        return self._weight[name][first:last]

    def starts(self, scenario: str, first: int, last: int) -> int:
        """Return how many requests of `scenario` start from minute `first` to before `last`."""
        until = self._until[BY_NAME[scenario].rhythm]
        total, wanted = int(until[-1]), self._starts[scenario]
        return wanted * int(until[last]) // total - wanted * int(until[first]) // total

    def part(self, total: int, first: int, last: int) -> int:
        """Return how many of `total` lines that come with the people fall into some minutes."""
        until = self._until["people"]
        return total * int(until[last]) // int(until[-1]) - total * int(until[first]) // int(until[-1])

    def load(self, time_us: I64) -> I64:
        """Return how busy people are at each time [n], 0 to 1000."""
        minute = np.clip((time_us - START_US) // MINUTE_US, 0, self.minutes - 1)
        return np.minimum(self._weight["people"][minute] * 1000 // self._busiest, 1000)

    @cached_property
    def _busiest(self) -> int:
        return max(_HOURS["people"]) * max(_DAYS["people"]) * 60

    def at(self, share: int, first: int, last: int) -> int:
        """Return the minute at which `share` in 1,000 of what happens from `first` to before `last` has happened."""
        until = self._until["people"]
        wanted = int(until[first]) + (int(until[last]) - int(until[first])) * share // 1000
        return int(np.searchsorted(until, wanted))

    def span_of(self, scenarios: tuple[str, ...], start_us: int, n: int, least: int, most: int) -> Span:
        """Return the time in which `n` requests of `scenarios` start, at least and at most so many minutes."""
        first = (start_us - START_US) // MINUTE_US
        minutes = least
        while minutes < most and first + minutes < self.minutes - 1:
            if sum(self.starts(name, first, first + minutes) for name in scenarios) >= n:
                break
            minutes += 1
        return Span(start_us, start_us + minutes * MINUTE_US)


def _weights(name: str, minutes: int) -> I64:
    minute = START_US // MINUTE_US + np.arange(minutes)
    hour, past = minute // 60 % 24, minute % 60
    day = (minute - START_US // MINUTE_US) // DAY_MINUTES % 7
    week, rest = np.array(_HOURS[name]), np.array(_WEEKEND)
    usual = week[hour] * (60 - past) + week[(hour + 1) % 24] * past
    idle = rest[hour] * (60 - past) + rest[(hour + 1) % 24] * past
    curve = np.where((day >= 5) & (name == "people"), idle, usual)  # noqa: PLR2004 -- Saturday and Sunday
    return np.asarray(curve * np.array(_DAYS[name])[day], np.int64)
