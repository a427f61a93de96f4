"""Writes the logs of a data centre: two weeks, 16 kinds of incidents, as many harmless look-alikes.

::

    plan ──► traffic, background ──► pages ──► writing
    when     what                    lines     files, in the order of time

`estate`, `messages`, `requests` and `values` hold what the data centre is made of, `kinds` what goes wrong in
it, in terms of `effects`. Everything is drawn from one stream of integers, a stretch of minutes at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, START_US, Period
from oddlog.datasets.simulator.datacentre.estate import SERVICES
from oddlog.datasets.simulator.datacentre.labels import Labels, harmless, incidents
from oddlog.datasets.simulator.datacentre.pages import Entries
from oddlog.datasets.simulator.datacentre.plan import Plan
from oddlog.datasets.simulator.datacentre.rendering import SHAPES, style_of
from oddlog.datasets.simulator.datacentre.traffic import Traffic
from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.tables import write_json
from oddlog.datasets.simulator.writing import LogFiles, file_name, written_aside
from oddlog.errors import ConfigError, did_you_mean
from oddlog.types import Tally

MIN_DAYS, MAX_DAYS = 2, 366
MIN_ENTRIES_PER_DAY = 15_000
STRETCH_LINES = 60_000
"""Entries drawn and sorted at a time."""


@dataclass(frozen=True)
class DataCentre:
    """What `simulate_datacentre` wrote.

    Attributes
    ----------
    folder, train, today : Path
        Everything; the logs to learn from; the later logs to look at.
    lines : int
        Entries in both together.
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


def simulate_datacentre(
    folder: Path | str,
    *,
    entries: int = 1_000_000,
    days: float = 14,
    seed: int = 0,
    shape: str = "json",
    incidents_in_training: Literal["known", "none"] = "known",
    tally: Tally | None = None,
) -> DataCentre:
    """Write a data centre's logs, with incidents of known and unknown kinds, and their labels.

    The first 70 % of the time go to ``train/``, the rest to ``today/``, one file per service. Beside them stand
    ``incidents.json``, ``harmless.json``, ``labels_lines.csv`` (source,line,incident,kind,direct), ``labels.csv``
    (key,label per trace) and ``traces.csv`` (key,period,scenario,incident).

    The same arguments give the same lines on every machine.

    Parameters
    ----------
    folder : Path or str
        Must not exist or be empty; appears whole or not at all.
    entries : int
        Entries in all, met within some percent; at least 15,000 a day.
    days : float
        Length of both periods together, from Monday on; at least 2.
    seed : int
        Not negative.
    shape : str
        ``json``, ``syslog`` (RFC 5424; network devices RFC 3164), ``access`` (the web tier's alone), or ``all``:
        three folders of these names, each with ``train/`` and ``today/``, whose files have the same entries line
        by line.
    incidents_in_training : str
        ``known``: training holds a few incidents of the known kinds, labelled; ``none``: it holds none.
    tally : Tally, optional
        Counts lines and traces by kind.

    Raises
    ------
    ConfigError
        An argument is out of range.
    InputError
        `folder` holds something or cannot be written.

    """
    _check(entries, days, seed, shape, incidents_in_training)
    folder = Path(folder)
    draws = Draws(seed)
    plan = Plan.of(entries, days, draws, known_in_training=incidents_in_training == "known")
    traffic = Traffic(plan, draws)
    shapes = SHAPES if shape == "all" else (shape,)
    with written_aside(folder) as aside:
        roots = {one: aside / one if shape == "all" else aside for one in shapes}
        with Labels(aside, plan) as labels:
            minutes = max(STRETCH_LINES * plan.rhythm.minutes // entries, 1)
            written = sum(_write(roots, period, traffic, labels, minutes) for period in (plan.train, plan.today))
        found = incidents(plan, labels)
        write_json(aside / "incidents.json", found)
        write_json(aside / "harmless.json", harmless(plan))
    labels.lines[0] = written - sum(n for number, n in labels.lines.items() if number)
    if tally is not None:
        labels.count(tally)
    traces = sum(labels.traces.values())
    odd = traces - labels.traces[0]
    first = folder / shapes[0] if shape == "all" else folder
    return DataCentre(folder, first / "train", first / "today", written, traces, odd, tuple(found))


def _check(entries: int, days: float, seed: int, shape: str, training: str) -> None:
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise ConfigError(f"A data centre of {days} days is not possible.", f"From {MIN_DAYS} to {MAX_DAYS}.")
    if entries < MIN_ENTRIES_PER_DAY * days:
        least = round(MIN_ENTRIES_PER_DAY * days)
        raise ConfigError(f"{entries} entries are too few for {days} days.", f"Ask for {least} or more, or fewer days.")
    if seed < 0:
        raise ConfigError(f"The seed {seed} is negative.", "Seeds start at 0.")
    if shape not in {*SHAPES, "all"}:
        raise ConfigError(f"There is no shape '{shape}'.", did_you_mean(shape, [*SHAPES, "all"]))
    if training not in {"known", "none"}:
        raise ConfigError(f"Incidents in training are not '{training}'.", did_you_mean(training, ["known", "none"]))


@contextmanager
def _files(roots: dict[str, Path], period: str) -> Iterator[dict[str, LogFiles]]:
    with ExitStack() as stack:
        made = {}
        for shape, root in roots.items():
            root.mkdir(exist_ok=True)
            services = tuple(s for s in SERVICES if style_of(shape, s))
            made[shape] = stack.enter_context(LogFiles(root / period, services))
        yield made


def _write(roots: dict[str, Path], period: Period, traffic: Traffic, labels: Labels, minutes: int) -> int:
    """Write one period, so many minutes at a time; return its lines."""
    edges = [*range(period.first, period.last, minutes), period.last]
    with _files(roots, period.name) as files:
        for first, last in pairwise(edges):
            entries = Entries(tuple(roots))
            for batch in traffic.write(first, last, entries):
                labels.add_traces(period.name, batch)
            until_us = None if last == period.last else START_US + last * MINUTE_US
            for position, (shape, pages) in enumerate(entries.pages.items()):
                for service, line, mark in files[shape].take(pages, until_us):
                    if position == 0:  # the others hold the same lines in the same places
                        labels.add_lines(f"{period.name}/{file_name(service)}", line, mark)
        return sum(next(iter(files.values())).lines.values())
