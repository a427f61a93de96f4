"""The loop of live work: poll a source, push, let time pass, tell what happened, note where to resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from oddlog.pipeline.live.pushed import Pushed
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LiveIncident, Source

MAX_LINES = 20_000  # of a batch: about a tenth of a second's work
ENOUGH = 5_000  # lines of a push from which on nothing is waited for
SHARE = 3.0  # so many times what a push takes is waited for more lines …
SHORTEST_S, LONGEST_S = 0.02, 0.1  # … but not shorter and not longer
SETTLE_S = 0.1  # between looks at records that nothing more is awaited for
HELD_UP_S = 5.0  # a turn that takes longer was held up: what came meanwhile waits
TICK_S = 0.25  # between looks at what time alone has closed, and at incidents
SAVE_S = 5.0  # between notes of where to resume


class Pace:
    """Says how long to gather lines between two pushes, so that pushes of a few lines take a share of the time only.

    A push of a line costs nearly what one of a thousand does. At full load nothing is waited for: lines have gathered
    by themselves.
    """

    def __init__(self) -> None:
        self._cost_s = 0.0

    def pushed(self, cost_s: float, lines: int) -> None:
        """Note what a push of so many lines took."""
        if lines:
            self._cost_s += (min(cost_s, LONGEST_S) - self._cost_s) / 4

    def wait_s(self, lines: int) -> float:
        """Return how long to wait after a push of so many lines."""
        if not 0 < lines < ENOUGH:
            return 0.0
        return min(max(SHARE * self._cost_s, SHORTEST_S), LONGEST_S) * (1 - lines / ENOUGH)


@dataclass
class Following:
    """Has a stream judge what a source brings.

    Parameters
    ----------
    source : Source
        One with an attribute ``ended`` may end.
    stream : Streaming
        Judges.
    tell : callable
        Told what was found: (pushed, incidents that are new or have changed).
    save : callable, optional
        Called every `SAVE_S` and at the end, to note where to resume; may return that position. Without it all that is
        open is judged at the end; with it, it is left open.
    heed : callable, optional
        Called every `TICK_S`, to look for new answers.
    clock : callable
        Seconds that never go back.
    held : sequence of pl.DataFrame
        Lines that came before it began.
    wait : callable
        Waits so many seconds for lines to gather.

    """

    source: Source
    stream: Streaming
    tell: Callable[[Pushed, list[LiveIncident]], object]
    save: Callable[[], object] | None = None
    heed: Callable[[], object] = lambda: None
    clock: Callable[[], float] = time.monotonic
    held: Sequence[pl.DataFrame] = ()
    wait: Callable[[float], object] = time.sleep

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Go on until the source ends, or `stopped` says so."""
        ticked = saved = self.clock()
        pace = Pace()
        for lines in self.held:
            self.tell(self.stream.push(lines, self.clock()), [])
        self.held = ()
        while not stopped():
            batch = self.source.poll(MAX_LINES, SETTLE_S)
            now = self.clock()
            pushed = self.stream.push(batch.lines, now, windows=False)
            if len(pushed.lines) or len(pushed.verdicts):
                self.tell(pushed, [])
            if now - ticked >= TICK_S:
                ticked = now
                self.heed()
                pushed = self.stream.tick(now)
                self.tell(pushed, self.stream.incidents())
            if self.save is not None and now - saved >= SAVE_S:
                saved = now
                noted = self.save()
                self.source.commit(batch.position if noted is None else noted)
            if getattr(self.source, "ended", False):
                break
            turned_s = self.clock() - now
            if turned_s > HELD_UP_S:  # whoever reads what is told did not
                self.stream.held_up(turned_s)
            pace.pushed(turned_s, len(batch.lines))
            if pause_s := pace.wait_s(len(batch.lines)):
                self.wait(pause_s)
        if self.save is None:
            pushed = self.stream.finish()
            self.tell(pushed, self.stream.incidents())
        else:
            self.tell(Pushed(), self.stream.incidents())
            self.save()
