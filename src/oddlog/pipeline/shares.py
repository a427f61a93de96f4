"""Shares of steps, gaps and numbers: counted while windows lie at hand, learned in `fit` and judged in `detect`.

What is odd about them joins what the rates view finds: see `episodes`. Single lines are called odd with them where at
least two thirds of those that carry the mark are more than usual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from oddlog.pipeline.cutting import cut_windows, partitions
from oddlog.pipeline.events import EventStore
from oddlog.pipeline.judging.rates_reasons import Stretch
from oddlog.pipeline.judging.views import Cut
from oddlog.pipeline.learning.gathering import Rows
from oddlog.pipeline.rates import Judged
from oddlog.rates import is_measure
from oddlog.rates.counting import US_PER_MINUTE
from oddlog.shares import Bounds, Odd, ShareCounting, ShareCounts, Shares, steps, subject_of
from oddlog.shares.counting import of_events, of_windows
from oddlog.shares.subjects import after_of
from oddlog.types import I64, Context, Tally, Windows

SAMPLE = 2_000_000  # events that bounds are learned from
_REASON = {"gap": "gap", "number": "out_of_range", "mix": "rate", "surge": "rate"}
MOST_EXCESS = 2 / 3  # of the marked events that are more than usual, for each of them to be called odd


class SharesLearning:
    """Learns the usual shares of a log while its first view is gathered.

    Parameters
    ----------
    store : EventStore
        Of the first view.
    cut : Cut
        Of the first view; only sessions have steps.
    rows_of : callable
        Keys of templates to rows.
    span_us : tuple of int
        First and last time of the whole input.
    context : Context
        Types and numbers of the model.
    tally : Tally
        Counts what is not counted by itself.

    """

    def __init__(
        self, store: EventStore, cut: Cut, rows_of: Rows, span_us: tuple[int, int], context: Context, tally: Tally
    ) -> None:
        gaps, numbers, n, k = [], [], 0, len(context.templates)
        measures = [f"n.{i:02d}" for i, number in enumerate(context.numbers) if is_measure(number.name)]
        for events in partitions(store, rows_of):
            if cut.by == "session":
                gaps.append(steps(cut_windows(events, cut, Tally(), span_us), k))
            numbers.append(_numbered(events, measures))
            n += len(events)
            if n >= SAMPLE:
                break
        self._bounds = Bounds.learn(gaps, numbers)
        self.counting = ShareCounting(self._bounds, k, tally)
        self._by_session = cut.by == "session"

    @classmethod
    def again(cls, counting: ShareCounting, bounds: Bounds, cut: Cut) -> Self:
        """Return one that goes on from what was counted before, within the same bounds."""
        self = cls.__new__(cls)
        self.counting, self._bounds, self._by_session = counting, bounds, cut.by == "session"
        return self

    def add(self, events: pl.DataFrame, windows: Windows) -> None:
        """Take in a partition."""
        self.counting.add(events, windows if self._by_session else None)

    def learned(self, hosts: Sequence[str], rate: float) -> Shares:
        """Return what is usual; `rate` is the share of usual hours that may hold a false alarm."""
        return Shares.learn(self.counting.counts(), self._bounds, tuple(hosts), rate)


def _numbered(events: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the events with any of the named numbers."""
    return events.select("template", "host", *names).filter(
        pl.any_horizontal(pl.col(name).is_finite() for name in names) if names else pl.lit(value=False)
    )


def stretch_of(odd: Odd, context: Context, services: Sequence[str], hosts: Sequence[str]) -> Stretch:
    """Return what is odd as a stretch, with names instead of codes."""
    parts = subject_of(odd.kind, odd.subject)
    service = odd.service if parts.service < 0 else parts.service
    first, last = odd.start_us // US_PER_MINUTE, odd.end_us // US_PER_MINUTE
    return Stretch(
        member=odd.kind,
        subject=odd.subject,
        who=-1,
        start=first,
        end=last,
        minute=last,
        span=last - first + 1,
        score=odd.score,
        surprise=odd.surprise,
        seen=odd.part / max(odd.whole, 1.0),
        usual=odd.usual,
        kind=odd.kind,
        service=services[service],
        host=hosts[parts.host] if parts.host >= 0 else "",
        name=context.numbers[parts.number].name if parts.number >= 0 else "",
        template=parts.after if 0 <= parts.after < len(context.templates) else -1,
        share=odd,
    )


def with_shares(
    judged: Judged,
    shares: Shares,
    counts: ShareCounts,
    odd: Sequence[Odd],
    context: Context,
    names: tuple[Sequence[str], Sequence[str]],
) -> Judged:
    """Return what the rates view says with what is odd about shares; `names` are those of services and hosts."""
    services, hosts = names
    stretches = [stretch_of(one, context, services, hosts) for one in odd]
    traced = (services[code] for code in counts.marked["step"]["service"].unique().to_list())
    return judged.with_shares(shares, stretches, (number.name for number in context.numbers), traced)


