"""Sources that are asked for lines, into the spool: with each batch, in one write, how far the source has come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import polars as pl

from oddlog.errors import OddlogError
from oddlog.sources.spool import Spool
from oddlog.sources.spooled import Entries
from oddlog.types import Batch, Tally

MAX_LINES = 20_000
WAIT_S = 0.25
AGAIN_S = 0.5  # between tries while nothing can be kept
WAITED = "source not read for a while: nothing can be kept"
_log = logging.getLogger("oddlog")


class _Source(Protocol):
    def poll(self, max_lines: int, timeout_s: float) -> Batch: ...
    def commit(self, position: Any) -> None: ...
    def close(self) -> None: ...


class Feeder:
    """Feeds a spool from a source, in a thread of its own; see `intakes.Intake`.

    After anything, also ``kill -9``, the source goes on behind the last line that is durable: a line comes once.

    Parameters
    ----------
    name : str
        What the source is called; its marks stand in the spool under it.
    spool : Spool
        Takes the lines.
    open_source : callable
        Returns the source: (tally, marks or None for the first time). Its positions are objects of JSON.

    """

    def __init__(
        self, name: str, spool: Spool, open_source: Callable[[Tally, Mapping[str, Any] | None], _Source]
    ) -> None:
        self.name, self._spool = name, spool
        self.tally = Tally()
        self.lines = 0
        self.failure: Exception | None = None
        self._marks = spool.marks(name)
        self._source = open_source(self.tally, self._marks or None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"oddlog-{name}"[:40], daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch in hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._source.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.turn(WAIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the service goes on
            self.failure = error
            _log.exception("%s has stopped", self.name)

    def turn(self, timeout_s: float) -> int:
        """Keep what has come, or wait for it; return how many lines were kept."""
        batch = self._source.poll(MAX_LINES, timeout_s)
        marks = dict(batch.position or {})
        new: dict[str, Any] = {part: value for part, value in marks.items() if self._marks.get(part) != value}
        new |= dict.fromkeys(self._marks.keys() - marks.keys())
        if not new and not len(batch.lines):
            return 0
        if not self._keep(_entries(batch.lines), {self.name: new}):
            return 0
        self._marks = marks
        self.lines += len(batch.lines)
        self._source.commit(batch.position)
        return len(batch.lines)

    def _keep(self, entries: Entries, marks: Mapping[str, Mapping[str, Any]]) -> bool:
        """Return once the entries are durable, or False where it is to stop before they are."""
        waited = False
        while True:
            try:
                self._spool.append(entries, marks)
            except (OddlogError, OSError) as error:
                self.tally.add(WAITED, int(not waited), example=str(error))
                waited = True
                if self._stop.wait(AGAIN_S):
                    return False  # the source goes on before them next time
            else:
                return True


def _entries(lines: pl.DataFrame) -> Entries:
    parts = lines.partition_by("source", maintain_order=True) if len(lines) else []
    return [(part["source"][0], part["text"].to_list()) for part in parts]
