"""The cells of a split one after the other in a process of their own, several splits at a time.

A cell that breaks its process is told as failed, and those behind it go on in another one. Whoever stops listening
(Ctrl-C, an error) ends the processes: their cells count as left, not as failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import orjson

from oddlog.evaluation.cells import Cell
from oddlog.evaluation.results import Store, versions

LEFT = "left"
LISTEN_S = 0.2
Ended = tuple[str, Cell, str]


@dataclass(frozen=True)
class Job:
    """Cells of one split that are to be run, by name, with what their process needs.

    Attributes
    ----------
    cells : dict
        By name.
    content : dict
        What `worker` is told besides: where the set lies, what was typed, how long a cell may take.

    """

    cells: dict[str, Cell]
    content: dict[str, Any]

    def without(self, names: Collection[str]) -> Job:
        """Return the job without some of its cells."""
        return replace(self, cells={name: cell for name, cell in self.cells.items() if name not in names})


def run_jobs(
    jobs: Sequence[Job], store: Store, *, processes: int, threads: int, remaining: Callable[[], float]
) -> Generator[Ended]:
    """Yield each cell as it ends, with what went wrong, if something did; `LEFT` if nobody has begun or ended it.

    To be closed: that ends what runs.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be run.
    store : Store
        Takes the results.
    processes, threads : int
        Processes at a time, and threads of each.
    remaining : callable
        Returns how many seconds are left.

    """
    ended: SimpleQueue[Ended | BaseException] = SimpleQueue()
    running = _Running(store, threads, remaining)

    def work(job: Job) -> None:
        try:
            for one in running.cells(job):
                ended.put(one)
        except BaseException as error:  # noqa: BLE001 - who waits for the cells is to be told
            ended.put(error)

    with ThreadPoolExecutor(max(processes, 1)) as pool:
        waiting = [pool.submit(work, job) for job in jobs]
        try:
            for _ in range(sum(len(job.cells) for job in jobs)):
                one = _next(ended)
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            for future in waiting:
                future.cancel()
            running.stop()


def _next(ended: SimpleQueue[Ended | BaseException]) -> Ended | BaseException:
    """Wait for the next; Ctrl-C is heard within `LISTEN_S`: a wait without an end goes on after a signal."""
    while True:
        with suppress(Empty):
            return ended.get(timeout=LISTEN_S)


class _Running:
    """The processes that run at this moment."""

    def __init__(self, store: Store, threads: int, remaining: Callable[[], float]) -> None:
        self._store, self._threads, self._remaining = store, threads, remaining
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """End them all; none is begun any more."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()

    def cells(self, job: Job) -> Iterator[Ended]:
        """Run the cells of a job; after one that breaks its process those behind it go on in another."""
        while job.cells:
            left_s = self._remaining()
            if left_s <= 0 or self._stopped:
                yield from ((name, cell, LEFT) for name, cell in job.cells.items())
                return
            done: set[str] = set()
            why = ""
            for told in self._process(job, left_s):
                if told in job.cells:
                    done.add(told)
                    result = self._store.result(told) or {}
                    yield told, job.cells[told], "" if result.get("ok") else str(result.get("error", why))
                else:
                    why = told
            job = job.without(done)
            if job.cells and why != LEFT:
                name, cell = next(iter(job.cells.items()))
                failed = {"cell": cell.told(), "ok": False, "error": why, "versions": versions()}
                self._store.write(name, failed | {"command": job.content["command"]})
                yield name, cell, why
                job = job.without([name])

    def _process(self, job: Job, left_s: float) -> Iterator[str]:
        """Yield the name of each cell as a process of their own ends it, and last why that ended, if not well.

        That is `LEFT` if it was ended since the time is up, or nobody waits for it any more.
        """
        with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
            path, said = Path(folder, "job.json"), Path(folder, "said")
            told = job.content | {"cells": {name: cell.told() for name, cell in job.cells.items()}}
            path.write_bytes(orjson.dumps(told))
            for name in job.cells:
                (self._store.cells / f"{name}.json").unlink(missing_ok=True)
            up = threading.Event()
            with said.open("w", encoding="utf-8") as errors:
                process = subprocess.Popen(  # noqa: S603 - our own module, arguments of our own
                    [sys.executable, "-m", "oddlog.evaluation.worker", str(path)],
                    env=_with_threads(dict(os.environ), self._threads) | {"TMPDIR": folder},
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )

                def end() -> None:
                    up.set()
                    process.kill()

                timer = threading.Timer(min(left_s, threading.TIMEOUT_MAX), end)
                timer.start()
                try:
                    with process:
                        self._known(process)
                        assert process.stdout is not None
                        yield from (line.rstrip("\n") for line in process.stdout if line.rstrip("\n") in job.cells)
                finally:
                    timer.cancel()
                    process.kill()
                    with self._lock:
                        self._processes.discard(process)
            if up.is_set() or self._stopped:
                yield LEFT
            elif process.returncode:
                last = said.read_text(encoding="utf-8").strip().splitlines()[-1:] or [""]
                yield _why(process.returncode, last[0], job.content["most_s"])
            else:
                yield "its process ended before it"

    def _known(self, process: subprocess.Popen[str]) -> None:
        """Have `stop` end it; at once, if that was while it was begun."""
        with self._lock:
            self._processes.add(process)
            if self._stopped:
                process.kill()


def _why(code: int, said: str, most_s: float) -> str:
    if code < 0:
        if -code == getattr(signal, "SIGALRM", None):
            return f"it took longer than {most_s:,.0f} s"
        name = signal.Signals(-code).name
        return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    return f"its process ended with {code}: {said}"


def _with_threads(environment: dict[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a worker: libraries read how many threads they may have when they are imported."""
    names = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return environment | dict.fromkeys(names, str(threads))
