"""The thread that judges what was pushed, stores incidents, and notes how far it has come.

Without a model it first collects and has one learned (`models`); and when another model is turned to, it goes on with
that one from the next line on.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from oddlog.errors import ModelError
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.judging.closeups import as_told
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.following import HELD_UP_S, MAX_LINES, SETTLE_S, TICK_S, Pace
from oddlog.pipeline.live.passing import added
from oddlog.pipeline.live.streaming import Streaming
from oddlog.service.challenging import BESIDE
from oddlog.service.models import Models
from oddlog.service.orphans import Orphans
from oddlog.service.untold import Untold
from oddlog.sources.links import Links
from oddlog.sources.spool import Spool
from oddlog.store import Store, StoreUnavailableError
from oddlog.types import LINES, Batch, Passed, Tally

CHECKPOINT_S = 5.0
AGAIN_S = 2.0  # between tries while nothing can be stored, or read: each may take as long as somebody holds a lock
SLOW_S = 10.0  # a store that takes longer to answer is said not to answer
TELL_SHARE = 4.0  # so many times what looking at incidents took is spent on lines before it is done again
_log = logging.getLogger("oddlog")


class Worker:
    """Judges a spool's lines.

    Parameters
    ----------
    spool, stream, store
        Where lines come from, who judges, where incidents go. The stream must be new; None while there is no model.
    sinks : sequence of str
        Names of those that are to be told.
    heed : callable
        Called every `TICK_S`, to look for new answers.
    models : Models, optional
        Has the first model learned, and says when another one is turned to.
    links : Links, optional
        Leads incidents back to the log stores that their lines came from.
    clock : callable
        Seconds that never go back.

    """

    def __init__(
        self,
        spool: Spool,
        stream: Streaming | None,
        store: Store,
        *,
        sinks: Sequence[str] = (),
        heed: Callable[[], object] = lambda: None,
        models: Models | None = None,
        links: Links | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spool, self.stream, self.store, self.models = spool, stream, store, models
        self._sinks, self._heed, self._clock = tuple(sinks), heed, clock
        self._links = Links(()) if links is None else links
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oddlog-worker", daemon=True)
        self.failure: Exception | None = None
        self._untold = Untold()
        self._orphans = Orphans(store)
        self._near: dict[str, Any] = {}  # of those, from near
        self._passed: Passed | None = None  # what could not be stored yet of what went by
        self._failed = ""  # why nothing could be stored the last time
        self._failed_s = float("-inf")
        self._saving_s: float | None = None  # since when the store has been asked to store something
        self._unread = ""  # why lines could not be read
        self.judged = 0  # number of the last line that was judged
        self._tell_from_s = 0.0  # incidents are not looked at before
        self.turned_s = 0.0  # what the last turn took, waiting left out
        self._saved_s = self._ticked_s = clock()
        self._challenging = None if models is None else models.challenging
        self.drift: Drift | None = None  # of what was judged last
        if stream is not None:
            self._resume(stream)
        elif models is not None:
            self.judged = models.resume(spool)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop in order: a checkpoint is written, what is open stays open."""
        self._stop.set()
        self._thread.join()
        if self.models is not None:
            self.models.stop()

    @property
    def tally(self) -> Tally:
        """What was cut, dropped, repaired or let go."""
        return Tally() if self.stream is None else self.stream.tally

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    @property
    def behind(self) -> int:
        """Lines that were acknowledged and are not judged yet."""
        return max(self.spool.appended - self.judged, 0)

    def _resume(self, stream: Streaming) -> None:
        position = self.store.last_position()
        if not self._take_up(stream) and self.models is not None:
            # A new model goes on where the one before it was, or behind what it was learned from.
            position = max(position, self.models.resume(self.spool))
        self.spool.seek(position)
        self.judged = position
        if self._challenging is not None:
            self._challenging.resume(position)
        self._part(stream)

    def _take_up(self, stream: Streaming) -> bool:
        """Go on where what judged last was; return whether that was the same model.

        An older checkpoint of the same one is none to go on from: another has judged and told what came since. Nor is
        that of a challenger: what goes on in it was never told.
        """
        found = self.store.last_checkpoints()
        is_same = stream.model.id in found
        try:
            states = {model: unpacked(state) for model, state in found.items()}
            judged = {model: state for model, state in states.items() if not state.meta.get(BESIDE)}
            is_same = stream.model.id in judged
            for state in [judged[stream.model.id]] if is_same else judged.values():
                (stream.restore if is_same else stream.inherit)(state)
        except ModelError as error:
            _log.warning("%s Windows that were open begin anew.", error.message)
        return is_same

    def _part(self, stream: Streaming) -> None:
        """Look what goes on in the store and not in a stream that begins to judge."""
        try:
            orphans = self._orphans.begin(stream, self.spool.appended)
        except StoreUnavailableError as error:
            _log.warning("What another model has told is not ended: %s", error)
            return
        for one in orphans:
            self._untold.add(one)

    def _run(self) -> None:
        try:
            pace = Pace()
            while not self._stop.is_set():
                lines = self.turn()
                pace.pushed(self.turned_s, lines)
                if pause_s := pace.wait_s(lines):
                    self._stop.wait(pause_s)
            if self.stream is not None:
                self._save(self.stream, checkpoint=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, /healthz tells it and a supervisor starts anew
            self.failure = error
            _log.error("The worker has stopped.\n%s", traceback.format_exc())

    def turn(self, timeout_s: float = SETTLE_S) -> int:
        """Judge what has come, or wait for it; without a model, learn one from it. Return how many lines came."""
        stream = self.stream
        if stream is None:
            self._learn(timeout_s)
            return 0
        if self.turned_s > HELD_UP_S:  # the store has not answered: lines waited
            stream.held_up(self.turned_s)
        began = self._clock()
        batch = self._poll(timeout_s)
        now = self._clock()
        if self.spool.failing or self._unread:  # lines cannot come
            stream.held_up(now - began)
        odd = len(stream.push(batch.lines, now, windows=False).lines)
        odd += len(stream.settle(now).lines)
        self.judged = batch.position
        is_due = now - self._ticked_s >= TICK_S
        if is_due:
            self._ticked_s = now
            self._heed()
            stream.tick(now)
            self.drift = stream.drift()
            if self.models is not None:
                self.models.keep(stream.model, now)
        if self._challenging is not None:
            self._challenging.take(batch.lines, now, self.behind)
            if is_due:
                self._challenging.tick(now, self.drift, behind=self.behind)
        if (is_due or odd) and now >= self._tell_from_s:
            self._tell(stream, now)
        self.turned_s = self._clock() - now
        return len(batch.lines)

    def _poll(self, timeout_s: float) -> Batch:
        """Return lines that have come; none while they cannot be read, which is tried again."""
        try:
            batch = self.spool.poll(MAX_LINES, timeout_s)
        except OSError as error:
            if not self._unread:
                _log.error("Lines that were kept cannot be read: %s. It is tried again.", error)
            self._unread = error.strerror or str(error)
            self._stop.wait(AGAIN_S)
            return Batch(pl.DataFrame(schema=LINES), self.judged)
        self._unread = ""
        return batch

    def _tell(self, stream: Streaming, now: float) -> None:
        """Store what has happened to incidents, with a checkpoint from time to time."""
        began = time.perf_counter()
        told = stream.incidents(every=True)
        self._orphans.told(told)
        for one in told:
            self._untold.add(self._links.told(one))
        for one in self._orphans.ended(self.judged, now):
            self._untold.add(one)
        if told:
            here = {one.incident.id for one in told}
            self._near |= {id_: as_told(one) for id_, one in stream.closeups().items() if id_ in here}
        # In a flood of kinds that are all new to group them takes seconds: lines are to be judged meanwhile.
        self._tell_from_s = now + TELL_SHARE * (time.perf_counter() - began)
        if self._failed and now - self._failed_s < AGAIN_S:
            return  # lines are judged meanwhile
        if self._untold or now - self._saved_s >= CHECKPOINT_S:
            self._save(stream, checkpoint=now - self._saved_s >= CHECKPOINT_S)
        if self.models is not None and not self._untold and self.models.is_turned(stream.model):
            self._turn_to(self.models, stream)

    def _learn(self, timeout_s: float) -> None:
        """Have a first model learned; once it is there, what came meanwhile is judged."""
        if self.models is None or not self.models.learn(self.spool, self._clock(), timeout_s, self._stop.wait):
            return
        try:
            last = self.store.last_position()
        except StoreUnavailableError as error:
            self._note_failure(error)
            self._stop.wait(AGAIN_S)
            return
        self.judged = max(last, self.models.position)
        self._begin(self.models)
        self.models.begun()

    def _turn_to(self, models: Models, before: Streaming) -> None:
        """Go on with another model behind the last record that this one has judged; what goes on ends here."""
        position = self._resumable(before)
        for one in before.abandon():
            self._untold.add(self._links.told(one))
        self._passed = added(self._passed, before.passed())
        self._save(before, checkpoint=False, ends=True)  # nobody goes on where this one is
        if not self._untold:
            self.judged = position
            self._begin(models)

    def _begin(self, models: Models) -> None:
        """Judge with the current model from `judged` on."""
        before = self.stream
        self.stream, self._heed = models.open()
        if before is not None:
            self.stream.inherit(unpacked(packed(before.state())))
        self._part(self.stream)
        self.spool.seek(self.judged)
        self._save(self.stream, checkpoint=True)
        _log.warning("Judging with model %s.", self.stream.model.id[:12])

    def _resumable(self, stream: Streaming) -> int:
        """Return the number of the line behind which reading would go on."""
        first = [stream.earliest, None if self._challenging is None else self._challenging.earliest]
        return min([self.judged, *(one - 1 for one in first if one is not None)])

    @property
    def trouble(self) -> str:
        """What is wrong with what lines and incidents are kept in, in words; nothing if nothing is."""
        waits = f"; {self.unstored:,} incidents wait" if self.unstored else ""
        if self.failing:
            return (self._failed or "nothing can be stored: the store does not answer") + waits
        return f"lines that were kept cannot be read: {self._unread}" if self._unread else ""

    @property
    def failing(self) -> bool:
        """Whether nothing can be stored, neither incidents nor checkpoints."""
        return bool(self._failed) or self.hangs

    @property
    def hangs(self) -> bool:
        """Whether the store does not answer, and whoever asks it waits for nobody knows how long."""
        since_s = self._saving_s
        return since_s is not None and self._clock() - since_s > SLOW_S

    @property
    def unstored(self) -> int:
        """Incidents that could not be stored yet."""
        return len(self._untold) if self._failed else 0

    def _save(self, stream: Streaming, *, checkpoint: bool, ends: bool = False) -> None:
        """Store incidents, with a checkpoint in the same transaction; what is behind that is let go.

        What cannot be stored now is tried again: the spool keeps the lines as long as there is no checkpoint. Ends of
        incidents are stored with a checkpoint, or if `ends` says so.
        """
        told = self._untold.ready(with_ends=checkpoint or ends)
        if not (told or checkpoint or ends):
            return
        position = self._resumable(stream)
        state = (position, packed(stream.state())) if checkpoint else None
        if checkpoint:
            self._passed = added(self._passed, stream.passed())
        passed = self._passed if checkpoint else None
        challenge = None if self._challenging is None else self._challenging.found(checkpoint=checkpoint)
        self._saving_s = self._clock()
        try:
            self.store.save(stream.model.id, told, state, self._sinks, near=self._near, passed=passed, beside=challenge)
        except StoreUnavailableError as error:
            self._note_failure(error)
            return
        finally:
            self._saving_s = None
        if self._failed:
            _log.warning("Incidents can be stored again.")
        self._failed = ""
        self._untold.stored(told)
        if self._challenging is not None:
            self._challenging.stored()
        self._near.clear()
        if checkpoint:
            self._passed = None
            self._saved_s = self._clock()
            self.spool.commit(position)

    def _note_failure(self, error: StoreUnavailableError) -> None:
        if not self._failed:
            _log.error("%s It is tried again.", error)
        self._failed, self._failed_s = f"n{error.message[1:].rstrip('.')}", self._clock()
