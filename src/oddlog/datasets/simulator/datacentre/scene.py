"""Where an incident is laid out: its begin, its size, the turn of its variant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, Incident, Span
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.datacentre.rhythm import Rhythm
from oddlog.datasets.simulator.datacentre.values import ADDRESSES, N_HOMES
from oddlog.datasets.simulator.draws import Draws

T = TypeVar("T")
LONGEST = 110
"""Minutes after which an incident of requests is noticed and mended, however few they were."""


@dataclass(frozen=True)
class Scene:
    """Where an incident is laid out.

    Attributes
    ----------
    draws : Draws
        The only source of chance.
    rhythm : Rhythm
        How many requests come when.
    start_us : int
        When it begins.
    until_us : int
        When it must be over.
    requests : tuple of int
        How many requests it meets, from and to.
    turn : int
        Which of its variants has its turn.

    """

    draws: Draws
    rhythm: Rhythm
    start_us: int
    until_us: int
    requests: tuple[int, int]
    turn: int

    def next(self, options: Sequence[T]) -> T:
        """Return the variant whose turn it is."""
        return options[self.turn % len(options)]

    def one(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[int(self.draws.below(len(options), 1)[0])]

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return low + int(self.draws.below(high - low + 1, 1)[0])

    def meets(self, scenarios: tuple[str, ...], percent: int = 100) -> Span:
        """Return the time in which the wanted number of requests is met."""
        n = self.number(*self.requests) * 100 // percent
        return self._cut(self.rhythm.span_of(scenarios, self.start_us, n, 8, LONGEST))

    def lasts(self, low: int, high: int) -> Span:
        """Return from `low` to `high` minutes."""
        return self._cut(Span(self.start_us, self.start_us + self.number(low, high) * MINUTE_US))

    def _cut(self, span: Span) -> Span:
        return Span(span.start_us, min(span.end_us, self.until_us))

    def within(self, span: Span, n: int) -> tuple[int, ...]:
        """Return `n` times in `span`, in order."""
        drawn = span.start_us + self.draws.below(span.end_us - span.start_us, n)
        return tuple(sorted(drawn.tolist()))

    def stranger(self) -> int:
        """Return an address at which no customer is at home."""
        return self.number(N_HOMES, len(ADDRESSES) - 1)


def hosts_of(*services: str) -> tuple[str, ...]:
    """Return where `services` run."""
    return tuple(dict.fromkeys(host for service in services for host in HOSTS[service]))


def said(message: str) -> str:
    """Return what a message says, its values left out, for a person."""
    return re.sub(r"\{\w+\}", "…", MESSAGES[message].text)


Kind = Callable[[Scene], Incident]
BY_ONE = ("concentration", "rate")
"""What explains that somebody does too much."""
