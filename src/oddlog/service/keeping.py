"""The thread that writes windows that were judged to Parquet, and forgets what is old."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from oddlog.store import Store, StoreUnavailableError

LOOK_S = 60.0
WRITE_S = 3_600.0  # between files …
MOST_PARTS = 1_000  # … or when so many checkpoints have brought windows
FORGET_S = 3_600.0
MOST_DRIFT_S = 600.0  # a clock that has gone so much farther than time has was set: what is old is not known for sure
BELIEVED_S = 86_400.0  # … until it has gone as it should for a day
_log = logging.getLogger("oddlog")


class Keeper:
    """Writes history, and forgets.

    Parameters
    ----------
    store : Store
        Where windows wait to be written, and what is forgotten.
    folder : Path
        Where files go: ``scores-NUMBER.parquet``, to be read together.
    keep_s : float
        What is older is forgotten, files too; 0 keeps everything.
    clock : callable
        Seconds since the epoch.
    steady : callable
        Seconds that never go back, whatever the clock on the wall is set to.

    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        keep_s: float = 0.0,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._folder, self._keep_s, self._clock, self._steady = store, folder, keep_s, clock, steady
        self._written_s = steady()
        self._forgot_s = steady()  # not at once: a machine that starts may have its clock set right afterwards
        self._ahead_s = clock() - steady()  # of the steady clock, as long as nobody sets it
        self._set_s = float("-inf")  # when it was set
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oddlog-keeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what waits to be written waits in the store."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.turn()
            except (StoreUnavailableError, OSError, pl.exceptions.PolarsError) as error:  # Polars': on a full disk
                _log.warning("History is not written just now: %s", error)

    def turn(self) -> None:
        """Write what has waited long enough, and forget what is old enough."""
        now = self._steady()
        while True:
            part = self._store.scored(MOST_PARTS)
            if part is None or (part.n < MOST_PARTS and now - self._written_s < WRITE_S):
                break
            self._write(part.first, part.windows)
            self._store.forget_scored(part.last)
            self._written_s = now
        if self._keep_s and now - self._forgot_s >= FORGET_S and self._is_believed(now):
            self._forgot_s = now
            self._forget(self._clock() - self._keep_s)

    def _is_believed(self, now: float) -> bool:
        """Return whether the clock can be trusted with what is to be forgotten: nobody has set it lately."""
        ahead = self._clock() - now
        if abs(ahead - self._ahead_s) > MOST_DRIFT_S:
            _log.warning("The clock was set, by %.0f s: nothing is forgotten for a day.", ahead - self._ahead_s)
            self._ahead_s, self._set_s = ahead, now
        return now - self._set_s >= BELIEVED_S

    def _write(self, first: int, windows: pl.DataFrame) -> None:
        """Write a file, aside and then renamed; after a crash in between the same file is written once more."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"scores-{first:012d}.parquet"
        aside = path.with_suffix(f".{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                windows.write_parquet(file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def _forget(self, before_s: float) -> None:
        self._store.forget(datetime.fromtimestamp(before_s, UTC))
        for path in self._folder.glob("scores-*.parquet"):
            if path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