@dataclass(frozen=True)
class _Flag:
    """Marked events of one subject, between two times."""

    kind: str
    subject: int
    start_us: int
    end_us: int
    surprise: float


@dataclass
class ShareLines:
    """Finds the single lines that make shares, and counts of types, odd."""

    shares: Shares
    k: int
    flags: pl.DataFrame = field(default_factory=pl.DataFrame)
    types: pl.DataFrame = field(default_factory=pl.DataFrame)

    @classmethod
    def of(cls, shares: Shares, odd: Sequence[Odd], counted: pl.DataFrame, k: int) -> Self:
        """Look for the lines of what is `odd`, and of types `counted` too often, in a model of `k` types."""
        told = [
            _Flag(one.kind, one.subject, one.start_us, one.end_us, one.surprise)
            for one in odd
            if one.excess >= MOST_EXCESS
        ]
        schema = {
            "kind": pl.String,
            "subject": pl.Int64,
            "start_us": pl.Int64,
            "end_us": pl.Int64,
            "surprise": pl.Float64,
        }
        many = counted.filter(
            (pl.col("kind") == "template") & (pl.col("seen") * (1 - MOST_EXCESS) >= pl.col("usual"))
        ).select(
            pl.col("template").cast(pl.UInt32),
            (pl.col("minute") - pl.col("span") + 1).cast(pl.Int64).alias("first"),
            pl.col("minute").cast(pl.Int64).alias("last"),
            "surprise",
        )
        return cls(shares, k, pl.DataFrame(told, schema=schema), many)

    def __bool__(self) -> bool:
        return bool(len(self.flags) or len(self.types))

    def lines(self, events: pl.DataFrame, windows: Windows | None) -> pl.DataFrame:
        """Return ``source line window_p window_reason`` of the lines of a partition that are told."""
        found = [pl.DataFrame(schema=_LINES)]
        if len(self.flags):
            found += self._of_events(events)
            found += [] if windows is None else self._of_windows(windows)
        if len(self.types):
            found.append(self._of_types(events))
        return pl.concat(found)

    def _of_types(self, events: pl.DataFrame) -> pl.DataFrame:
        some = events.select("time_us", "template", "source", "line").join(
            self.types.select("template").unique(), on="template", how="semi"
        )
        minute = pl.col("time_us") // US_PER_MINUTE
        told = some.join(self.types, on="template").filter(minute.is_between("first", "last"))
        return _told(told, "rate")

    def _of_windows(self, windows: Windows) -> Iterator[pl.DataFrame]:
        for kind, subject, _, event, marked in of_windows(windows, self.shares.bounds, self.k):
            place = {name: getattr(windows, name)[event[marked]] for name in ("time_us", "source", "line")}
            yield self._flagged(kind, subject[marked], place)
            if kind == "step":
                place = {name: getattr(windows, name)[event] for name in ("time_us", "source", "line")}
                yield self._flagged("surge", after_of(subject), place)
                rare = self.shares.are_rare(subject)
                place = {name: getattr(windows, name)[event[rare]] for name in ("time_us", "source", "line")}
                yield self._flagged("detour", after_of(subject[rare]), place)

    def _of_events(self, events: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for kind, subject, _, event, marked in of_events(events, self.shares.bounds, self.k):
            place = {name: events[name].to_numpy()[event[marked]] for name in ("time_us", "source", "line")}
            yield self._flagged(kind, subject[marked], place)

    def _flagged(self, kind: str, subject: I64, place: dict[str, np.ndarray]) -> pl.DataFrame:
        flags = self.flags.filter(pl.col("kind") == kind)
        those = pl.DataFrame({"subject": subject, **place})
        told = those.join(flags, on="subject").filter(pl.col("time_us").is_between("start_us", "end_us"))
        return _told(
            told, {"gap": "gap", "number": "out_of_range", "mix": "rate", "surge": "rate"}.get(kind, "unexpected_event")
        )


def _told(lines: pl.DataFrame, reason: str) -> pl.DataFrame:
    """Return what is told of lines with ``source line surprise``."""
    return lines.select(
        "source",
        "line",
        window_p=10.0 ** -pl.col("surprise"),
        window_reason=pl.lit(f"{reason}, far more often than usual then"),
    ).cast(_LINES)


_LINES = pl.Schema(
    {
        "source": pl.UInt16(),
        "line": pl.UInt64(),
        "window_p": pl.Float64(),
        "window_reason": pl.String(),
    }
)
