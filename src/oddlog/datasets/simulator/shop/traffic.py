"""Fills the pages: usual requests, what runs beside them, deployments, and the two incidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.shop.messages import HOSTS, LIFECYCLE, MESSAGES
from oddlog.datasets.simulator.shop.plan import BACKGROUND_SHARE, MINUTE_US, N_ATTACK, N_STORM, Deployment, Period, Plan
from oddlog.datasets.simulator.shop.rendering import Traces, write_traces, write_untraced
from oddlog.datasets.simulator.shop.scenarios import ATTACK, SCENARIOS, STORM, Scenario
from oddlog.datasets.simulator.shop.values import ATTACKER, CLIENTS, N_USERS, visitors
from oddlog.datasets.simulator.writing import Pages
from oddlog.types import I64

STORM_MARK, ATTACK_MARK = 1, 2

BACKGROUND: dict[str, int] = {
    "gateway.health": 300,
    "gateway.connections": 60,
    "gateway.certificate": 2,
    "gateway.routes": 4,
    "auth.keys": 2,
    "auth.purge": 12,
    "auth.clock": 2,
    "auth.hashpool": 40,
    "catalog.gc": 90,
    "catalog.evicted": 40,
    "catalog.index": 12,
    "catalog.warm": 5,
    "cart.gc": 60,
    "cart.purge": 8,
    "cart.snapshot": 12,
    "orders.outbox": 90,
    "orders.archive": 4,
    "orders.report": 2,
    "payments.settle": 5,
    "payments.rates": 6,
    "payments.pool": 60,
    "inventory.gc": 50,
    "inventory.restock": 20,
    "mailer.queue": 60,
    "db.checkpoint": 20,
    "db.vacuum": 6,
    "db.pool": 70,
    "db.replica": 40,
    "db.backup": 2,
}
"""Lines that belong to no request, and how often they come, relative."""

JOB: tuple[tuple[str, int, int], ...] = (
    # message, how often, seconds between
    ("inventory.reconcile", 4, 50),
    ("inventory.scanner", 2, 70),
    ("inventory.matched", 4, 45),
    ("mailer.campaign", 2, 20),
)
"""The rare batch job, in the order it is logged."""


@dataclass(frozen=True)
class Batch:
    """Traces of one scenario, for the label files."""

    scenario: Scenario
    traces: Traces
    mark: int


class Traffic:
    """Writes one period after the other, a stretch of minutes at a time.

    Parameters
    ----------
    plan : Plan
        What happens when.
    draws : Draws
        The only source of chance; every stretch takes the next draws.

    """

    def __init__(self, plan: Plan, draws: Draws) -> None:
        self._plan = plan
        self._draws = draws
        train, today = (round(p.lines * (1 - BACKGROUND_SHARE)) for p in (plan.train, plan.today))
        odd = N_ATTACK * sum(step.mean_lines for step in ATTACK.steps) + N_STORM * STORM.mean_lines
        self._starts = {
            # three of each at least in training: what is usual must have been seen
            "train": plan.train.starts(train, at_least=3),
            "today": plan.today.starts(today - round(odd), at_least=1),
        }
        self._attack_at = self._between(plan.attack, N_ATTACK)
        self._storm_at = self._between(plan.storm, max(N_STORM, self._charges_in_storm()))

    def _between(self, span: tuple[int, int], n: int) -> I64:
        """Return `n` times within `span`, in order."""
        low, high = span
        return np.sort(self._draws.below(high - low, n) + low)

    def _charges_in_storm(self) -> int:
        """Return how many users would have paid while the storm lasts."""
        today = self._plan.today
        first, last = ((at - today.start_us) // MINUTE_US for at in self._plan.storm)
        charges = sum(self._starts[today.name][s.name] for s in SCENARIOS if s.pays)
        return charges * int(today.rhythm[first:last].sum()) // int(today.rhythm.sum())

    def write(self, period: Period, first: int, last: int, pages: Pages) -> Iterator[Batch]:
        """Write the minutes `first` to `last` - 1 of `period`; yield the traces that were written."""
        begin, end = (period.start_us + minute * MINUTE_US for minute in (first, last))
        self._background(period, begin, end, pages)
        for deployment in period.deployments:
            if begin <= deployment.at_us < end:
                self._deploy(deployment, pages)
        for job in period.jobs:
            if first <= job < last:
                self._job(period.start_us + job * MINUTE_US, pages)
        for scenario in SCENARIOS:
            yield from self._requests(period, scenario, first, last, pages)
        if period is self._plan.today:
            yield from self._attack(begin, end, pages)
            yield from self._storm(begin, end, pages)

    def _requests(self, period: Period, scenario: Scenario, first: int, last: int, pages: Pages) -> Iterator[Batch]:
        start = self._start_times(period, scenario, first, last)
        user, client = visitors(self._draws, len(start))
        if scenario.pays and period is self._plan.today:
            low, high = self._plan.storm  # nobody can pay then, see `_storm`
            spared = (start < low) | (start >= high)
            start, user, client = start[spared], user[spared], client[spared]
        yield from self._write(scenario, self._again(scenario, start, user, client), pages)

    def _start_times(self, period: Period, scenario: Scenario, first: int, last: int) -> I64:
        """Return when requests of `scenario` start [n], as many as this stretch's share of the rhythm."""
        total = int(period.rhythm.sum())
        before, until = int(period.rhythm[:first].sum()), int(period.rhythm[:last].sum())
        wanted = self._starts[period.name][scenario.name]
        n = wanted * until // total - wanted * before // total
        minute = first + self._draws.spread(period.rhythm[first:last], n)
        return period.start_us + minute * MINUTE_US + self._draws.below(MINUTE_US, n)

    def _again(self, scenario: Scenario, start: I64, user: I64, client: I64) -> tuple[I64, I64, I64]:
        """Return the requests [n] and those with which the same users try again."""
        if scenario.tries == 1:
            return start, user, client
        tries = self._draws.below(scenario.tries, len(start)) + 1
        rows = np.repeat(np.arange(len(start)), tries)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(tries) - tries, tries)
        wait = nth * (12_000_000 + self._draws.below(20_000_000, len(rows)))
        return start[rows] + wait, user[rows], client[rows]

    def _attack(self, begin: int, end: int, pages: Pages) -> Iterator[Batch]:
        start = self._attack_at[(self._attack_at >= begin) & (self._attack_at < end)]
        user = self._draws.below(N_USERS, len(start))
        client = np.full(len(start), CLIENTS.index(ATTACKER))
        yield from self._write(ATTACK, (start, user, client), pages, ATTACK_MARK)

    def _storm(self, begin: int, end: int, pages: Pages) -> Iterator[Batch]:
        start = self._storm_at[(self._storm_at >= begin) & (self._storm_at < end)]
        start, user, client = self._again(STORM, start, *visitors(self._draws, len(start)))
        inside = start < self._plan.storm[1]
        who = start[inside], user[inside], client[inside]
        yield from self._write(STORM, who, pages, STORM_MARK)

    def _write(self, scenario: Scenario, who: tuple[I64, I64, I64], pages: Pages, mark: int = 0) -> Iterator[Batch]:
        """Write requests [n] given when they start, the user and the client."""
        if len(who[0]) == 0:
            return
        traces = Traces(self._draws, *who)
        write_traces(pages, self._draws, scenario, traces, mark)
        yield Batch(scenario, traces, mark)

    def _background(self, period: Period, begin: int, end: int, pages: Pages) -> None:
        share = period.lines * BACKGROUND_SHARE / sum(BACKGROUND.values())
        for name, weight in BACKGROUND.items():
            message = MESSAGES[name]
            hosts = HOSTS[message.service]
            for position, host in enumerate(hosts):
                n = max(2, round(share * weight / len(hosts)))
                every = period.minutes * MINUTE_US // n
                # hosts take turns; the n-th tick stands in the middle of its share of the period
                offset = every * (2 * position + 1) // (2 * len(hosts))
                tick = period.start_us + offset + every * np.arange(n)
                tick = tick[(tick >= begin) & (tick < end)]
                jitter = self._draws.below(max(every // 20, 1), len(tick))
                write_untraced(pages, self._draws, message, tick + jitter, host=host)

    def _deploy(self, deployment: Deployment, pages: Pages) -> None:
        service, at = deployment.service, deployment.at_us
        for host in HOSTS[service]:
            given = {"version": deployment.version}
            for level, text, wait in LIFECYCLE:
                fields = ("version",) if "{version}" in text else ()
                at += int(self._draws.latency(wait * 1000, 1)[0])
                message = Message(service, level, text, fields)
                write_untraced(pages, self._draws, message, np.array([at]), host=host, given=given)
            if deployment.version == "3.8.0":
                message = MESSAGES["payments.api"]
                write_untraced(pages, self._draws, message, np.array([at + 4_000]), host=host, mark=STORM_MARK)
            at += 3_000_000

    def _job(self, at: int, pages: Pages) -> None:
        for name, times, seconds in JOB:
            message = MESSAGES[name]
            for _ in range(times):
                at += int(self._draws.latency(seconds * 1_000_000, 1)[0])
                write_untraced(pages, self._draws, message, np.array([at]), host=HOSTS[message.service][0])
