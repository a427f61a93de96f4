"""Turns scenarios into entries: one step at a time, many requests at once."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.datasets.simulator.datacentre.effects import ONCE, Silent, Skewed
from oddlog.datasets.simulator.datacentre.estate import HOSTS, SERVICES
from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.datacentre.pages import Entries
from oddlog.datasets.simulator.datacentre.rendering import Given, names_in
from oddlog.datasets.simulator.datacentre.requests import Scenario
from oddlog.datasets.simulator.datacentre.values import VALUES, addresses, trace_ids, users
from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.steps import ALWAYS, Step
from oddlog.types import I64

_AGENTS = pl.Series(
    ["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone)", "courier-app/4.2", "partner-client/2.0"]
)
_MILLIS = pl.Series([f".{i:03d}" for i in range(1_000)])


@dataclass(frozen=True)
class Requests:
    """Who asks, when, and what of it belongs to an incident.

    Attributes
    ----------
    start : I64 [n]
        Microseconds since the epoch.
    user, client : I64 [n]
        Who, and from which address.
    number : I64 [n]
        Number of the incident, 0 for none.

    """

    start: I64
    user: I64
    client: I64
    number: I64

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: I64) -> Requests:
        """Return the requests at `rows` [x]."""
        return Requests(self.start[rows], self.user[rows], self.client[rows], self.number[rows])


class Traces:
    """Requests with all that stays the same in all their lines.

    Parameters
    ----------
    draws : Draws
        Where ids and values come from.
    requests : Requests [n]
        Who and when.
    away : tuple of Silent
        Hosts that serve nothing for a while.
    size : int
        Bytes are so many times as large as usual.

    """

    def __init__(self, draws: Draws, requests: Requests, away: tuple[Silent, ...] = (), size: int = 1) -> None:
        self.requests = requests
        self.ids = trace_ids(draws, len(requests))
        self._draws = draws
        self._size = size
        self.values: dict[str, pl.Series] = {
            "trace_id": self.ids,
            "user": users(requests.user),
            "client": addresses(requests.client),
            "agent": _AGENTS.gather(requests.user % len(_AGENTS)),
        }
        self.host_bits = draws.raw(len(requests))
        self._away = away

    def __len__(self) -> int:
        return len(self.requests)

    def value(self, name: str) -> pl.Series:
        """Return a value of the traces [n], drawn when first asked for."""
        if name not in self.values:
            drawn = VALUES[name].draw(self._draws, len(self))
            self.values[name] = drawn * self._size if name in {"bytes", "rows"} and self._size > 1 else drawn
        return self.values[name]

    def take(self, rows: I64, requests: Requests) -> Traces:
        """Return the traces at `rows` [x], which are `requests` [x]; nothing is drawn for them again."""
        some = copy(self)
        some.requests, some.ids, some.host_bits = requests, self.ids.gather(rows), self.host_bits[rows]
        some.values = {name: values.gather(rows) for name, values in self.values.items()}
        return some

    def host(self, service: str) -> I64:
        """Return the host that serves each trace [n] in `service`, as a position in its hosts."""
        hosts = HOSTS[service]
        shift = np.uint64(3 * SERVICES.index(service) % 60)
        # reads go to any database, and so do the few writes: who is primary plays no part in the lines
        at = ((self.host_bits >> shift) % np.uint64(len(hosts))).astype(np.int64)
        for silent in self._away:
            if silent.host in hosts:
                gone = (at == hosts.index(silent.host)) & silent.span.holds(self.requests.start)
                at = np.where(gone, (at + 1) % len(hosts), at)
        return at


def write(
    entries: Entries,
    draws: Draws,
    scenario: Scenario,
    traces: Traces,
    slow: tuple[str, I64] | None = None,
    skewed: tuple[tuple[int, Skewed], ...] = (),
) -> I64:
    """Write every line of `traces` [n] as `scenario` goes; return the number of the incident of each.

    Parameters
    ----------
    entries : Entries
        Where to.
    draws : Draws
        Where durations and values come from.
    scenario : Scenario
        The steps.
    traces : Traces
        The requests.
    slow : tuple, optional
        A service, and how many sixteenths of its usual time it takes for each trace [n].
    skewed : tuple
        Wrong clocks, each with the number of its incident.

    """
    at = traces.requests.start.copy()
    number = traces.requests.number
    for count, skew in skewed:
        number = np.where((number == 0) & _served_on(traces, scenario, skew), count, number)
    everyone = np.arange(len(traces))
    path = {"method": scenario.method, "path": scenario.path}
    for step in scenario.steps:
        given = tuple({**path, **{name: str(value) for name, value in step.given.items()}}.items())
        for message, rows in _turns(draws, step, everyone):
            took = draws.latency(round(step.ms * 1_000), len(rows))
            if slow and message.service == slow[0]:
                took = took * slow[1][rows] // ONCE
            at[rows] += took
            _write_step(entries, draws, message, given, traces, rows, at[rows], took, number[rows], step.direct, skewed)
    return number


def _turns(draws: Draws, step: Step, everyone: I64) -> list[tuple[Message, I64]]:
    """Return what a step writes and for which traces, a repetition after the other."""
    n = len(everyone)
    if step.chance >= ALWAYS and step.most == 1:
        return [(MESSAGES[step.message], everyone)]
    happens = draws.chance(step.chance, n)
    copies = draws.below(step.most, n) + 1
    turns = [(MESSAGES[step.message], everyone[happens & (copies > copy)]) for copy in range(step.most)]
    if step.otherwise:
        turns.append((MESSAGES[step.otherwise], everyone[~happens]))
    return [(message, rows) for message, rows in turns if len(rows)]


def _served_on(traces: Traces, scenario: Scenario, skew: Skewed) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether a line of each trace [n] comes from the host with the wrong clock."""
    found = np.zeros(len(traces), np.bool_)
    for service in scenario.services:
        if skew.host in HOSTS[service]:
            found |= traces.host(service) == HOSTS[service].index(skew.host)
    return found & skew.span.holds(traces.requests.start)


