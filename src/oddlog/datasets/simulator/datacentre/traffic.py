"""Fills the pages: usual requests, those that take another course, those that would not have come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from oddlog.datasets.simulator.datacentre.background import Background, Raising, tell
from oddlog.datasets.simulator.datacentre.effects import (
    MINUTE_US,
    NOTICEABLE,
    ONCE,
    START_US,
    Change,
    Effect,
    Extra,
    Raised,
    Silent,
    Skewed,
    Span,
    Told,
)
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.pages import Entries
from oddlog.datasets.simulator.datacentre.plan import Plan
from oddlog.datasets.simulator.datacentre.requesting import Requests, Traces, Writer
from oddlog.datasets.simulator.datacentre.requests import BY_NAME, SCENARIOS, Scenario, fail
from oddlog.datasets.simulator.datacentre.values import visitors
from oddlog.datasets.simulator.draws import Draws
from oddlog.types import I64, Bool

FAILS_PERCENT = 0.25
"""Usual requests of which a service fails, one at a time."""
SLOW_PERCENT = 0.25
"""Usual requests that take long somewhere, one at a time."""


@dataclass(frozen=True)
class Batch:
    """Traces for the label files: their ids, what they were, and the number of their incident (0: none)."""

    scenario: str
    ids: pl.Series
    number: I64


class Traffic:
    """Writes a stretch of minutes at a time.

    Parameters
    ----------
    plan : Plan
        What happens when.
    draws : Draws
        The only source of chance; every stretch takes the next draws.

    """

    def __init__(self, plan: Plan, draws: Draws) -> None:
        self._plan, self._draws = plan, draws
        effects: list[tuple[int, Effect]] = [
            *((one.number, effect) for one in plan.incidents for effect in one.incident.effects),
            *((0, effect) for one in plan.harmless for effect in one.effects),
        ]
        self._changes = [(n, e) for n, e in effects if isinstance(e, Change)]
        self._extras = [(n, e) for n, e in effects if isinstance(e, Extra)]
        self._told = [(n, e) for n, e in effects if isinstance(e, Told)]
        skewed = tuple((n, e) for n, e in effects if isinstance(e, Skewed))
        self._silent = tuple(e for _, e in effects if isinstance(e, Silent))
        raised = tuple(Raising(n, e) for n, e in effects if isinstance(e, Raised))
        self._background = Background(plan, draws, raised, self._silent, skewed)
        self._writer = Writer(draws, skewed)

    def write(self, first: int, last: int, entries: Entries) -> Iterator[Batch]:
        """Write minutes `first` to before `last`; yield the traces that were written."""
        begin, end = (START_US + minute * MINUTE_US for minute in (first, last))
        self._background.write(first, last, entries)
        for number, told in self._told:
            if told.times_us[0] >= end or told.times_us[-1] < begin:
                continue
            tell(entries, self._draws, told, number, Span(begin, end), self._silent)
        for scenario in SCENARIOS:
            yield from self._usual(scenario, first, last, entries)
        for number, extra in self._extras:
            if extra.span.touches(begin, end):
                yield from self._additional(number, extra, begin, end, entries)

    def _usual(self, scenario: Scenario, first: int, last: int, entries: Entries) -> Iterator[Batch]:
        requests = self._again(scenario, self._arriving(scenario, first, last))
        for number, change in self._changes:
            if scenario.name in change.scenarios and len(requests):
                chosen = self._chosen(change, requests)
                if chosen.any():
                    rows = np.flatnonzero(chosen)
                    yield from self._changed(scenario, number, change, requests.take(rows), entries)
                    requests = requests.take(np.flatnonzero(~chosen))
        fails = self._draws.chance(FAILS_PERCENT, len(requests))
        if fails.any() and scenario.failing:
            service = scenario.failing[int(self._draws.below(len(scenario.failing), 1)[0])]
            failed = fail(service)(scenario)
            yield from self._written(failed, requests.take(np.flatnonzero(fails)), entries)
            requests = requests.take(np.flatnonzero(~fails))
        slow = scenario.services[int(self._draws.below(len(scenario.services), 1)[0])]
        lone = self._draws.chance(SLOW_PERCENT, len(requests))
        factor = np.where(lone, self._draws.below(12 * ONCE, len(requests)) + 4 * ONCE, ONCE)
        yield from self._written(scenario, requests, entries, slow=(slow, factor))

    def _arriving(self, scenario: Scenario, first: int, last: int) -> Requests:
        """Return the requests of `scenario` that usually start in some minutes."""
        rhythm = self._plan.rhythm
        n = rhythm.starts(scenario.name, first, last)
        minute = first + self._draws.spread(rhythm.weights(scenario.rhythm, first, last), n)
        start = START_US + minute * MINUTE_US + self._draws.below(MINUTE_US, n)
        user, client = visitors(self._draws, n)
        kept = np.flatnonzero(~self._missing(scenario, start))
        return Requests(start, user, client, np.zeros(n, np.int64)).take(kept)

    def _missing(self, scenario: Scenario, start: I64) -> Bool:
        """Return which requests do not come: the service that would take them up is silent."""
        gone = np.zeros(len(start), np.bool_)
        for silent in self._silent:
            if not silent.host and scenario.services[0] in silent.services:
                gone |= silent.span.holds(start)
        return gone

    def _again(self, scenario: Scenario, requests: Requests) -> Requests:
        """Return the requests and those with which the same users try again."""
        if scenario.tries == 1:
            return requests
        tries = self._draws.below(scenario.tries, len(requests)) + 1
        rows = np.repeat(np.arange(len(requests)), tries)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(tries) - tries, tries)
        wait = nth * (8_000_000 + self._draws.below(20_000_000, len(rows)))
        again = requests.take(rows)
        return replace(again, start=again.start + wait)

    def _chosen(self, change: Change, requests: Requests) -> Bool:
        inside = change.span.holds(requests.start)
        if not inside.any():
            return inside
        percent = change.span.between(change.share[0] * 100, change.share[1] * 100, requests.start)
        return inside & (self._draws.below(10_000, len(requests)) < percent)

    def _changed(
        self, scenario: Scenario, number: int, change: Change, requests: Requests, entries: Entries
    ) -> Iterator[Batch]:
        requests = replace(requests, number=np.full(len(requests), number))
        traces = Traces(self._draws, requests, self._silent)
        slow = None
        if change.slow:
            service, low, high = change.slow
            factor = change.span.between(low, high, requests.start)
            slow = (service, factor)
            requests = replace(requests, number=np.where(factor >= NOTICEABLE * ONCE, number, 0))
        elsewhere = np.zeros(len(requests), np.bool_)
        if change.host:
            service, host = change.host
            elsewhere = traces.host(service) != HOSTS[service].index(host)
            requests = replace(requests, number=np.where(elsewhere, 0, requests.number))
        yield from self._split(scenario, change, traces, requests, elsewhere, slow, entries)

    def _split(
        self,
        scenario: Scenario,
        change: Change,
        traces: Traces,
        requests: Requests,
        elsewhere: Bool,
        slow: tuple[str, I64] | None,
        entries: Entries,
    ) -> Iterator[Batch]:
        """Write the requests that are changed, and as ever those that another host serves."""
        for rows, course in ((~elsewhere, change.how(scenario)), (elsewhere, scenario)):
            at = np.flatnonzero(rows)
            if len(at) == 0:
                continue
            some = traces.take(at, requests.take(at))
            factor = (slow[0], slow[1][at]) if slow and course is not scenario else None
            number = self._writer.write(entries, course, some, factor)
            yield Batch(scenario.name, some.ids, number)

    def _additional(self, number: int, extra: Extra, begin: int, end: int, entries: Entries) -> Iterator[Batch]:
        """Write the part of extra requests that starts in this stretch; they are spread evenly, with some jitter."""
        every = (extra.span.end_us - extra.span.start_us) // extra.n
        start = extra.span.start_us + np.arange(extra.n) * every
        start = start[(start >= begin) & (start < end)]
        n = len(start) * extra.copies
        start = np.repeat(start, extra.copies)
        wait = np.arange(n) % extra.copies * 700_000
        user, client = visitors(self._draws, n)
        user = np.full(n, extra.user) if extra.user >= 0 else user
        client = np.full(n, extra.client) if extra.client >= 0 else client
        start = start + wait + self._draws.below(max(every // 2, 1), n)
        requests = Requests(start, user, client, np.full(n, number))
        requests = requests.take(np.flatnonzero(~self._missing(BY_NAME[extra.scenario], start)))
        course = extra.how(BY_NAME[extra.scenario])
        scenario = replace(course, steps=tuple(replace(step, direct=True) for step in course.steps))
        yield from self._written(scenario, requests, entries, size=extra.size)

    def _written(
        self,
        scenario: Scenario,
        requests: Requests,
        entries: Entries,
        *,
        slow: tuple[str, I64] | None = None,
        size: int = 1,
    ) -> Iterator[Batch]:
        if len(requests) == 0:
            return
        traces = Traces(self._draws, requests, self._silent, size)
        number = self._writer.write(entries, scenario, traces, slow)
        yield Batch(scenario.name, traces.ids, number)
