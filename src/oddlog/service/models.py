"""Which model the service judges with: the first one is learned from what is pushed, and others can be turned to."""

from __future__ import annotations

import logging
from collections.abc import Callable

from oddlog.errors import ModelError
from oddlog.model import Model
from oddlog.pipeline.live.beginning import Beginning
from oddlog.pipeline.live.following import MAX_LINES
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.versions import SHORT, Versions
from oddlog.service.challenging import Challenging
from oddlog.sources.spool import Spool

PUT_BACK_S = 60.0  # whoever moves the models away by mistake, or to look at them, has so long to put them back
NOTE_S = 5.0  # between notes of how far collecting is
_log = logging.getLogger("oddlog")

Opened = tuple[Streaming, Callable[[], object]]
"""A new stream of the current model, and what is to be called now and then to look for new answers."""


class Models:
    """Opens the current model; while there is none, has one learned.

    Parameters
    ----------
    versions : Versions
        Where models lie.
    opened : callable
        Makes a stream of the current model.
    beginning : Beginning, optional
        Learns the first one; None where the model was named, and no other is to judge.
    challenging : Challenging, optional
        Has another one judge beside.

    """

    def __init__(
        self,
        versions: Versions,
        opened: Callable[[], Opened],
        beginning: Beginning | None = None,
        challenging: Challenging | None = None,
    ) -> None:
        self.versions, self.beginning, self.challenging = versions, beginning, challenging
        self._opened = opened
        self._noted_s = float("-inf")
        self._gone_s: float | None = None  # since when no model is there but the one that judges
        self.position = 0  # of the last line that was collected

    @property
    def says(self) -> str:
        """How far learning is, in words; empty once there is a model."""
        return "" if self.beginning is None or self.versions.name else self.beginning.says

    def open(self) -> Opened:
        """Return a new stream of the current model, and what looks for its answers."""
        return self._opened()

    def is_turned(self, model: Model) -> bool:
        """Return whether another model than this one is to judge; one that was named for all time stays."""
        return self.beginning is not None and self.versions.name not in ("", model.id[:SHORT])

    def keep(self, model: Model, now_s: float) -> None:
        """Write the model that judges to disk once more where all of them were deleted under it."""
        if self.beginning is None or self.versions.name:
            self._gone_s = None
            return
        if self._gone_s is None:
            self._gone_s = now_s
            said = "%s is gone: the model that judges is written there again in %.0f s, if it is not put back."
            _log.error(said, self.versions.current, PUT_BACK_S)
        if now_s - self._gone_s < PUT_BACK_S:
            return
        try:
            place = self.versions.place()
            model.save(place)
            self.versions.add(place, "written again: it was deleted while it judged")
        except (OSError, ModelError) as error:
            self._gone_s = now_s  # for another minute
            _log.error("The model that judges cannot be written again: %s", error)

    def resume(self, spool: Spool) -> int:
        """Go on collecting where another process stopped; return the number of the last line that is kept."""
        if self.beginning is not None:
            self.position = self.beginning.collecting.position or 0
            spool.seek(self.position)
        return self.position

    def learn(self, spool: Spool, now_s: float, timeout_s: float, wait: Callable[[float], object]) -> bool:
        """Take a turn of learning; return whether there is a model now.

        While it is learned, lines stay in the spool: what comes then is judged later, and not learned from.
        """
        beginning = self.beginning
        if self.versions.name:
            return True  # one was brought meanwhile
        if beginning is None:
            return False
        if beginning.phase == "learning":
            wait(timeout_s)
            beginning.look(now_s)
        else:
            self._collect(beginning, spool, now_s, timeout_s, wait)
        if beginning.model is None:
            return False
        self.versions.add(beginning.model, "the first one, learned from what was pushed")
        return True

    def begun(self) -> None:
        """Forget what was learned from, now that what comes behind it is judged."""
        if self.beginning is not None:
            self.beginning.collecting.clear()

    def _collect(
        self, beginning: Beginning, spool: Spool, now_s: float, timeout_s: float, wait: Callable[[float], object]
    ) -> None:
        try:
            batch = spool.poll(MAX_LINES, timeout_s)
            beginning.take(batch.lines, now_s, caught_up=batch.position >= spool.appended)
            self.position = batch.position
            if beginning.phase == "learning" or now_s - self._noted_s >= NOTE_S:
                self._noted_s = now_s
                beginning.collecting.note(self.position)
                spool.commit(self.position)
        except OSError as error:
            _log.error("Nothing can be kept to learn from: %s. It is tried again.", error.strerror)
            beginning.collecting.rewind()
            self.resume(spool)
            wait(NOTE_S)

    def stop(self) -> None:
        """End what is learning."""
        if self.challenging is not None:
            self.challenging.stop()
        if self.beginning is not None:
            self.beginning.stop()
