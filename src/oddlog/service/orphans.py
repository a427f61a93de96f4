"""Incidents that go on in the store, and that nobody tells of any more.

A service that is killed reads the lines behind its last checkpoint once more, more of them at once than before: what
looked odd for a moment while they came one by one may never look so again. And another model judges by itself from its
first line on. What is left behind is ended, so that no sink waits for its end for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from oddlog.pipeline.learning.checkpointing import incident_of
from oddlog.pipeline.live.streaming import Streaming
from oddlog.store import Store
from oddlog.types import LiveIncident

PATIENCE_S = 60.0  # after the lines of before the restart: what pauses looks odd after a while only
NOTE = "not found again after a restart"


class Orphans:
    """Looks for them; at most those that went on when a stream began to judge."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left: dict[str, LiveIncident] = {}  # of the same model, perhaps to be found anew
        self._until = 0  # number of the last line that was there then
        self._caught_up_s: float | None = None

    def begin(self, stream: Streaming, until: int) -> list[LiveIncident]:
        """Look what goes on in the store but not in `stream`; return what another model has told, as over.

        `until` is the number of the last line that is there now.
        """
        self._left, self._until, self._caught_up_s = {}, until, None
        over, going = [], stream.going
        for model, stored in self._store.going():
            if stored.id in going:
                continue
            live = LiveIncident(incident_of(stored.incident), "over", stored.provisional)
            if model != stream.model.id:
                over.append(live)
            else:
                self._left[stored.id] = live
        return over

    def told(self, those: Iterable[LiveIncident]) -> None:
        """Note what the stream tells: it knows of them."""
        if self._left:
            for one in those:
                self._left.pop(one.incident.id, None)

    def ended(self, judged: int, now_s: float) -> list[LiveIncident]:
        """Return those to end, once all lines of before were judged (the last was line number `judged`)."""
        if not self._left or judged < self._until:
            return []
        if self._caught_up_s is None:
            self._caught_up_s = now_s
        if now_s - self._caught_up_s < PATIENCE_S:
            return []
        left, self._left = self._left, {}
        return [replace(_noted(one), change="withdrawn") for one in left.values()]


def _noted(live: LiveIncident) -> LiveIncident:
    return replace(live, incident=replace(live.incident, notes=(*live.incident.notes, NOTE)))
