"""Runs the cells of one split in a process of their own: what breaks one breaks no others, see `bench`.

``python -m oddlog.evaluation.worker JOB.json``; started by `bench.run_bench` only.
"""

from __future__ import annotations

import re
import resource
import signal
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import orjson

from oddlog.datasets import About, LogSet
from oddlog.errors import OddlogError
from oddlog.evaluation.bench import load_catalogue
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.cells import Cell, Outcome, needs_labels, run
from oddlog.evaluation.frozen import digest
from oddlog.evaluation.prequential import after_answers
from oddlog.evaluation.protocols import split
from oddlog.evaluation.results import Store, versions
from oddlog.evaluation.scoring import cases_of, every_figure
from oddlog.evaluation.sharing import Shared


def main(path: str) -> None:
    """Run the cells that a file describes, all of one split; write a result each, and say its name when it is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it is meant for `bench`, which ends this process
    job: dict[str, Any] = orjson.loads(Path(path).read_bytes())
    of = LogSet(Path(job["set_folder"]), About(**job["about"]))
    catalogue = load_catalogue(Path(job["catalogue"]))
    store = Store(Path(job["folder"]))
    with ExitStack() as stack:
        shared: Shared | None = None
        for name, told in job["cells"].items():
            cell = Cell(**told)
            _end_after(job["most_s"])
            result = {"cell": cell.told(), "ok": False, "versions": versions(), "command": job["command"]}
            try:
                if shared is None:
                    parts = split(catalogue, cell.protocol, cell.seed)
                    shared = stack.enter_context(Shared(of, catalogue, parts))
                found, judged = measured(cell, of, catalogue, shared)
            except OddlogError as error:
                store.write(name, result | {"error": str(error)})
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on; the report says what it was
                why = traceback.format_exc(limit=-3)
                store.write(name, result | {"error": f"{type(error).__name__}: {error}", "traceback": why})
            else:
                store.write(name, result | found | {"ok": True}, judged)
            _end_after(0)
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()


def _end_after(seconds: float) -> None:
    """Have this process ended if it is still at the same cell after so long; 0: do not."""
    if hasattr(signal, "setitimer"):  # where there is no such clock a cell may take as long as it likes
        signal.setitimer(signal.ITIMER_REAL, seconds)


def measured(cell: Cell, of: LogSet, catalogue: Catalogue, shared: Shared) -> tuple[dict[str, Any], Any]:
    """Return figures and costs of a cell, and its windows."""
    _forget_peak()
    before = _cpu_s() + shared.spared
    began = time.perf_counter()
    done = run(cell, of, catalogue, shared=shared)
    cost = {
        "fit_cpu_s": done.fit_cpu_s,
        "detect_cpu_s": done.detect_cpu_s,
        "cpu_s": _cpu_s() + shared.spared - before,
        "wall_s": time.perf_counter() - began,
        "peak_mb": _peak_mb(),
        "lines_learned": len(done.split.train),
        "lines_judged": len(done.split.test),
    }
    proportion = catalogue.proportion if done.split.weigh else (0, 0)
    answers = after_answers(list(done.parts), done.rows, catalogue, proportion, cell.answers) if cell.answers else []
    told: dict[str, Any] = {
        "split": {"says": done.split.says, "labels": done.split.labels, "weigh": done.split.weigh},
        "proportion": proportion,
        "by_session": catalogue.by_session,
        "learned_from_labels": needs_labels(cell.detector),
        "figures": every_figure(done, of, catalogue),
        "answers": answers,
        "told": _told(done, proportion, catalogue),
        "default": digest(),
        "about": {"title": of.about.title, "terms": of.about.terms, "development": of.about.development},
        "cost": cost,
        "learned": {name: facts.get("says", "") for name, facts in done.model.training["views"].items()},
        "model": done.model.id,
        "notes": list(done.found.notes),
    }
    return told, done.judged


def _told(done: Outcome, proportion: tuple[int, int], catalogue: Catalogue) -> dict[str, Any]:
    """Return misses and false alarms in words, where labels say what they are."""
    if catalogue.labelled_by == "none":
        return {}
    return done.wording.told(cases_of(done.judged, proportion, by_session=catalogue.by_session))


_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB here
_STATUS = Path("/proc/self/status")


def _forget_peak() -> None:
    """Begin the peak anew: a child begins with that of the process that started it (proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mb() -> float:
    """Return the most memory that was resident, 1 MB = 10^6 bytes."""
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii")) if _STATUS.exists() else None
    kib = int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return kib / 1e6


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1])
