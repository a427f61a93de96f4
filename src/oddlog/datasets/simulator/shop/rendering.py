"""Turns scenarios into lines: one message type at a time, many traces at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.shop.messages import FIELD_VALUE, HOSTS, MESSAGES, NUMERIC, SERVICES
from oddlog.datasets.simulator.shop.scenarios import Scenario
from oddlog.datasets.simulator.shop.values import VALUES, clients, trace_ids, users
from oddlog.datasets.simulator.steps import ALWAYS
from oddlog.datasets.simulator.tables import times
from oddlog.datasets.simulator.writing import Pages
from oddlog.types import I64

_PLACE = re.compile(r"\{(\w+)\}")
Given = tuple[tuple[str, int | str], ...]


class Traces:
    """Requests of one kind: when they start, who sends them, and what stays the same in all their lines.

    Parameters
    ----------
    draws : Draws
        Where ids and values come from.
    start : I64 [n]
        Microseconds since the epoch.
    user, client : I64 [n]
        Who, and from which address.

    """

    def __init__(self, draws: Draws, start: I64, user: I64, client: I64) -> None:
        n = len(start)
        self.start = start
        self.ids = trace_ids(draws, n)
        self._draws = draws
        self._values: dict[str, Sequence[int | str]] = {
            "trace_id": self.ids,
            "user": users(user),
            "client": clients(client),
        }
        self._host_bits = draws.raw(n)

    def __len__(self) -> int:
        return len(self.start)

    def value(self, name: str) -> Sequence[int | str]:
        """Return a value of the traces [n], drawn when first asked for."""
        if name not in self._values:
            self._values[name] = VALUES[name].draw(self._draws, len(self))
        return self._values[name]

    def host(self, service: str) -> list[str]:
        """Return the host that serves each trace [n] in `service`."""
        hosts = HOSTS[service]
        shift = np.uint64(4 * SERVICES.index(service))
        at = (self._host_bits >> shift) % np.uint64(len(hosts))
        return [hosts[i] for i in at.tolist()]


@cache
def layout(message: Message, given: Given, *, traced: bool) -> tuple[str, tuple[str, ...]]:
    """Return a line's %-format and the names of the values that go into it.

    Values in `given` are written out, so a line of a known method and status has no place for them. This is the
    only function that knows how a line is written; another way of writing takes its place.
    """
    fields = {"level": message.level, "service": message.service, "host": "{host}"}
    if traced:
        fields["trace_id"] = "{trace_id}"
    fields |= {"msg": message.text}
    fields |= {name: f"{{{FIELD_VALUE.get(name, name)}}}" for name in message.fields}
    body = ",".join(
        f'"{name}":{text}' if name in NUMERIC else f'"{name}":{json.dumps(text)}'
        for name, text in {"ts": "{ts}", **fields}.items()
    )
    literal = dict(given)
    while any(f"{{{name}}}" in body for name in literal):  # a path holds values of its own
        for name, value in literal.items():
            body = body.replace(f"{{{name}}}", str(value))
    names = tuple(_PLACE.findall(body))
    return "{" + _PLACE.sub(_pattern, body.replace("%", "%%")) + "}", names


def _pattern(place: re.Match[str]) -> str:
    name = place.group(1)
    return VALUES[name].pattern if name in VALUES else "%s"


def write_traces(pages: Pages, draws: Draws, scenario: Scenario, traces: Traces, mark: int = 0) -> None:
    """Write every line of `traces` [n] into `pages`."""
    at = traces.start
    everyone = np.arange(len(traces))
    for step in scenario.steps:
        happens = draws.chance(step.chance, len(traces)) if step.chance < ALWAYS else everyone >= 0
        copies = draws.below(step.most, len(traces)) + 1 if step.most > 1 else everyone * 0 + 1
        turns = [(step.message, everyone[happens & (copies > copy)]) for copy in range(step.most)]
        if step.otherwise:
            turns.append((step.otherwise, everyone[~happens]))
        given = {"method": scenario.method, "path": scenario.path, **step.given}
        for name, rows in turns:
            took = draws.latency(round(step.ms * 1000), len(rows))
            at = at.copy()
            at[rows] += took
            message = MESSAGES[name]
            text = _traced(draws, message, given, traces=traces, rows=rows, at=at[rows], took=took)
            pages[message.service].add(at[rows], text, mark)


def _traced(
    draws: Draws,
    message: Message,
    given: Mapping[str, int | str],
    *,
    traces: Traces,
    rows: I64,
    at: I64,
    took: I64,
) -> list[str]:
    """Return a line [e] for each of the `rows` [e] of `traces`, written at `at`, `took` after the one before."""
    pattern, names = layout(message, tuple(given.items()), traced=True)
    own: dict[str, Sequence[int | str]] = {
        "ts": times(at),
        "took": np.maximum(took // 1000, 1).tolist(),
        "elapsed": np.maximum((at - traces.start[rows]) // 1000, 1).tolist(),
    }
    chosen = rows.tolist()
    for name in names:
        if name in own:
            continue
        if name in VALUES and not VALUES[name].of_trace:
            own[name] = VALUES[name].draw(draws, len(rows))
        else:
            whole = traces.host(message.service) if name == "host" else traces.value(name)
            own[name] = [whole[i] for i in chosen]
    return [pattern % row for row in zip(*(own[name] for name in names), strict=True)]


def write_untraced(
    pages: Pages,
    draws: Draws,
    message: Message,
    time_us: I64,
    *,
    host: str,
    given: Mapping[str, int | str] | None = None,
    mark: int = 0,
) -> None:
    """Write lines of `host` that belong to no request, at `time_us` [e]."""
    n = len(time_us)
    literal = {"host": host, **(given or {})}
    pattern, names = layout(message, tuple(literal.items()), traced=False)
    own: dict[str, Sequence[int | str]] = {"ts": times(time_us)}
    for name in names:
        if name == "took":
            own[name] = np.maximum(draws.latency(240_000, n) // 1000, 1).tolist()
        elif name not in own:
            own[name] = VALUES[name].draw(draws, n)
    rows = zip(*(own[name] for name in names), strict=True)
    pages[message.service].add(time_us, [pattern % row for row in rows], mark)
