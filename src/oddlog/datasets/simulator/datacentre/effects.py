"""What an incident, or something harmless, does to the entries: few kinds of effects, put together in `kinds`.

Each has its own span of time; progress along it goes from 0 at the start to 1 at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from oddlog.datasets.simulator.datacentre.requests import Scenario, same
from oddlog.datasets.simulator.messages import Message
from oddlog.types import I64, Bool

MINUTE_US = 60_000_000
START_US = 1_772_409_600_000_000
"""Monday, 2 March 2026, 00:00 UTC: when every simulation begins."""
ONCE = 16
"""Factors are whole sixteenths."""
NOTICEABLE = 2
"""A line counts as odd where a duration or a figure is so many times what it would have been."""
NOTICEABLE_TENTHS = 100
"""The same for percentages: ten points."""


@dataclass(frozen=True)
class Span:
    """From `start_us` to before `end_us`."""

    start_us: int
    end_us: int

    @classmethod
    def minutes(cls, origin_us: int, first: int, last: int) -> Span:
        """Return minutes `first` to before `last` after `origin_us`."""
        return cls(origin_us + first * MINUTE_US, origin_us + last * MINUTE_US)

    def holds(self, time_us: I64) -> Bool:
        """Return whether each time [n] lies inside."""
        return (time_us >= self.start_us) & (time_us < self.end_us)

    def between(self, low: int | I64, high: int, time_us: I64) -> I64:
        """Return the value [n] on the straight line from `low` at the start to `high` at the end."""
        past = np.clip(time_us, self.start_us, self.end_us) - self.start_us
        return low + (high - low) * (past // 1_000_000) // max((self.end_us - self.start_us) // 1_000_000, 1)

    def touches(self, begin: int, end: int) -> bool:
        """Return whether any of it lies from `begin` to before `end`."""
        return self.start_us < end and begin < self.end_us


@dataclass(frozen=True)
class Period:
    """One of the two folders of logs: minutes `first` to before `last`."""

    name: Literal["train", "today"]
    first: int
    last: int

    @property
    def span(self) -> Span:
        """The time it covers."""
        return Span.minutes(START_US, self.first, self.last)


@dataclass(frozen=True)
class Change:
    """Usual requests take another course, or take longer.

    Attributes
    ----------
    span : Span
        When.
    scenarios : tuple of str
        Which requests.
    how : callable
        The course they take.
    share : tuple of int
        Percent of them, at the start and at the end.
    slow : tuple or None
        A service, and how many sixteenths of its usual time it takes at the start and at the end.
    host : tuple or None
        A service and a host: only requests that are served there.

    """

    span: Span
    scenarios: tuple[str, ...]
    how: Callable[[Scenario], Scenario] = same
    share: tuple[int, int] = (100, 100)
    slow: tuple[str, int, int] | None = None
    host: tuple[str, str] | None = None


@dataclass(frozen=True)
class Extra:
    """Requests that would not have come otherwise: `n` of them, spread over the span, taking the course `how`.

    `user` and `client` are fixed where not negative; what is sent is `size` times as large.
    """

    span: Span
    scenario: str
    n: int
    user: int = -1
    client: int = -1
    size: int = 1
    copies: int = 1  # each is repeated so often, within seconds
    how: Callable[[Scenario], Scenario] = same


@dataclass(frozen=True)
class Told:
    """Lines that belong to no request, at `times_us` on `host`."""

    message: Message
    times_us: tuple[int, ...]
    host: str
    given: Mapping[str, str] = field(default_factory=dict)
    odd: bool = True


@dataclass(frozen=True)
class Raised:
    """A figure that a host reports again and again drifts from what is usual to `high`, in tenths for percentages."""

    span: Span
    message: str
    host: str
    value: str
    high: int


@dataclass(frozen=True)
class Silent:
    """`services` say nothing; if `host` is named, only there, and requests are served by the others."""

    span: Span
    services: tuple[str, ...]
    host: str = ""


@dataclass(frozen=True)
class Skewed:
    """The clock of `host` is wrong by `shift_us`."""

    span: Span
    host: str
    shift_us: int


Effect = Change | Extra | Told | Raised | Silent | Skewed


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong, and what of it is to be found.

    Attributes
    ----------
    kind, what : str
        Which sort; a sentence for a person.
    span : Span
        From the first trace of it to the last.
    services, hosts : tuple of str
        Where.
    entity : str
        Who does it, or which single host it is; empty where there is no such thing.
    expected : tuple of str
        Kinds of reasons, any of which explains it.
    effects : tuple
        What happens to the entries.

    """

    kind: str
    what: str
    span: Span
    services: tuple[str, ...]
    hosts: tuple[str, ...]
    entity: str
    expected: tuple[str, ...]
    effects: tuple[Effect, ...]
