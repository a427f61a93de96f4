"""`oddlog bench run`: cells one after the other, or several at a time, each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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
from oddlog.evaluation.protocols import parse, shows_labels
from oddlog.evaluation.results import Store, name_of, versions
from oddlog.windows import SessionChoice

Say = Callable[[str], None]
LABELS_HINT = "Put labels.csv (key,label) beside the logs for F1, ROC and PR; labels_lines.csv also for lines."
LAYOUT = 2  # of a catalogue on disk
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


@dataclass(frozen=True)
class Job:
    """A cell that is to be run, with what its process needs."""

    name: str
    cell: Cell
    content: dict[str, Any]


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
        if store.is_finished(job.name):
            told.finished_before.append(job.name)
        else:
            jobs.append(job)
    n = len(jobs) + len(told.finished_before)
    for name, why in told.skipped.items():
        say(f"left out: {name}: {why}")
    say(f"{n} cells, {len(told.finished_before)} of them finished before")
    for i, (job, error) in enumerate(_run(jobs, asked, store, lambda: ends - clock()), 1):
        if error == LEFT:
            told.left.append(job.name)
            continue
        told.run.append(job.name)
        if error:
            told.failed[job.name] = error
        what = " ".join((Path(job.cell.set).name, job.cell.protocol, job.cell.detector, f"seed {job.cell.seed}"))
        say(f"{i}/{len(jobs)} {what}: {f'failed: {error}' if error else _told(store.result(job.name) or {})}")
    if told.left:
        say(f"{len(told.left)} cells are left, the time is up: type the same again to go on")
    store.summarise()
    return told


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
        for protocol, detector, seed in product(asked.protocols, asked.detectors, asked.seeds):
            if needs_labels(detector) and not (shows_labels(protocol) and labelled):
                skipped[f"{of.about.name} {protocol} {detector}"] = "it learns from labels, and there are none to see"
                continue
            cell = Cell(of.about.name, protocol, detector, seed, asked.recurring, asked.answers)
            content = {
                "cell": cell.told(),
                "set_folder": str(of.folder.resolve()),
                "about": asdict(of.about),
                "catalogue": str(where.resolve()),
                "folder": str(store.folder.resolve()),
                "command": asked.command,
            }
            job = name_of(cell, where.name)
            yield Job(job, cell, content | {"name": job})


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


def _run(jobs: Sequence[Job], asked: Asked, store: Store, remaining: Callable[[], float]) -> Iterator[tuple[Job, str]]:
    """Yield each job with what went wrong, if something did, as they end."""
    with ThreadPoolExecutor(max(asked.jobs, 1)) as pool:
        waiting: dict[Future[str], Job] = {pool.submit(_in_process, job, asked, store, remaining): job for job in jobs}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    yield waiting.pop(one), one.result()
        finally:
            for one in waiting:
                one.cancel()


LEFT = "left"


def _in_process(job: Job, asked: Asked, store: Store, remaining: Callable[[], float]) -> str:
    """Run a job to its end; return what went wrong, if something did, or `LEFT` if there is no time for it."""
    most_s = min(asked.most_s, remaining())
    if most_s <= 0:
        return LEFT
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        path = Path(folder, "job.json")
        path.write_bytes(orjson.dumps(job.content))
        (store.cells / f"{job.name}.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "oddlog.evaluation.worker", str(path)]
        environment = _with_threads(dict(os.environ), asked.threads) | {"TMPDIR": folder}
        try:
            ended = subprocess.run(  # noqa: S603 - our own module, arguments of our own
                command, env=environment, capture_output=True, timeout=most_s, check=False, text=True
            )
            said = ended.stderr.strip().splitlines()[-1:] or [""]
            why = _why(ended.returncode, said[0])
        except subprocess.TimeoutExpired:
            if most_s < asked.most_s:
                return LEFT
            why = f"it took longer than {asked.most_s:,.0f} s"
    result = store.result(job.name)
    if result is None:
        result = {"cell": job.cell.told(), "ok": False, "error": why, "versions": versions(), "command": asked.command}
        store.write(job.name, result)
    return "" if result["ok"] else str(result["error"])


def _why(code: int, said: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    return f"its process ended with {code}: {said}"


def _with_threads(environment: dict[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a worker: libraries read how many threads they may have when they are imported."""
    names = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return environment | dict.fromkeys(names, str(threads))
