"""The loop of live work: poll a source, push, let time pass, tell what happened, note where to resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from oddlog.pipeline.live.streaming import Pushed, Streaming
from oddlog.types import LiveIncident, Source

MAX_LINES = 20_000  # of a batch: about a tenth of a second's work
TICK_S = 0.25  # between looks at what time alone has closed, and at incidents
SAVE_S = 5.0  # between notes of where to resume


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
        Called every `SAVE_S` and at the end, to note where to resume. Without it all that is open is judged at the
        end; with it, it is left open.
    heed : callable, optional
        Called every `TICK_S`, to look for new answers.
    clock : callable
        Seconds that never go back.
    held : sequence of pl.DataFrame
        Lines that came before it began.

    """

    source: Source
    stream: Streaming
    tell: Callable[[Pushed, list[LiveIncident]], object]
    save: Callable[[], object] | None = None
    heed: Callable[[], object] = lambda: None
    clock: Callable[[], float] = time.monotonic
    held: Sequence[pl.DataFrame] = ()

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Go on until the source ends, or `stopped` says so."""
        ticked = saved = self.clock()
        for lines in self.held:
            self.tell(self.stream.push(lines, self.clock()), [])
        self.held = ()
        while not stopped():
            batch = self.source.poll(MAX_LINES, TICK_S)
            now = self.clock()
            pushed = self.stream.push(batch.lines, now)
            if len(pushed.lines) or len(pushed.verdicts):
                self.tell(pushed, [])
            if now - ticked >= TICK_S:
                ticked = now
                self.heed()
                pushed = self.stream.tick(now)
                self.tell(pushed, self.stream.incidents())
            if self.save is not None and now - saved >= SAVE_S:
                saved = now
                self.save()
                self.source.commit(batch.position)
            if getattr(self.source, "ended", False):
                break
        if self.save is None:
            pushed = self.stream.finish()
            self.tell(pushed, self.stream.incidents())
        else:
            self.tell(Pushed(), self.stream.incidents())
            self.save()