def _write_step(
    entries: Entries,
    draws: Draws,
    message: Message,
    given: Given,
    traces: Traces,
    rows: I64,
    at: I64,
    took: I64,
    number: I64,
    direct: bool,
    skewed: tuple[tuple[int, Skewed], ...],
) -> None:
    """Write a line [e] for each of the `rows` [e] of `traces`, at `at`, `took` after the one before."""
    host = traces.host(message.service)[rows]
    elapsed = np.maximum((at - traces.requests.start[rows]) // 1_000, 1)
    columns = {
        "took": pl.Series(np.maximum(took // 1_000, 1)),
        "elapsed": pl.Series(elapsed),
        "host": pl.Series(HOSTS[message.service]).gather(host),
    }
    for name in names_in(message, given, traced=True):
        if name in columns or name == "ts":
            continue
        if name in VALUES and not VALUES[name].of_trace:
            columns[name] = VALUES[name].draw(draws, len(rows))
        else:
            columns[name] = traces.value(name).gather(rows)
    if message.service == "web":
        columns |= {name: traces.value(name).gather(rows) for name in ("user", "agent")}
        columns["seconds"] = pl.select(
            pl.concat_str(pl.Series(elapsed // 1_000), _MILLIS.gather(elapsed % 1_000))
        ).to_series()
    stamp, shown = at, np.full(len(rows), direct)
    for count, skew in skewed:
        if skew.host in HOSTS[message.service]:
            wrong = (host == HOSTS[message.service].index(skew.host)) & (number == count)
            stamp, shown = np.where(wrong, stamp + skew.shift_us, stamp), shown | wrong
    mark = np.where(number > 0, number * 2 + shown, 0)
    entries.add(message, given, columns, arrived=at, stamp=stamp, mark=mark, traced=True)
