"""Turns scenarios into entries: one step at a time, many requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.datasets.simulator.datacentre.effects import ONCE, Silent, Skewed
from oddlog.datasets.simulator.datacentre.estate import HOSTS, SERVICES
from oddlog.datasets.simulator.datacentre.messages import MESSAGES, ON_PRIMARY
from oddlog.datasets.simulator.datacentre.pages import Entries
from oddlog.datasets.simulator.datacentre.rendering import Given, names_in
from oddlog.datasets.simulator.datacentre.requests import Scenario
from oddlog.datasets.simulator.datacentre.values import VALUES, addresses, decimals, trace_ids, users
from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.steps import ALWAYS, Step
from oddlog.types import I64, Bool

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
        at = ((self.host_bits >> shift) % np.uint64(len(hosts))).astype(np.int64)
        for silent in self._away:
            if silent.host in hosts:
                gone = (at == hosts.index(silent.host)) & silent.span.holds(self.requests.start)
                at = np.where(gone, (at + 1) % len(hosts), at)
        return at


@dataclass(frozen=True)
class _Turn:
    """Lines [e] of one message type: which traces write them, when, and how long after the line before."""

    message: Message
    given: Given
    direct: bool
    rows: I64
    at: I64
    took: I64


class Writer:
    """Writes requests.

    Parameters
    ----------
    draws : Draws
        Where durations and values come from.
    skewed : tuple
        Wrong clocks, each with the number of its incident.

    """

    def __init__(self, draws: Draws, skewed: tuple[tuple[int, Skewed], ...]) -> None:
        self._draws, self._skewed = draws, skewed

    def write(self, entries: Entries, scenario: Scenario, traces: Traces, slow: tuple[str, I64] | None = None) -> I64:
        """Write every line of `traces` [n] as `scenario` goes.

        Parameters
        ----------
        entries : Entries
            Where to.
        scenario : Scenario
            The steps.
        traces : Traces
            The requests.
        slow : tuple, optional
            A service, and how many sixteenths of its usual time it takes for each trace [n].

        Returns
        -------
        number : I64 [n]
            The incident of each trace, 0 where it meets none: some never come to the slow service, or the wrong clock.

        """
        turns = list(self._turns(scenario, traces, slow))
        number = traces.requests.number.copy()
        if slow:
            met = np.zeros(len(traces), np.bool_)
            for turn in turns:
                met[turn.rows] |= turn.message.service == slow[0]
            number[~met] = 0
        for count, skew in self._skewed:
            for turn in turns:
                there = turn.rows[self._wrong(skew, turn, traces)]
                number[there] = np.where(number[there] == 0, count, number[there])
        for turn in turns:
            self._write(entries, turn, traces, number)
        return number

    def _turns(self, scenario: Scenario, traces: Traces, slow: tuple[str, I64] | None) -> Iterator[_Turn]:
        """Yield what each step writes for which traces, a repetition after the other."""
        at = traces.requests.start.copy()
        path = {"method": scenario.method, "path": scenario.path}
        for step in scenario.steps:
            given = tuple({**path, **{name: str(value) for name, value in step.given.items()}}.items())
            for message, rows in self._chosen(step, len(traces)):
                took = self._draws.latency(round(step.ms * 1_000), len(rows))
                if slow and message.service == slow[0]:
                    took = took * slow[1][rows] // ONCE
                at[rows] += took
                yield _Turn(message, given, step.direct, rows, at[rows], took)

    def _chosen(self, step: Step, n: int) -> Iterator[tuple[Message, I64]]:
        everyone = np.arange(n)
        if step.chance >= ALWAYS and step.most == 1:
            yield MESSAGES[step.message], everyone
            return
        happens = self._draws.chance(step.chance, n)
        copies = self._draws.below(step.most, n) + 1
        for before in range(step.most):
            yield MESSAGES[step.message], everyone[happens & (copies > before)]
        if step.otherwise:
            yield MESSAGES[step.otherwise], everyone[~happens]

    def _wrong(self, skew: Skewed, turn: _Turn, traces: Traces) -> Bool:
        """Return which lines [e] come from the host with the wrong clock while it is wrong."""
        hosts = HOSTS[turn.message.service]
        if skew.host not in hosts:
            return np.zeros(len(turn.rows), np.bool_)
        there: Bool = _host(turn, traces) == hosts.index(skew.host)
        return there & skew.span.holds(traces.requests.start[turn.rows])

    def _write(self, entries: Entries, turn: _Turn, traces: Traces, number: I64) -> None:
        if len(turn.rows) == 0:
            return
        stamp, shown = turn.at, np.full(len(turn.rows), turn.direct)
        for _, skew in self._skewed:
            wrong = self._wrong(skew, turn, traces)
            stamp, shown = np.where(wrong, stamp + skew.shift_us, stamp), shown | wrong
        of = number[turn.rows]
        mark = np.where(of > 0, of * 2 + shown, 0)
        columns = self._columns(turn, traces)
        entries.add(turn.message, turn.given, columns, arrived=turn.at, stamp=stamp, mark=mark, traced=True)

    def _columns(self, turn: _Turn, traces: Traces) -> dict[str, pl.Series]:
        """Return the values in the lines of a turn [e]."""
        rows, service = turn.rows, turn.message.service
        elapsed = np.maximum((turn.at - traces.requests.start[rows]) // 1_000, 1)
        columns = {
            "took": pl.Series(np.maximum(turn.took // 1_000, 1)),
            "elapsed": pl.Series(elapsed),
            "host": pl.Series(HOSTS[service]).gather(_host(turn, traces)),
        }
        for name in names_in(turn.message, turn.given, traced=True):
            if name in columns or name == "ts":
                continue
            if name in VALUES and not VALUES[name].of_trace:
                columns[name] = VALUES[name].draw(self._draws, len(rows))
            else:
                columns[name] = traces.value(name).gather(rows)
        if service == "web":
            columns |= {name: traces.value(name).gather(rows) for name in ("user", "agent")}
            columns["seconds"] = decimals(elapsed, 1_000, _MILLIS)
        return columns


def _host(turn: _Turn, traces: Traces) -> I64:
    """Return where the lines of a turn [e] come from, as positions in the hosts of the service."""
    if turn.message in ON_PRIMARY:
        return np.zeros(len(turn.rows), np.int64)
    return traces.host(turn.message.service)[turn.rows]
