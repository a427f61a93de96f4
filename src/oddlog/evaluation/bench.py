"""`oddlog bench run`: what is asked for → cells by their splits → `processes` → results; what is finished stays so."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from oddlog import plugins
from oddlog.datasets import KNOWN, LogSet, find_set
from oddlog.errors import ConfigError, did_you_mean
from oddlog.evaluation.catalogue import Catalogue, catalogue
from oddlog.evaluation.cells import DEFAULT, Cell, members, needs_labels
from oddlog.evaluation.processes import LEFT, Job, run_jobs
from oddlog.evaluation.protocols import parse, shows_labels
from oddlog.evaluation.results import Store, name_of, versions
from oddlog.windows import SessionChoice

Say = Callable[[str], None]
LABELS_HINT = "Put labels.csv (key,label) beside the logs for F1, ROC and PR; labels_lines.csv also for lines."
LAYOUT = 2  # of a catalogue on disk
NO_LABELS = "it learns from labels, and there are none to see"
MOST_S = 6 * 3600.0  # a cell that takes longer is ended and counts as failed


@dataclass(frozen=True)
class Asked:
    """What a bench is asked to run.

    Attributes
    ----------
    sets, protocols, detectors : sequence of str
        By name; every combination is a cell.
    seeds : sequence of int
        See `cells.Cell`.
    data : Path
        A folder of raw files, for sets that are not prepared yet.
    folder : Path
        Where results go; what is finished there is not run again.
    jobs, threads : int
        Processes at a time, and threads of each.
    recurring, session, window, format : str
        As of `fit`, where they differ from what the set says.
    answers : int
        How many answers are given at most; see `prequential`.
    command : str
        What was typed, kept with the results.
    most_s : float
        How long a cell may take.
    budget_s : float
        How long all of them may take; what is not begun by then is left for the next time.

    """

    sets: Sequence[str]
    protocols: Sequence[str]
    detectors: Sequence[str]
    folder: Path
    seeds: Sequence[int] = (0,)
    data: Path = Path("data")
    jobs: int = 1
    threads: int = 1
    recurring: str = "usual"
    answers: int = 0
    session: str = ""
    window: str = ""
    format: str = ""
    command: str = ""
    most_s: float = MOST_S
    budget_s: float = float("inf")

    def check(self) -> None:
        """Refuse what there is not, before anything is read.

        Raises
        ------
        ConfigError
            If a protocol or a detector is unknown, or nothing is asked for.

        """
        for what, names in (("set", self.sets), ("protocol", self.protocols), ("detector", self.detectors)):
            if not names:
                raise ConfigError(f"No {what} was named.", f"Add, for instance: --{what}s {_EXAMPLES[what]}")
        for protocol in self.protocols:
            parse(protocol)
        there = plugins.found("oddlog.detectors")
        for name in (one for detector in self.detectors if detector != DEFAULT for one in members(detector)):
            if name not in there:
                raise ConfigError(f"There is no detector '{name}'.", did_you_mean(name, [*there, DEFAULT]))


_EXAMPLES = {"set": "hdfs", "protocol": "time", "detector": "snn,new-event"}


@dataclass
class Told:
    """What came of a bench."""

    run: list[str] = field(default_factory=list)
    finished_before: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def quick(asked: Asked) -> Asked:
    """Return what takes ten minutes at most: what was asked for, and where that is nothing, a choice of what is there.

    Sets are those whose raw files lie in the folder of data, and the simulated shop, which needs none.
    """
    there = [name for name in QUICK_SETS if not KNOWN[name].folder or _has_raw(name, asked)]
    return replace(
        asked,
        sets=asked.sets or there,
        protocols=asked.protocols or QUICK_PROTOCOLS,
        detectors=asked.detectors or QUICK_DETECTORS,
        budget_s=min(asked.budget_s, QUICK_S),
    )


def _has_raw(name: str, asked: Asked) -> bool:
    raw = asked.data / KNOWN[name].folder
    return (Store(asked.folder).folder / "sets" / name).is_dir() or (raw.is_dir() and any(raw.iterdir()))


QUICK_S = 540.0  # a minute of the ten is left to a report
QUICK_SETS = ("hdfs", "nova", "shop")
QUICK_PROTOCOLS = ("time-usual", "random")
QUICK_DETECTORS = ("new-event", "snn", "ocsvm")


def run_bench(asked: Asked, say: Say, clock: Callable[[], float] = time.monotonic) -> Told:
    """Run every cell that is not finished; one that fails stops no other.

    Parameters
    ----------
    asked : Asked
        What to run.
    say : callable
        Told in words how it goes.
    clock : callable
        Seconds, for the budget.

    Raises
    ------
    UserError
        If something asked for does not exist, or no set can be read.

    """
    asked.check()
    store, told, ends = Store(asked.folder), Told(), clock() + asked.budget_s
    jobs = []
    for job in _jobs(asked, store, say, told.skipped):
        finished = [name for name in job.cells if store.is_finished(name)]
        told.finished_before += finished
        jobs += _dealt(job.without(finished), asked.jobs)
    for name, why in told.skipped.items():
        say(f"left out: {name}: {why}")
    n = sum(len(job.cells) for job in jobs)
    say(f"{n + len(told.finished_before)} cells, {len(told.finished_before)} of them finished before")
    ended = run_jobs(jobs, store, processes=asked.jobs, threads=asked.threads, remaining=lambda: ends - clock())
    with closing(ended):
        for i, (name, cell, error) in enumerate(ended, 1):
            if error == LEFT:
                told.left.append(name)
                continue
            told.run.append(name)
            if error:
                told.failed[name] = error
            what = " ".join((Path(cell.set).name, cell.protocol, cell.detector, f"seed {cell.seed}"))
            say(f"{i}/{n} {what}: {f'failed: {error}' if error else _told(store.result(name) or {})}")
    if told.left:
        say(f"{len(told.left)} cells are left, the time is up: type the same again to go on")
    store.summarise()
    return told


def _dealt(job: Job, n: int) -> list[Job]:
    """Return the cells of a job dealt out to at most `n` processes, so that several at a time have something to do."""
    names = list(job.cells)
    parts = [names[i::n] for i in range(min(max(n, 1), len(names)))]
    return [replace(job, cells={name: job.cells[name] for name in part}) for part in parts]


def _told(result: dict[str, Any]) -> str:
    figures, cost = result.get("figures", {}), result.get("cost", {})
    shown = " ".join(
        f"{label} {figures[name]:.3f}"
        for name, label in (("f1", "F1"), ("roc_auc", "AUC"))
        if figures.get(name) is not None
    )
    return f"{shown}, {cost.get('cpu_s', 0):.1f} CPU-s, {cost.get('peak_mb', 0):,.0f} MB"


def _jobs(asked: Asked, store: Store, say: Say, skipped: dict[str, str]) -> Iterator[Job]:
    for name in asked.sets:
        say(f"reading {name}")
        of = find_set(name, asked.data, store.folder / "sets").read_as(
            session=asked.session, window=asked.window, format=asked.format
        )
        where = catalogued(of, store)
        labelled = of.labelled_by != "none"
        if not labelled:
            say(
                f"{of.about.name} has no labels: how many windows are odd can be said, and what it costs. {LABELS_HINT}"
            )
        for protocol, seed in product(asked.protocols, asked.seeds):
            cells: dict[str, Cell] = {}
            for detector in asked.detectors:
                if needs_labels(detector) and not (shows_labels(protocol) and labelled):
                    skipped[f"{of.about.name} {protocol} {detector}"] = NO_LABELS
                    continue
                cell = Cell(of.about.name, protocol, detector, seed, asked.recurring, asked.answers)
                cells[name_of(cell, where.name)] = cell
            content = {
                "set_folder": str(of.folder.resolve()),
                "about": asdict(of.about),
                "catalogue": str(where.resolve()),
                "folder": str(store.folder.resolve()),
                "command": asked.command,
                "most_s": asked.most_s,
            }
            yield Job(cells, content)


def catalogued(of: LogSet, store: Store) -> Path:
    """Return where the catalogue of a set lies; it is made if the logs, the labels or the options are others."""
    labels = [path for path in (of.labels, of.line_labels) if path is not None]
    files = [(str(path), (info := path.stat()).st_size, info.st_mtime_ns) for path in (*of.paths, *labels)]
    content = orjson.dumps([asdict(of.about), files, versions()["oddlog"], LAYOUT])
    where = store.folder / "catalogues" / f"{of.about.name}-{hashlib.blake2b(content, digest_size=6).hexdigest()}"
    if not (where / "catalogue.json").exists():
        save_catalogue(catalogue(of), where)
    return where


def save_catalogue(one: Catalogue, folder: Path) -> None:
    """Write a catalogue; its JSON comes last, so that one with it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    one.lines.write_parquet(folder / "lines.parquet")
    one.cases.write_parquet(folder / "cases.parquet")
    told = {
        "name": one.name,
        "sources": one.sources,
        "timed": one.timed,
        "whole": one.whole,
        "trained_on": one.trained_on,
        "labelled_by": one.labelled_by,
        "choice": {"kind": one.choice.kind, "value": one.choice.value, "confidence": one.choice.confidence},
    }
    (folder / "catalogue.json").write_bytes(orjson.dumps(told))


def load_catalogue(folder: Path) -> Catalogue:
    """Read what `save_catalogue` wrote."""
    told = orjson.loads((folder / "catalogue.json").read_bytes())
    return Catalogue(
        told["name"],
        pl.read_parquet(folder / "lines.parquet"),
        pl.read_parquet(folder / "cases.parquet"),
        tuple(told["sources"]),
        told["timed"],
        (told["whole"][0], told["whole"][1]),
        told["trained_on"],
        SessionChoice(**told["choice"]),
        told["labelled_by"],
    )
