"""Writes the logs of a small web shop: usual traffic to learn from, and a day on which two things go wrong.

::

    plan ──► traffic ──► rendering ──► writing
    when     what        lines         files, in the order of time

`messages`, `scenarios` and `values` hold what the shop is made of. Everything is drawn from one stream of
integers (`draws`), a stretch of minutes at a time, so that memory does not grow with the number of lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.shop.labels import Labels, harmless, incidents
from oddlog.datasets.simulator.shop.messages import SERVICES
from oddlog.datasets.simulator.shop.plan import MINUTE_US, Period, Plan
from oddlog.datasets.simulator.shop.traffic import Traffic
from oddlog.datasets.simulator.tables import write_json
from oddlog.datasets.simulator.writing import LogFiles, blank_pages, file_name, written_aside
from oddlog.errors import ConfigError
from oddlog.types import Tally

MIN_LINES = 20_000
MIN_DAYS, MAX_DAYS = 0.25, 366
STRETCH_LINES = 50_000
"""Lines drawn and sorted at a time; about 60 MB."""


@dataclass(frozen=True)
class Simulated:
    """What `simulate` wrote.

    Attributes
    ----------
    folder, train, today : Path
        Everything; the logs to learn from; the later logs to look at.
    lines : int
        Lines in both together.
    traces, anomalous_traces : int
        Requests in both together, and those that belong to an incident.
    incidents : tuple of dict
        As in ``incidents.json``.

    """

    folder: Path
    train: Path
    today: Path
    lines: int
    traces: int
    anomalous_traces: int
    incidents: tuple[dict[str, Any], ...]


def simulate(
    folder: Path | str, *, lines: int = 60_000, days: float = 1.5, seed: int = 0, tally: Tally | None = None
) -> Simulated:
    """Write a web shop's logs as JSON lines, with two incidents in the later part, and their labels.

    Three quarters of the time go to ``train/``, the last quarter to ``today/``, one file per service. Beside
    them stand ``labels.csv`` (key,label per trace), ``labels_clients.csv`` (key,label per address),
    ``labels_lines.csv`` (source,line,kind: the lines of the incidents), ``traces.csv`` (key,period,scenario,
    incident), ``incidents.json`` and ``harmless.json`` (what looks odd and is not).

    The same arguments give the same lines on every machine.

    Parameters
    ----------
    folder : Path or str
        Must not exist or be empty; appears whole or not at all.
    lines : int
        Lines in all, met within some percent; at least 20,000.
    days : float
        Length of both periods together; at least 0.25.
    seed : int
        Not negative.
    tally : Tally, optional
        Counts lines and traces by kind.

    Raises
    ------
    ConfigError
        `lines`, `days` or `seed` is out of range.
    InputError
        `folder` holds something or cannot be written.

    """
    _check(lines, days, seed)
    folder = Path(folder)
    plan = Plan.of(lines, days)
    traffic = Traffic(plan, Draws(seed))
    with written_aside(folder) as aside:
        with Labels(aside) as labels:
            written = sum(_write(aside, period, traffic, labels) for period in (plan.train, plan.today))
        found = incidents(plan, labels)
        write_json(aside / "incidents.json", found)
        write_json(aside / "harmless.json", harmless(plan))
    labels.lines[0] = written - sum(labels.lines.values())
    if tally is not None:
        labels.count(tally)
    traces = sum(labels.traces.values())
    odd = traces - labels.traces[0]
    return Simulated(folder, folder / "train", folder / "today", written, traces, odd, tuple(found))


def _check(lines: int, days: float, seed: int) -> None:
    if lines < MIN_LINES:
        raise ConfigError(f"A simulation of {lines} lines is too small.", f"Ask for {MIN_LINES} or more.")
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise ConfigError(f"A simulation of {days} days is not possible.", f"From {MIN_DAYS} to {MAX_DAYS}.")
    if seed < 0:
        raise ConfigError(f"The seed {seed} is negative.", "Seeds start at 0.")


def _write(folder: Path, period: Period, traffic: Traffic, labels: Labels) -> int:
    """Write one period; return its lines."""
    stretches = -(-period.lines // STRETCH_LINES)
    edges = [period.minutes * i // stretches for i in range(stretches + 1)]
    with LogFiles(folder / period.name, SERVICES) as files:
        for first, last in pairwise(edges):
            pages = blank_pages(SERVICES)
            for batch in traffic.write(period, first, last, pages):
                labels.add_traces(period, batch)
            until_us = None if last == period.minutes else period.start_us + last * MINUTE_US
            for service, line, mark in files.take(pages, until_us):
                labels.add_lines(f"{period.name}/{file_name(service)}", line, mark)
        return sum(files.lines.values())
