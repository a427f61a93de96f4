"""What a report shows of the most pressing incidents besides reasons: lines around the odd ones, expected against seen.

Bounded by construction: of at most `MOST_CLOSEUPS` incidents at most `MOST_SHOWN` lines each are kept, while the
incidents are still being found.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import polars as pl

from oddlog.explain import Oddity, Usual
from oddlog.pipeline.events import Codes
from oddlog.types import I64, LEVEL, NO_TIME, TIME, U64, Bool, Windows

MOST_CLOSEUPS = 50
MOST_SHOWN = 30  # lines of an incident
NEIGHBOURS = 3  # lines before and after an odd one
ALIKE = 3  # odd lines of one type that are shown with their neighbours; a hundred alike say no more
TRACE = 12  # lines after an odd one that are read with it, for a stack trace that belongs to it
MOST_OCCURRENCES = 20_000
LINES = pl.Schema(
    {
        "source": pl.String(),
        "line": pl.UInt64(),
        "time": TIME,
        "level": LEVEL,
        "service": pl.String(),
        "host": pl.String(),
        "message": pl.String(),
        "text": pl.String(),  # a stack trace follows behind the first line
        "odd": pl.Boolean(),
        "gap": pl.UInt32(),  # lines of the same window (or source) that are left out before this one
    }
)

Order = tuple[float, float, int]


class Rereading(Protocol):
    """What lines can be read from once more: `Reading`, or `Recent`."""

    def again(self, wanted: Mapping[str, Collection[int]], columns: Sequence[str] = ...) -> pl.DataFrame:
        """Return `columns` of the lines whose numbers are `wanted` by source; others may be missing."""
        ...


@dataclass(frozen=True)
class Difference:
    """A message type that stands in a window more or less often than is usual."""

    text: str
    kind: str
    seen: int
    usual: int  # in the most similar usual window
    share: float  # of usual windows that hold it
    p99: int  # its count, in 99 % of those that hold it


@dataclass(frozen=True)
class Closeup:
    """One incident from near.

    Attributes
    ----------
    key, noun : str
        The window that is shown, and what such windows are called; empty if single lines are odd.
    differences : tuple of Difference
        What makes it odd, the weightiest first.
    lines : pl.DataFrame
        `LINES`, in order of time.
    n_lines : int
        How many the window has.
    starts : I64 [x]
        When each of the incident's windows (or odd lines) began; those without a time are left out.

    """

    key: str
    noun: str
    differences: tuple[Difference, ...]
    lines: pl.DataFrame
    n_lines: int
    starts: I64


@dataclass(frozen=True, order=True)
class _Kept:
    """An incident before its lines are read. The *least* of a heap is the one to let go: the least pressing."""

    rank: tuple[float, float, int, str]
    key: str = field(compare=False)
    noun: str = field(compare=False)
    differences: tuple[Difference, ...] = field(compare=False)
    starts: I64 = field(compare=False)
    source: I64 = field(compare=False)  # [x] of the lines to show
    line: U64 = field(compare=False)  # [x]
    odd: Bool = field(compare=False)  # [x]
    gap: I64 = field(compare=False)  # [x]
    n_lines: int = field(compare=False)


@dataclass
class Closeups:
    """Keeps what is needed to show the most pressing incidents from near."""

    text_of: Callable[[int], str]
    sources: Codes
    most: int = MOST_CLOSEUPS
    _heap: list[_Kept] = field(default_factory=list)

    def add_window(
        self, incident: str, order: Order, window: Windows, lead: Sequence[Oddity], usual: Usual, noun: str, starts: I64
    ) -> None:
        """Take in an incident: its oddest `window` (one), what that leads with, when all of them started."""
        rank = self._rank(incident, order)
        if self._is_full(rank):
            return
        odd = np.isin(window.template, [o.template for o in lead if o.seen])
        shown = around(window.template, odd)
        gaps = np.diff(shown, prepend=-1) - 1
        self._keep(
            _Kept(
                rank,
                window.key[0],
                noun,
                tuple(self._difference(o, usual) for o in lead),
                _timed(starts),
                window.source[shown].astype(np.int64),
                window.line[shown],
                odd[shown],
                gaps,
                len(odd),
            )
        )

    def add_lines(self, incident: str, order: Order, source: np.ndarray, line: np.ndarray, time_us: I64) -> None:
        """Take in an incident of lines [x] of a type that are odd by themselves, and their times."""
        rank = self._rank(incident, order)
        if self._is_full(rank):
            return
        near = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
        first, odd_line = source[:ALIKE].astype(np.int64), line[:ALIKE].astype(np.int64)
        places = np.unique(np.stack([np.repeat(first, len(near)), (odd_line[:, None] + near).ravel()], 1), axis=0)
        places = places[places[:, 1] > 0]
        of, shown = places[:, 0], places[:, 1]
        odd = ((of[:, None] == first) & (shown[:, None] == odd_line)).any(axis=1)
        gap = np.where(np.diff(of, prepend=-1) == 0, np.diff(shown, prepend=0) - 1, 0)
        self._keep(_Kept(rank, "", "", (), _timed(time_us), of, shown.astype(np.uint64), odd, gap, 0))

    def read(self, reading: Rereading) -> dict[str, Closeup]:
        """Return the kept incidents by id, with their lines read once more."""
        wanted: dict[str, set[int]] = defaultdict(set)
        for one in self._heap:
            for source, line, odd in zip(one.source.tolist(), one.line.tolist(), one.odd.tolist(), strict=True):
                # Lines that are not asked for and are no trace find no place in `_closeup`.
                wanted[self.sources.names[source]].update(range(line, line + 1 + TRACE * odd))
        columns = [name for name in LINES if name not in ("odd", "gap")]
        texts = reading.again(wanted, columns).unique(["source", "line"], keep="first", maintain_order=True)
        return {one.rank[-1]: self._closeup(one, texts) for one in self._heap}

    def _closeup(self, one: _Kept, texts: pl.DataFrame) -> Closeup:
        at = pl.DataFrame(
            {
                "source": [self.sources.names[code] for code in one.source.tolist()],
                "line": one.line,
                "odd": one.odd,
                "gap": one.gap.astype(np.uint32),
            }
        )
        # A line that is part of a stack trace belongs to the record before it: that has it in its text.
        lines = at.join(texts, on=["source", "line"], maintain_order="left").select(list(LINES))
        return Closeup(one.key, one.noun, one.differences, lines, one.n_lines, one.starts)

    def _rank(self, incident: str, order: Order) -> tuple[float, float, int, str]:
        # Orders are ascending, most pressing first; a heap gives back its least.
        return (-order[0], -order[1], -order[2], incident)

    def _is_full(self, rank: tuple[float, float, int, str]) -> bool:
        return len(self._heap) >= self.most and rank < self._heap[0].rank

    def _keep(self, one: _Kept) -> None:
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, one)
        else:
            heapq.heappushpop(self._heap, one)

    def _difference(self, oddity: Oddity, usual: Usual) -> Difference:
        row = oddity.template
        known = row < len(usual.share)
        share, p99 = (float(usual.share[row]), int(usual.p99[row])) if known else (0.0, 0)
        return Difference(self.text_of(row), oddity.kind, int(oddity.seen), int(oddity.expected), share, p99)


def around(template: np.ndarray, odd: Bool) -> I64:
    """Return which events [x] of a window [e] to show: odd ones and their neighbours, else the first ones.

    >>> around(np.arange(50), np.arange(50) == 20).tolist()
    [17, 18, 19, 20, 21, 22, 23]
    """
    if len(odd) <= MOST_SHOWN:
        return np.arange(len(odd))
    if not odd.any():
        return np.arange(MOST_SHOWN)
    at = np.flatnonzero(odd)
    of_type = pl.Series(template[at]).to_frame("t").select(pl.int_range(pl.len()).over("t")).to_series().to_numpy()
    at = at[of_type < ALIKE]
    wanted: set[int] = set(at[:MOST_SHOWN].tolist())
    for i in at.tolist():
        near = set(range(max(i - NEIGHBOURS, 0), min(i + NEIGHBOURS + 1, len(odd))))
        if len(wanted | near) > MOST_SHOWN:
            break
        wanted |= near
    return np.array(sorted(wanted), np.int64)


def _timed(time_us: I64) -> I64:
    timed: I64 = np.sort(time_us[time_us != NO_TIME])
    return timed[:MOST_OCCURRENCES]


def as_told(one: Closeup) -> dict[str, Any]:
    """Return a closeup as JSON has it: ``key noun n_lines differences lines``; times in ISO 8601."""
    lines = one.lines.with_columns(pl.col("level").cast(pl.String), _iso(pl.col("time")))
    return {
        "key": one.key,
        "noun": one.noun,
        "n_lines": one.n_lines,
        "differences": [asdict(difference) for difference in one.differences],
        "lines": lines.to_dicts(),
    }


def _iso(time: pl.Expr) -> pl.Expr:
    return time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
