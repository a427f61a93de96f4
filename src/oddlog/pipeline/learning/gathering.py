"""The second pass of a fit: from stored events to each view's distinct finished windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from oddlog.explain import stretch_sums, totals_by_stretch
from oddlog.pipeline.cutting import cut_windows, partitions
from oddlog.pipeline.events import EventStore
from oddlog.pipeline.judging.views import PARTIAL, Cut
from oddlog.pipeline.learning.collecting import folds
from oddlog.pipeline.learning.distinct import MOST_WINDOWS, counts_hash, merged, sampled
from oddlog.pipeline.learning.labels import UNKNOWN, Labels
from oddlog.pipeline.learning.memory import Begun, ViewMemory
from oddlog.pipeline.learning.view import Gathered, apart_by
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.types import I8, I64, NO_TIME, U64, Bool, Tally, Windows
from oddlog.windows import learn_closing

CLOSING_WINDOWS = 200_000
CLOSING_EVENTS = 1_000_000  # learning when sessions are over needs about 200 bytes for each of these

Rows = Callable[[pl.Series], pl.Series]
Answered = Callable[[Windows], I8]


def with_closing(
    store: EventStore, cut: Cut, rows_of: Rows, span_us: tuple[int, int], before: Begun | None = None
) -> tuple[Cut, Begun]:
    """Return a cut of sessions that knows when one is over, and the sessions that this was learned from.

    Of many sessions those of the first partitions are taken, up to 200,000 of them or a million events: a
    partition holds sessions from all over the log. `before` are those that an older model remembers.
    """
    cut = replace(cut, closing=None)
    parts: list[Windows] = []
    n_windows = n_events = 0
    for events in partitions(store, rows_of):
        parts.append(cut_windows(events, cut, Tally(), span_us))
        n_windows += len(parts[-1])
        n_events += len(parts[-1].template)
        if n_windows >= CLOSING_WINDOWS or n_events >= CLOSING_EVENTS:
            break
    if before is not None:
        parts.insert(0, before.ending(span_us[1]))
    begun = Begun(Windows.concat(parts), span_us[1])
    return replace(cut, closing=learn_closing(begun.windows, None if span_us[1] == NO_TIME else span_us[1])), begun


@dataclass
class Gathering:
    """Takes windows partition by partition and keeps the distinct ones of each fold.

    Attributes
    ----------
    k : int
        Templates of the model.
    edges : I64
        Times that part the folds.
    labels : Labels or None
        What a person knows of some windows.
    stretches : pl.DataFrame or None
        For entities: lines of each type by stretch of time, see `explain.stretch_sums`.
    whole : WholeWindows or None
        Where a detector reads more than types: a draw of the windows as they are.
    answered : callable or None
        Returns what people have said of windows [w]: 0 usual, 1 anomalous (such leave training), -1 nothing.

    """

    cut: Cut
    k: int
    edges: I64
    labels: Labels | None = None
    by_entity: bool = False
    stretches: pl.DataFrame | None = None
    whole: WholeWindows | None = None
    answered: Answered | None = None
    n_windows: float = 0.0
    n_open: float = 0.0
    sampled_from: int = 0
    matched: int = 0
    example: str = ""
    lasting: set[int] = field(default_factory=set)
    _parts: list[tuple[Windows, U64, I64, I8]] = field(default_factory=list)
    _distinct: int = 0

    def add(self, windows: Windows) -> None:
        """Take in the windows of one partition."""
        finished = self._finished(windows)
        self.n_open += len(windows) - int(finished.sum())
        self._note_lasting(windows.take(~finished))
        windows = windows.take(finished)
        if not len(windows):
            return
        self.n_windows += len(windows)
        self.example = self.example or windows.key[0]
        label = np.full(len(windows), UNKNOWN, np.int8) if self.labels is None else self.labels.of(windows)
        self.matched += int((label != UNKNOWN).sum())
        windows, label = self._heeded(windows, label)
        if self.by_entity:
            new = totals_by_stretch(windows, self.k)
            self.stretches = new if self.stretches is None else stretch_sums(pl.concat([self.stretches, new]))
        fold = folds(windows.start, self.edges)
        if self.whole is not None:
            self.whole.add(windows, label, fold)
        self._keep(windows, counts_hash(windows, self.k), fold, label)
        if self._distinct > 4 * MOST_WINDOWS:
            self._merge()

    def _note_lasting(self, unfinished: Windows) -> None:
        """Note the types of those that go on from the first stretch of time to the last.

        No session is that long: its key is that of a daemon (the pid of systemd-logind), which is never over. Left out
        of training, all that it says would be news tomorrow, every day.
        """
        if len(self.edges) and len(unfinished):
            through = (unfinished.start < self.edges[0]) & (unfinished.end >= self.edges[-1])
            self.lasting.update(unfinished.take(through).template.tolist())

    def recall(self, remembered: ViewMemory) -> None:
        """Take in what an older model remembers of the view."""
        self.n_windows += remembered.n_windows
        self.n_open += remembered.n_open
        windows, label = self._heeded(remembered.counted.windows, remembered.counted.label)
        if len(windows):
            self._keep(windows, counts_hash(windows, self.k), folds(windows.start, self.edges), label)
        if self.whole is not None and remembered.whole is not None:
            windows, label = self._heeded(remembered.whole.windows, remembered.whole.label)
            self.whole.add(windows, label, folds(windows.start, self.edges))

    def _heeded(self, windows: Windows, label: I8) -> tuple[Windows, I8]:
        """Return the windows that people have not called anomalous, with the labels they have given."""
        if self.answered is None:
            return windows, label
        said = self.answered(windows)
        kept = said != 1
        return windows.take(kept), np.where(said == 0, said, label)[kept]

    def _finished(self, windows: Windows) -> Bool:
        finished: Bool = ~np.isin(windows.closed_by, PARTIAL)
        return finished

    def _keep(self, windows: Windows, hashes: U64, fold: I64, label: I8) -> None:
        # Alike windows merge only within a fold and a label: both are part of what must stay apart.
        apart = apart_by(fold, label)
        # In order of time the window that stands for others is their first, however the events were partitioned.
        order = pl.DataFrame({"start": windows.start, "key": windows.key}).select(
            pl.arg_sort_by("start", "key").cast(pl.Int64)
        )
        index = order.to_series().to_numpy()
        windows, hashes, apart = merged(windows.take(index), hashes[index], apart[index])
        self._parts.append((windows, hashes, apart // 4, (apart % 4 - 1).astype(np.int8)))
        self._distinct += len(windows)

    def _merge(self) -> None:
        windows = Windows.concat([part[0] for part in self._parts])
        hashes, fold, label = (np.concatenate([part[i] for part in self._parts]) for i in (1, 2, 3))
        self._parts, self._distinct = [], 0
        kept = sampled(hashes, windows.weight)
        self.sampled_from = max(self.sampled_from, len(windows) if len(kept) < len(windows) else 0)
        self._keep(windows.take(kept), hashes[kept], fold[kept], label[kept])

    def gathered(self) -> Gathered:
        """Return the windows, in order of time; a sample of them if there are too many."""
        if not self._parts:
            nothing = np.empty(0, np.int64)
            return Gathered(Windows.empty(), nothing.astype(np.int8), nothing, 0.0, self.n_open)
        lasting = np.array(sorted(row for row in self.lasting if row < self.k), np.int64)
        self._merge()
        windows, hashes, fold, label = self._parts[0]
        whole = None if self.whole is None else self.whole.whole()
        return Gathered(windows, label, fold, self.n_windows, self.n_open, self.sampled_from, hashes, whole, lasting)
