"""A model that judges beside the one that judges, and tells nobody: learned on when asked, then compared.

::

    drift, or somebody asks ──► lines are kept ──asked, and enough──► `oddlog update` ──► judges beside
                                                                                   ──► promoted, or dropped

Lines are kept from the first sign of drift on, so that there is something to learn from once it is asked for. It costs
what the first model costs, in CPU and memory: while more lines wait than `MOST_BEHIND`, lines are left out for it, and
counted. Whatever goes wrong here ends the challenge and nothing else.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from oddlog.errors import ModelError, OddlogError
from oddlog.feedback import beside
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.background import Fit
from oddlog.pipeline.live.beginning import Running
from oddlog.pipeline.live.collecting import Collecting
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.versions import NOT_LEARNED, Versions
from oddlog.store import Beside, Store
from oddlog.types import LiveIncident, State, to_datetime

LOOK_S = 1.0  # between looks at what was asked for
BESIDE = "beside"  # in a state: of a challenger
MOST_BEHIND = 100_000  # lines that may wait before the challenger gets no more of them
_log = logging.getLogger("oddlog")

Learn = Callable[[Path, Sequence[Path], Path], Running]
Phase = Literal["", "collecting", "learning", "judging"]


def learn_on(old: Path, paths: Sequence[Path], model: Path) -> Running:
    """Learn on from a model in a process of its own."""
    return Fit(paths, model, command=("update", str(old)))


class Challenging:
    """Has a challenger learned and lets it judge.

    Parameters
    ----------
    versions : Versions
        Where models lie, and what is asked for.
    open_ : callable
        Makes a stream of the model in a folder, that heeds no answers and counts nothing.
    store : Store
        Where its state lies.
    collecting : Collecting
        Keeps lines to learn on from.
    learn : callable
        Starts `oddlog update`: (model, logs, new model).
    say : callable
        Told what happens.

    """

    def __init__(
        self,
        versions: Versions,
        open_: Callable[[Path], Streaming],
        store: Store,
        collecting: Collecting,
        *,
        learn: Learn = learn_on,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._versions, self._open, self._store, self._learn, self._say = versions, open_, store, learn, say
        self.collecting = collecting
        self.stream: Streaming | None = None
        self.missed = 0  # lines that it was not given
        self._name = ""
        self._running: Running | None = None
        self._drifts = False
        self._looked_s = float("-inf")
        self._told: list[LiveIncident] = []
        self._after = 0  # number of the last line that was kept
        self._noted: Drift | None = None

    @property
    def phase(self) -> Phase:
        """What it does."""
        if self._running is not None:
            return "learning"
        if self.stream is not None:
            return "judging"
        return "collecting" if self._is_wanted else ""

    @property
    def _is_wanted(self) -> bool:
        return (self._drifts and self.stream is None) or self._versions.is_learning_asked

    @property
    def says(self) -> str:
        """How far it is, in words; empty while nobody asks."""
        asked = self._versions.is_learning_asked
        if self.phase == "learning":
            return f"Learning on from {self.collecting.progress.lines:,} lines, beside the model that judges."
        if self.phase == "judging":
            return f"The model {self._name} judges beside, and tells nobody."
        if self.phase == "collecting":
            kept = f"Lines are kept to learn on from: {self.collecting.progress.says}."
            return f"{kept} Then it begins." if asked else kept
        return ""

    @property
    def earliest(self) -> int | None:
        """Number of the first line that its state holds no more of; see `Streaming.earliest`."""
        return None if self.stream is None else self.stream.earliest

    def resume(self, position: int) -> None:
        """Go on where another process stopped, whose last checkpoint was behind the line of a number."""
        self._after = max(self.collecting.position or 0, position)
        self._safely(lambda: self._turn_to(self._versions.challenger, position))

    def take(self, lines: pl.DataFrame, now_s: float, behind: int) -> None:
        """Give it lines that the other one has judged."""
        if self._is_wanted and self._running is None:
            fresh = lines.filter(pl.col("position") > self._after)
            if len(fresh):
                self._safely(lambda: self.collecting.add(fresh, now_s))
        if len(lines):
            self._after = max(self._after, int(lines["position"][-1]))
        if (stream := self.stream) is None or not len(lines):
            return
        if behind > MOST_BEHIND:
            self.missed += len(lines)
            return
        self._safely(lambda: stream.push(lines, now_s, windows=False))

    def tick(self, now_s: float, drift: Drift | None, *, behind: int) -> None:
        """Let time pass; look what is asked for."""
        if (stream := self.stream) is not None and behind <= MOST_BEHIND:
            self._safely(lambda: self._judge(stream, now_s))
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._safely(lambda: self._look(drift))

    def found(self, *, checkpoint: bool) -> Beside | None:
        """Return what it has found since it was asked last, with its state at a `checkpoint`."""
        if checkpoint and self._is_wanted and self._running is None and self.collecting.progress.lines:
            self._safely(lambda: self.collecting.note(self._after))
        if self.stream is None:
            return None
        return Beside(self.stream.model.id, self._told, _beside(self.stream) if checkpoint else None)

    def stored(self) -> None:
        """Note that what was found is stored."""
        self._told = []

    def stop(self) -> None:
        """End what is learning; what was collected stays."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def _judge(self, stream: Streaming, now_s: float) -> None:
        stream.settle(now_s)
        stream.tick(now_s)
        self._told += stream.incidents(every=True)

    def _look(self, drift: Drift | None) -> None:
        self._drifts = drift is not None and bool(drift.drifted)
        if drift is not None and drift is not self._noted:
            self._noted = drift
            self._versions.note_drift(drift.as_dict())
        name = self._versions.challenger
        if name != self._name:
            self._turn_to(name)
        if self._running is not None and not self._versions.is_learning_asked:
            self.stop()
            self._say(NOT_LEARNED)
        elif self._running is not None:
            self._look_at(self._running)
        elif self._versions.is_learning_asked and self.collecting.progress.is_enough:
            self._say(f"Learning on from {self.collecting.progress.lines:,} lines.")
            self._running = self._learn(self._versions.current, self.collecting.files, self._place())
        elif not self._is_wanted and self.collecting.progress.lines:
            self.collecting.clear()

    def _look_at(self, running: Running) -> None:
        outcome = running.poll()
        if outcome is None:
            return
        self._running = None
        self._versions.end_learning()
        if outcome.model is None:
            self._say(f"No model could be learned on: {outcome.said or 'the update has ended without a word.'}")
            return
        name = self._versions.add(outcome.model, "learned on", use=False)
        for what in ("answers", "marks"):  # they lie beside `current`, for all models
            beside(outcome.model, what).unlink(missing_ok=True)
        self.collecting.clear()
        if name != self._versions.name:
            self._versions.challenge(name)

    def _place(self) -> Path:
        place = self._versions.place().with_name(f"{self._versions.place().name}.on")
        shutil.rmtree(place, ignore_errors=True)
        return place

    def _turn_to(self, name: str, position: int = -1) -> None:
        """Let another model judge beside, or none; one whose state lies at a position goes on."""
        before, self.stream = self.stream, None
        self._told, self.missed = [], 0
        if before is not None:  # of one that was promoted the checkpoint is that of the model that judges
            self._store.forget_model(before.model.id, checkpoint=not before.model.id.startswith(self._versions.name))
        stream = self._open(self._versions.folder / name) if name else None
        self._name = name
        if stream is None:
            return
        found = self._store.checkpoint(stream.model.id)
        if found is None or found[0] != position:
            self._store.forget_model(stream.model.id)
        else:
            try:
                stream.restore(unpacked(found[1]))
            except ModelError as error:
                _log.warning("%s The challenger begins anew.", error.message)
                self._store.forget_model(stream.model.id)
        self.stream = stream
        self._say(self.says)

    def _safely(self, do: Callable[[], object]) -> None:
        """Do something that must not end the judging."""
        try:
            do()
        except OSError as error:
            _log.error("Nothing can be kept to learn on from: %s. It is tried again.", error)
            self.collecting.rewind()
        except OddlogError as error:
            _log.error("%s", error)
        except Exception:  # noqa: BLE001 - whatever it is, the other model goes on judging
            _log.exception("The challenger has failed, and judges no more.")
            self.stream = None

    @property
    def since(self) -> str:
        """From which time of lines on it has judged, ISO 8601; empty if it has not."""
        time = None if self.stream is None else to_datetime(self.stream.start_us)
        return "" if time is None else time.isoformat()


def _beside(stream: Streaming) -> bytes:
    """Return the state of a stream that told nobody: for whoever judges it is none to go on from."""
    state = stream.state()
    return packed(State(state.arrays, {**state.meta, BESIDE: True}))
