"""The thread that judges what was pushed, stores incidents, and notes how far it has come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from oddlog.errors import ModelError
from oddlog.pipeline.judging.closeups import as_told
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.following import MAX_LINES, TICK_S
from oddlog.pipeline.live.passing import added
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources.spool import Spool
from oddlog.store import Store, StoreUnavailableError
from oddlog.types import LiveIncident, Passed

CHECKPOINT_S = 5.0
_log = logging.getLogger("oddlog")


class Worker:
    """Judges a spool's lines.

    Parameters
    ----------
    spool, stream, store
        Where lines come from, who judges, where incidents go. The stream must be new.
    sinks : sequence of str
        Names of those that are to be told.
    heed : callable
        Called every `TICK_S`, to look for new answers.
    clock : callable
        Seconds that never go back.

    """

    def __init__(
        self,
        spool: Spool,
        stream: Streaming,
        store: Store,
        *,
        sinks: Sequence[str] = (),
        heed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spool, self.stream, self.store = spool, stream, store
        self._sinks, self._heed, self._clock = tuple(sinks), heed, clock
        self._model = stream.model.id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oddlog-worker", daemon=True)
        self.failure: Exception | None = None
        self._untold: dict[str, LiveIncident] = {}  # not stored yet, the last of each
        self._near: dict[str, Any] = {}  # of those, from near
        self._passed: Passed | None = None  # what could not be stored yet of what went by
        self._failed = False
        self.judged = 0  # number of the last line that was judged
        self._saved_s = self._ticked_s = clock()
        self._resume()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop in order: a checkpoint is written, what is open stays open."""
        self._stop.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    @property
    def behind(self) -> int:
        """Lines that were acknowledged and are not judged yet."""
        return max(self.spool.appended - self.judged, 0)

    def _resume(self) -> None:
        found = self.store.checkpoint(self._model)
        if found is None:
            # A new model goes on where the one before it was.
            position = self.store.last_position()
        else:
            position, state = found
            try:
                self.stream.restore(unpacked(state))
            except ModelError as error:
                _log.warning("%s Windows that were open begin anew.", error.message)
        self.spool.seek(position)
        self.judged = position

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.turn()
            self._save(checkpoint=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, /healthz tells it and a supervisor starts anew
            self.failure = error
            _log.exception("The worker has stopped")

    def turn(self, timeout_s: float = TICK_S) -> None:
        """Judge what has come, or wait for it."""
        batch = self.spool.poll(MAX_LINES, timeout_s)
        now = self._clock()
        self.stream.push(batch.lines, now)
        self.judged = batch.position
        if now - self._ticked_s < TICK_S:
            return
        self._ticked_s = now
        self._heed()
        self.stream.tick(now)
        told = self.stream.incidents(every=True)
        for one in told:
            self._untold[one.incident.id] = one
        if told:
            here = {one.incident.id for one in told}
            self._near |= {id_: as_told(one) for id_, one in self.stream.closeups().items() if id_ in here}
        if self._untold or now - self._saved_s >= CHECKPOINT_S:
            self._save(checkpoint=now - self._saved_s >= CHECKPOINT_S)

    @property
    def unstored(self) -> int:
        """Incidents that could not be stored yet."""
        return len(self._untold) if self._failed else 0

    def _save(self, *, checkpoint: bool) -> None:
        """Store incidents, with a checkpoint in the same transaction; what is behind that is let go.

        What cannot be stored now is tried again: the spool keeps the lines as long as there is no checkpoint.
        """
        earliest = self.stream.earliest
        position = self.judged if earliest is None else earliest - 1
        state = (position, packed(self.stream.state())) if checkpoint else None
        if checkpoint:
            self._passed = added(self._passed, self.stream.passed())
        passed = self._passed if checkpoint else None
        try:
            self.store.save(
                self._model, list(self._untold.values()), state, self._sinks, near=self._near, passed=passed
            )
        except StoreUnavailableError as error:
            if not self._failed:
                _log.error("%s It is tried again.", error)
            self._failed = True
            return
        if self._failed:
            _log.warning("Incidents can be stored again.")
        self._failed = False
        self._untold.clear()
        self._near.clear()
        if checkpoint:
            self._passed = None
            self._saved_s = self._clock()
            self.spool.commit(position)
