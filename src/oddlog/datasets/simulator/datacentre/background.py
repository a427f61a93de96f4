"""What belongs to no request: utilisation, health, jobs, network devices, deployments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.datasets.simulator.datacentre.effects import (
    MINUTE_US,
    NOTICEABLE,
    NOTICEABLE_TENTHS,
    START_US,
    Raised,
    Silent,
    Skewed,
    Span,
    Told,
)
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.datacentre.pages import Entries
from oddlog.datasets.simulator.datacentre.plan import Plan
from oddlog.datasets.simulator.datacentre.rendering import names_in
from oddlog.datasets.simulator.datacentre.rhythm import DAY_MINUTES, Rhythm
from oddlog.datasets.simulator.datacentre.values import VALUES, tenths
from oddlog.datasets.simulator.draws import Draws
from oddlog.types import I64, Bool

EVEN: dict[str, int] = {
    "proxy.health": 900, "proxy.connections": 250, "proxy.handshake": 60, "proxy.reload": 4, "proxy.geo": 4,
    "portal.gc": 300, "portal.health": 300, "portal.flags": 120, "identity.purge": 60, "identity.pool": 200,
    "identity.keys": 4, "booking.gc": 200, "booking.sweep": 10, "pricing.gc": 150, "pricing.tariff": 40,
    "pricing.rates": 12, "tracking.gc": 250, "tracking.health": 250, "tracking.partition": 30, "search.merge": 60,
    "search.refresh": 150, "search.gc": 200, "billing.pool": 120, "documents.sweep": 20, "documents.queue": 150,
    "scans.online": 200, "notify.pool": 120, "postgres.checkpoint": 200, "postgres.vacuum": 40, "postgres.lag": 700,
    "postgres.pool": 500, "postgres.archive": 200, "cache.evicted": 250, "cache.snapshot": 60, "cache.replica": 60,
    "queue.depth": 300, "queue.segment": 120, "queue.rebalanced": 8, "storage.balance": 100, "storage.scrub": 20,
    "system.time": 250, "system.cron": 200, "system.clock": 6, "system.disk": 80, "sshd.invalid": 120,
    "sshd.failed": 90, "firewall.denied": 900, "firewall.sessions": 250, "firewall.fragment": 20,
    "firewall.policy": 4, "router.traffic": 400, "router.neighbour": 40, "router.flap": 4, "router.config": 2,
    "switch.port": 600, "switch.learned": 60, "switch.fan": 60, "switch.tree": 6, "switch.down": 6, "switch.up": 6,
}  # fmt: skip
"""Lines that come at any hour, and how often, relative."""
BUSY: dict[str, int] = {
    "proxy.reset": 70, "proxy.buffered": 40, "proxy.timeout": 25, "postgres.slow": 40, "storage.slow": 20,
    "notify.deferred": 60, "notify.bounced": 40, "notify.failed": 18, "firewall.allowed": 600, "sshd.accepted": 40,
    "sshd.closed": 40,
}  # fmt: skip
"""The same for lines that come the more often, the more people come."""
NIGHTLY: tuple[tuple[int, str, int, int], ...] = (
    # minute of the day, message, lines, seconds between
    (0, "system.rotated", 52, 1),
    (90, "postgres.backupstart", 1, 1),
    (132, "postgres.backup", 1, 1),
    (150, "postgres.vacuum", 6, 40),
    (180, "billing.run", 1, 1),
    (186, "billing.ledger", 1, 1),
    (240, "storage.scrub", 8, 90),
    (300, "operations.report", 1, 1),
    (302, "system.updates", 26, 2),
    (306, "operations.capacity", 1, 1),
    (360, "operations.certificate", 1, 1),
    (420, "notify.digest", 2, 20),
)


@dataclass(frozen=True)
class Raising:
    """A drift and the number of its incident, 0 for what is usual."""

    number: int
    raised: Raised


class Background:
    """Writes what belongs to no request.

    Parameters
    ----------
    plan : Plan
        What happens when.
    draws : Draws
        Where values come from.
    raised : tuple of Raising
        Figures that drift.
    silent : tuple of Silent
        Who says nothing when.
    skewed : tuple
        Wrong clocks, each with the number of its incident.

    """

    def __init__(
        self,
        plan: Plan,
        draws: Draws,
        raised: tuple[Raising, ...],
        silent: tuple[Silent, ...],
        skewed: tuple[tuple[int, Skewed], ...],
    ) -> None:
        self._plan, self._draws = plan, draws
        self._raised, self._silent, self._skewed = raised, silent, skewed
        self._shares = sum(EVEN.values()) + sum(BUSY.values())

    def write(self, first: int, last: int, entries: Entries) -> None:
        """Write minutes `first` to before `last`."""
        begin, end = (START_US + minute * MINUTE_US for minute in (first, last))
        self._usage(begin, end, entries)
        for name, weight in EVEN.items():
            self._lines(name, *self._even(name, weight, begin, end), entries)
        for name, weight in BUSY.items():
            self._lines(name, *self._busy(name, weight, first, last), entries)
        for minute, name, n, apart in NIGHTLY:
            for day in range(first // DAY_MINUTES, -(-last // DAY_MINUTES)):
                if first <= day * DAY_MINUTES + minute < last:
                    at = START_US + (day * DAY_MINUTES + minute) * MINUTE_US
                    time_us = at + np.arange(n) * apart * 1_000_000 + self._draws.below(900_000, n)
                    self._lines(name, np.arange(n) % len(_hosts(name)), time_us, entries)

    def _even(self, name: str, weight: int, begin: int, end: int) -> tuple[I64, I64]:
        """Return hosts [e] and times [e] of a line that each host writes every so often."""
        hosts = len(_hosts(name))
        n = max(self._plan.background_lines * weight // self._shares // hosts, 1)
        every = self._plan.rhythm.minutes * MINUTE_US // n
        found = []
        for host in range(hosts):  # hosts take turns
            offset = every * (2 * host + 1) // (2 * hosts)
            low, high = (-(-(edge - START_US - offset) // every) for edge in (begin, end))
            found.append(START_US + offset + every * np.arange(max(low, 0), max(high, 0)))
        host_of = np.repeat(np.arange(hosts), [len(ticks) for ticks in found])
        time_us = np.concatenate(found)
        return host_of, time_us + self._draws.below(max(every // 10, 1), len(time_us))

    def _busy(self, name: str, weight: int, first: int, last: int) -> tuple[I64, I64]:
        """Return hosts [e] and times [e] of a line that comes with the people."""
        rhythm = self._plan.rhythm
        total = self._plan.background_lines * weight // self._shares
        n = rhythm.part(total, first, last)
        minute = first + self._draws.spread(rhythm.weights("people", first, last), n)
        time_us = START_US + minute * MINUTE_US + self._draws.below(MINUTE_US, n)
        return self._draws.below(len(_hosts(name)), n), time_us

    def _usage(self, begin: int, end: int, entries: Entries) -> None:
        every = self._plan.usage_s * 1_000_000
        hosts = len(HOSTS["agent"])
        offset = np.arange(hosts) * every // hosts
        ticks = np.arange(begin // every * every - every, end + every, every)
        time_us = (ticks[None, :] + offset[:, None]).ravel()
        host = np.repeat(np.arange(hosts), len(ticks))
        inside = (time_us >= begin) & (time_us < end)
        host, time_us = host[inside], time_us[inside]
        self._lines("agent.usage", host, time_us + self._draws.below(900_000, len(time_us)), entries)

    def _lines(self, name: str, host: I64, time_us: I64, entries: Entries) -> None:
        """Write a line [e] of each `host` at each time."""
        talks = ~self._gagged(name, host, time_us)
        host, time_us = host[talks], time_us[talks]
        if len(time_us) == 0:
            return
        columns, mark = self._columns(name, host, time_us)
        stamp = time_us
        for number, skew in self._skewed:
            if skew.host in _hosts(name):
                wrong = (host == _hosts(name).index(skew.host)) & skew.span.holds(time_us)
                stamp = np.where(wrong, stamp + skew.shift_us, stamp)
                mark = np.where(wrong, number * 2 + 1, mark)
        entries.add(MESSAGES[name], (), columns, arrived=time_us, stamp=stamp, mark=mark, traced=False)

    def _columns(self, name: str, host: I64, time_us: I64) -> tuple[dict[str, pl.Series], I64]:
        """Return the values in lines [e], and their marks."""
        n = len(time_us)
        mark = np.zeros(n, np.int64)
        columns = {"host": pl.Series(_hosts(name)).gather(host)}
        figures = usage(self._draws, self._plan.rhythm, host, time_us) if name == "agent.usage" else {}
        for value in names_in(MESSAGES[name], (), traced=False):
            if value in {"ts", "host"}:
                continue
            if value in figures:
                drawn = figures[value]
            else:
                series = _value(self._draws, value, n)
                if series.dtype != pl.Int64:
                    columns[value] = series
                    continue
                drawn = series.to_numpy()
            drawn, mark = self._drift(name, value, host, time_us, drawn, mark)
            columns[value] = tenths(drawn) if value in _TENTHS else pl.Series(drawn)
        return columns, mark

    def _gagged(self, name: str, host: I64, time_us: I64) -> Bool:
        gagged = np.zeros(len(time_us), np.bool_)
        for silent in self._silent:
            if MESSAGES[name].service in silent.services:
                there = host == _hosts(name).index(silent.host) if silent.host in _hosts(name) else not silent.host
                gagged |= there & silent.span.holds(time_us)
        return gagged

    def _drift(self, name: str, value: str, host: I64, time_us: I64, drawn: I64, mark: I64) -> tuple[I64, I64]:
        """Return a figure [e] with what drifts added, and the marks of the lines in which one sees it."""
        for raising in self._raised:
            raised = raising.raised
            if (raised.message, raised.value) != (name, value) or raised.host not in _hosts(name):
                continue
            there = (host == _hosts(name).index(raised.host)) & raised.span.holds(time_us)
            new = np.where(there, raised.span.between(drawn, raised.high, time_us), drawn)
            if raising.number:
                seen = new - drawn >= NOTICEABLE_TENTHS if value in _TENTHS else new >= NOTICEABLE * drawn
                mark = np.where(there & seen, raising.number * 2 + 1, mark)
            drawn = new
        return drawn, mark


_TENTHS = frozenset({"cpu", "memory", "disk", "load"})


def _hosts(name: str) -> tuple[str, ...]:
    """Return who writes a message; only replicas lag, and only the second database is backed up."""
    hosts = HOSTS[MESSAGES[name].service]
    if name == "postgres.lag":
        return hosts[1:]
    return hosts[1:2] if name.startswith("postgres.backup") else hosts


def _value(draws: Draws, name: str, n: int) -> pl.Series:
    """Return a value of lines [n] that belong to no request."""
    if name == "took":
        return pl.Series(np.maximum(draws.latency(240_000, n) // 1_000, 1))
    return VALUES[name].draw(draws, n)


def usage(draws: Draws, rhythm: Rhythm, host: I64, time_us: I64) -> dict[str, I64]:
    """Return how busy hosts [e] are at some times [e]; percentages and load in tenths."""
    n = len(host)
    load = rhythm.load(time_us)
    own = host * 7_919 % 97  # each machine is a little different
    past_us = time_us - START_US
    jump = np.where(draws.chance(1, n), draws.below(280, n), 0)  # something starts, a collection runs
    cpu = 60 + own + load * (180 + own * 2) // 1_000 + draws.below(70, n) + jump
    # memory grows for some 30 hours, then a process is renewed
    cycle = (26 + own % 9) * 60 * MINUTE_US
    memory = (
        360 + own * 2 + (past_us + own * MINUTE_US * 37) % cycle // 1_000 * 130 // (cycle // 1_000) + draws.below(30, n)
    )
    day = DAY_MINUTES * MINUTE_US
    disk = 290 + own * 3 + past_us % day // 1_000 * 60 // (day // 1_000) + draws.below(6, n)
    return {
        "cpu": np.minimum(cpu, 990),
        "memory": np.minimum(memory, 990),
        "disk": disk,
        "load": cpu * 8 // 100 + draws.below(6, n),
        "sockets": 30 + own + load * (110 + own) // 1_000 + draws.below(24, n),
    }


def tell(entries: Entries, draws: Draws, told: Told, number: int, span: Span, silent: tuple[Silent, ...]) -> None:
    """Write what is told in `span` by those who are not silent."""
    time_us = np.array([at for at in told.times_us if span.start_us <= at < span.end_us], np.int64)
    for one in silent:
        if told.message.service in one.services and one.host in {"", told.host}:
            time_us = time_us[~one.span.holds(time_us)]
    if len(time_us) == 0:
        return
    given = tuple({"host": told.host, **told.given}.items())
    columns: dict[str, pl.Series] = {}
    for name in names_in(told.message, given, traced=False):
        if name != "ts":
            columns[name] = _value(draws, name, len(time_us))
    mark = np.full(len(time_us), number * 2 + 1 if number and told.odd else 0)
    entries.add(told.message, given, columns, arrived=time_us, stamp=time_us, mark=mark, traced=False)
