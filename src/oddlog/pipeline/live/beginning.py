"""From no model to the first one, in front of whoever waits for it.

::

    collecting ──enough──► learning ──► learned
        ▲                     │
        └──── twice as much ──┘ it was too little
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from oddlog.errors import TooLittleDataError
from oddlog.pipeline.live.background import Fit, Outcome
from oddlog.pipeline.live.collecting import Collecting
from oddlog.pipeline.live.following import MAX_LINES, TICK_S
from oddlog.types import Source

MOST_HELD = 1_000_000  # lines that wait in memory while a model is learned; more wait where they are
TELL_S = 30.0  # between two words on how far it is, unless it has come a tenth further
TENTH = 0.1


class Running(Protocol):
    """A fit that goes on; see `background.Fit`."""

    def poll(self) -> Outcome | None:
        """Return how it ended; None while it goes on."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Beginning:
    """Collects until there is enough, has it learned, and says how far it is.

    Parameters
    ----------
    collecting : Collecting
        Keeps the lines.
    model : callable
        Where the next model is to be written.
    options : sequence of str
        Further options of `oddlog fit`.
    say : callable
        Told in words how far it is.
    learn : callable
        Starts a fit (paths, model, options); by default in a process of its own.

    """

    def __init__(
        self,
        collecting: Collecting,
        model: Callable[[], Path],
        *,
        options: Sequence[str] = (),
        say: Callable[[str], object] = lambda _said: None,
        learn: Callable[[Sequence[Path], Path, Sequence[str]], Running] = Fit,
    ) -> None:
        self.collecting = collecting
        self.phase: Literal["collecting", "learning", "learned"] = "collecting"
        self._model, self._options, self._say, self._learn = model, tuple(options), say, learn
        self._running: Running | None = None
        self._began_s = 0.0
        self._told = (float("-inf"), 0.0)  # when something was said, and how far it was then
        self.model: Path | None = None

    @property
    def says(self) -> str:
        """How far it is, in words."""
        progress = self.collecting.progress
        return {
            "collecting": f"No model yet: {progress.says}.",
            "learning": f"Learning what is usual from {progress.lines:,} lines; lines that come now are judged then.",
            "learned": f"Learned from {progress.lines:,} lines: judging from now on.",
        }[self.phase]

    def take(self, lines: pl.DataFrame, now_s: float, *, caught_up: bool = True) -> None:
        """Take in lines; once there are enough and no more of them lie ready (`caught_up`), learning begins."""
        self.collecting.add(lines, now_s)
        if self.collecting.progress.is_enough and caught_up:
            self.begin(now_s)
        elif not self.collecting.progress.is_enough:
            self._tell(now_s)

    def begin(self, now_s: float) -> None:
        """Begin to learn from what there is."""
        self.phase, self._began_s = "learning", now_s
        self._running = self._learn(self.collecting.files, self._model(), self._options)
        self._say(self.says)

    def look(self, now_s: float) -> None:
        """Look whether learning has ended."""
        outcome = None if self._running is None else self._running.poll()
        if outcome is None:
            return
        self._running = None
        if outcome.model is None:
            self.collecting.need = self.collecting.need.twice()
            self.phase = "collecting"
            said = outcome.said or "the fit has ended without a word."
            self._say(f"No model could be learned: {said} Twice as much is collected now.")
            return
        self.model, self.phase = outcome.model, "learned"
        self._say(f"{self.says} It took {max(now_s - self._began_s, 0.0):.0f} s.")

    def stop(self) -> None:
        """End what is learning; what was collected stays."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def _tell(self, now_s: float) -> None:
        progress = self.collecting.progress
        need = progress.need
        far = min(progress.lines / need.lines, progress.hours / need.hours if progress.timed else 1.0)
        then_s, before = self._told
        if now_s - then_s >= TELL_S or far - before >= TENTH:
            self._told = (now_s, far)
            self._say(self.says)


def learn_from(
    source: Source,
    beginning: Beginning,
    stopped: Callable[[], bool] = lambda: False,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> list[pl.DataFrame]:
    """Learn a first model from what a source brings; return the lines that came while it was learned.

    Raises
    ------
    TooLittleDataError
        If the source ended before there was enough.

    """
    held: list[pl.DataFrame] = []
    while not stopped() and beginning.model is None:
        ended = bool(getattr(source, "ended", False))
        if ended or sum(map(len, held)) >= MOST_HELD:
            wait(TICK_S)
            lines = None
        else:
            lines = source.poll(MAX_LINES, TICK_S).lines
        if beginning.phase == "learning":
            held += [] if lines is None else [lines]
            beginning.look(clock())
        elif lines is not None:
            beginning.take(lines, clock(), caught_up=not len(lines))
        else:
            beginning.collecting.add_end()
            _require_enough(beginning)
            beginning.begin(clock())
    return held


def _require_enough(beginning: Beginning) -> None:
    progress = beginning.collecting.progress
    if not progress.is_enough:
        raise TooLittleDataError(
            f"The input has ended before there was enough to learn from: {progress.says}.",
            "Ask for less with --learn and --learn-lines, or learn with: oddlog fit LOGS -m MODEL",
        )
