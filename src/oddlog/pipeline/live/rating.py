"""Counts and shares while they come: the rates view of `detect`, asked again whenever a minute is over.

::

    records, events, closed sessions ──► counts of the last hours ──► Judged ──► episodes, each with a name

What is odd about a minute depends on it and the six hours before; what is told of ten minutes may change while later
ones reach back to them (a ramp), as in `detect`. So verdicts of `REACH` minutes are open, and counts kept for `KEPT`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from oddlog.model import Model
from oddlog.pipeline.drifting import Drifting
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.episodes import Episode, episodes_of, stretches_of
from oddlog.pipeline.judging.rates_reasons import Stretch
from oddlog.pipeline.judging.sampling import EACH, Line, Sampling
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.learning.collecting import words_of
from oddlog.pipeline.rates import Judged
from oddlog.pipeline.shares import with_shares
from oddlog.rates import Counting
from oddlog.rates.counting import BUCKET, US_PER_MINUTE
from oddlog.shares import ShareCounting, ShareCounts
from oddlog.templates import Masked
from oddlog.types import NO_TIME, SCORES, State, Tally, Windows

REACH = 370  # minutes: the longest look back is that of ramps, six hours
KEPT = 2 * REACH
FORGET_EVERY = 30  # minutes
EVERY_S = 1.0  # by the clock: a look takes a tenth of a second, and hours may be caught up with in seconds
BEHIND = 60  # minutes that may be over before they must be judged, even while more lines lie ready
MOST_WAITING = 50_000  # records that wait to be counted: many at once cost less
MOST_EVENTS = 300_000  # the last ones, of which lines are shown
MOST_SAMPLED = 100  # stretches of which lines are looked for, the oddest
SLACK = 30  # minutes between stretches of one subject that still are one: `episodes.GAP`
_COLUMNS = ("time_us", "template", "service", "level", "source", "line")
_Key = tuple[str, int, int]


@dataclass(frozen=True)
class Looked:
    """What the rates view says of the last hours.

    Attributes
    ----------
    judged : Judged
        Counts and verdicts.
    episodes : tuple of Episode
        What belongs together.
    names : tuple of str
        A name for each, that stays while it goes on.
    minute : int
        The first minute that is not over yet.
    since : int
        The first minute of which anything new may be said.

    """

    judged: Judged
    episodes: tuple[Episode, ...]
    names: tuple[str, ...]
    minute: int
    since: int


class Rating:
    """Counts what comes and judges it minute by minute.

    Parameters
    ----------
    model : Model
        One that watches rates.
    services : Codes
        Of the stream.
    tally : Tally
        Takes what is not counted by itself.

    """

    def __init__(self, model: Model, services: Codes, tally: Tally) -> None:
        assert model.rates is not None
        self._model, self._rates, self._services, self._tally = model, model.rates, services, tally
        shares = model.rates.shares
        k = len(model.context.templates)
        self.hosts = Codes(() if shares is None else shares.hosts, what="hosts", tally=tally)
        self._counting = Counting(tally, model.reading.get("entity", ""))
        self._shares = None if shares is None else ShareCounting(shares.bounds, k, tally)
        self.drifting = Drifting.of(model)
        self._waiting: list[tuple[pl.DataFrame, pl.DataFrame, pl.Series]] = []
        self._n_waiting = 0
        self._uncounted: list[pl.DataFrame] = []  # events whose shares wait to be counted
        self._events: deque[pl.DataFrame] = deque()  # the last ones, for lines to show
        self._n_events = 0
        self._lines: dict[_Key, list[Line]] = {}
        self._known: dict[str, dict[_Key, tuple[int, int]]] = {}  # name of an episode -> its stretches
        self._minute = 0  # the first one that has not been judged
        self._forgot = 0
        self._looked_s = float("-inf")
        self._told: dict[str, tuple[float, bool]] = {}  # key -> score and verdict that were told
        self._quiet_us = NO_TIME  # what lies before it and is not in there was told as usual

    def add(self, records: pl.DataFrame, shared: pl.DataFrame, masked: Masked) -> None:
        """Take in records and what `events.typed` says of them."""
        some = [n for n in records.columns if n in ("source", "host", "message") or n[:2] in ("n.", "f.")]
        self._waiting.append((records.select(some), shared.rename({"template": "type"}), words_of(masked)))
        self._n_waiting += len(records)
        if self._n_waiting > MOST_WAITING:
            self._count()

    def add_events(self, events: pl.DataFrame) -> None:
        """Take in the same lines as events."""
        if self._shares is not None:
            self._uncounted.append(events.drop("session", strict=False))
        self._events.append(events.select(_COLUMNS))
        self._n_events += len(events)
        while self._n_events > MOST_EVENTS and len(self._events) > 1:
            self._n_events -= len(self._events.popleft())

    def add_windows(self, windows: Windows) -> None:
        """Take in sessions that are over."""
        if self._shares is not None:
            self._shares.add_windows(windows)

    def is_due(self, minute: int, now_s: float, *, more: bool) -> bool:
        """Return whether to look, as all before `minute` has come; while `more` lies ready only if it must be."""
        if more:
            return minute - self._minute > BEHIND
        if minute <= self._minute or now_s - self._looked_s < EVERY_S:
            return False
        self._looked_s = now_s
        return True

    def look(self, minute: int, over: int) -> Looked:
        """Judge what was counted before a minute; lines have come until the minute `over`, which may be earlier."""
        self._count()
        since = (self._minute or REACH) - REACH
        self._minute = minute
        context = self._model.context
        counting = self._counting.before(minute)
        if self.drifting is not None:
            self.drifting.advance(counting, over)
        judged = self._rates.judge(counting, len(context.templates), self._services.names, Tally())
        if self._rates.shares is not None and self._shares is not None:
            counts = _of_over(self._shares.counts(), minute)
            odd = self._rates.shares.judge(counts)
            names = (self._services.names, self.hosts.names)
            judged = with_shares(judged, self._rates.shares, counts, odd, context, names)
        recent = [one for one in judged.odd_shares if one.end >= since]
        judged = replace(judged, odd=judged.odd.filter(pl.col("end") >= since), odd_shares=tuple(recent))
        sampled = self._sampled(judged)
        episodes = episodes_of(judged, self._rates.watch, context.templates, sampled)
        found = Looked(judged, tuple(episodes), tuple(self._named(episodes)), minute, since)
        if minute - self._forgot >= FORGET_EVERY:
            self._forget(minute)
        return found

    def verdicts(self, looked: Looked, *, final: bool = False) -> pl.DataFrame:
        """Return what is new of the verdicts of ten minutes that are over: `SCORES`; one may be told again."""
        over = _of_time(looked, final=final)
        verdicts = list(over.select("key", "score", "is_anomaly", pl.col("end").dt.epoch("us")).iter_rows())
        unchanged = (0.0, False)
        fresh = [
            self._told.get(key, unchanged if end <= self._quiet_us else None) != (score, odd)
            for key, score, odd, end in verdicts
        ]
        self._told |= {key: (score, odd) for key, score, odd, _ in verdicts}
        return over.filter(pl.Series(fresh, dtype=pl.Boolean)).select(SCORES.names())

    # -- names and lines -------------------------------------------------------------------------------------

    def _named(self, episodes: Sequence[Episode]) -> list[str]:
        """Return the names of episodes: that of the one before with which each shares most of its stretches."""
        found: list[str] = []
        left = dict(self._known)
        for one in episodes:
            mine = {_key(stretch): (stretch.start, stretch.end) for stretch in one.stretches}
            shared = {name: _shared(mine, theirs) for name, theirs in left.items()}
            name = max(shared, key=lambda name: (shared[name], name), default="")
            if not name or not shared[name]:
                name = self._new_name(one)
            left.pop(name, None)
            before = self._known.get(name, {})
            self._known[name] = {key: _joined(span, before.get(key)) for key, span in mine.items()}
            found.append(name)
        return found

    def _new_name(self, one: Episode) -> str:
        first = min(one.stretches, key=lambda stretch: (stretch.start, _key(stretch)))
        said = f"{_key(first)}\n{first.start // BUCKET}\n{len(self._known)}"
        return hashlib.blake2b(said.encode(), digest_size=6).hexdigest()

    def _sampled(self, judged: Judged) -> Sampling:
        """Return some lines of what is odd: those known already, and those that have come since."""
        stretches = stretches_of(judged.odd)[:MOST_SAMPLED]
        sampling = _Sampled(stretches, self._services.names, self._lines)
        if stretches and self._events:
            timed = pl.concat(self._events).filter(pl.col("time_us") != NO_TIME).sort("time_us", maintain_order=True)
            sampling.add(timed)
        return sampling

    # -- what is kept ----------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Count what waits, all at once."""
        if self._uncounted and self._shares is not None:
            self._shares.add_events(pl.concat(self._uncounted, how="diagonal_relaxed"))
            self._uncounted = []
        if not self._waiting:
            return
        records, shared, words = (list(column) for column in zip(*self._waiting, strict=True))
        self._counting.add(pl.concat(records, how="diagonal_relaxed"), pl.concat(shared), pl.concat(words))
        self._waiting, self._n_waiting = [], 0

    def _forget(self, minute: int) -> None:
        first = minute - KEPT
        self._forgot = minute
        self._counting.forget(first)
        if self._shares is not None:
            self._shares.forget(first // BUCKET)
        gone = [
            name for name, spans in self._known.items() if max((end for _, end in spans.values()), default=0) < first
        ]
        for name in gone:
            del self._known[name]
        self._lines = {key: kept for key, lines in self._lines.items() if (kept := _since(lines, first))}
        oldest = f"{datetime.fromtimestamp(max(first, 0) * 60, UTC):%Y-%m-%dT%H:%MZ}"
        self._told = {key: told for key, told in self._told.items() if key.rsplit("@", 1)[-1] >= oldest}

    def state(self) -> State:
        """Return everything `restore` needs; lines that are not shown yet are not kept."""
        self._count()
        arrays: dict[str, Any] = within("counting", (counting := self._counting.state()).arrays)
        if self._shares is not None:
            arrays |= within("shares", self._shares.state().arrays)
        drifting = State() if self.drifting is None else self.drifting.state()
        arrays |= within("drifting", drifting.arrays)
        meta = {
            "counting": counting.meta,
            "drifting": drifting.meta,
            "hosts": self.hosts.names,
            "minute": self._minute,
            "forgot": self._forgot,
            "known": [[name, [[*key, *span] for key, span in spans.items()]] for name, spans in self._known.items()],
            "lines": [[*key, [list(line) for line in lines]] for key, lines in self._lines.items()],
            "told": [[key, score, odd] for key, (score, odd) in self._told.items() if score or odd],
        }
        return State(arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new."""
        meta = state.meta
        self._counting.restore(State(under("counting", state.arrays), meta["counting"]))
        if self._shares is not None:
            self._shares.restore(State(under("shares", state.arrays)))
        if self.drifting is not None and meta.get("drifting"):
            self.drifting.restore(under("drifting", state.arrays), meta["drifting"])
        self.hosts.of(pl.Series(meta["hosts"], dtype=pl.String))
        self._minute, self._forgot = meta["minute"], meta["forgot"]
        self._known = {
            name: {(member, subject, who): (start, end) for member, subject, who, start, end in spans}
            for name, spans in meta["known"]
        }
        self._lines = {
            (member, subject, who): [Line(*line) for line in lines] for member, subject, who, lines in meta["lines"]
        }
        self._told = {key: (score, odd) for key, score, odd in meta["told"]}
        self._quiet_us = self._minute * US_PER_MINUTE

    def again(self) -> Looked | None:
        """Return what was found last, after `restore`; None if nothing has been judged yet."""
        return self.look(self._minute, 0) if self._minute else None


class _Sampled(Sampling):
    """Lines of stretches, with those that were noted before."""

    def __init__(self, stretches: Sequence[Stretch], services: Sequence[str], noted: dict[_Key, list[Line]]) -> None:
        super().__init__(stretches, services)
        self._noted = noted

    def of(self, stretch: Stretch) -> list[Line]:
        """Return the lines of a stretch, in order of time."""
        silent = stretch.member == "silence"
        first = stretch.start - BUCKET if silent else stretch.start
        every = sorted({*_since(self._noted.get(_key(stretch), []), first), *super().of(stretch)})
        self._noted[_key(stretch)] = found = every[-EACH:] if silent else every[:EACH]
        return found


def _of_time(looked: Looked, *, final: bool) -> pl.DataFrame:
    """Return the verdicts of ten minutes of which anything new may be said, and that are over unless all is."""
    scores = looked.judged.scores
    some = scores.filter(pl.col("start").dt.epoch("us") >= looked.since * US_PER_MINUTE)
    return some if final else some.filter(pl.col("end").dt.epoch("us") <= looked.minute * US_PER_MINUTE)


def _of_over(counts: ShareCounts, minute: int) -> ShareCounts:
    """Return the counts of ten minutes that are over: sessions that end early in them are not like the others."""
    over = (pl.col("bucket").cast(pl.Int64) + 1) * BUCKET <= minute
    return ShareCounts(
        {kind: frame.filter(over) for kind, frame in counts.marked.items()},
        {kind: frame.filter(over) for kind, frame in counts.whole.items()},
    )


def _key(one: Stretch) -> _Key:
    return one.member, one.subject, one.who


def _since(lines: Sequence[Line], minute: int) -> list[Line]:
    return [line for line in lines if line.time_us >= minute * US_PER_MINUTE]


def _shared(mine: dict[_Key, tuple[int, int]], theirs: dict[_Key, tuple[int, int]]) -> int:
    """Return how many stretches two episodes share, or nearly."""
    both = mine.keys() & theirs.keys()
    return sum(mine[key][0] <= theirs[key][1] + SLACK and theirs[key][0] <= mine[key][1] + SLACK for key in both)


def _joined(one: tuple[int, int], other: tuple[int, int] | None) -> tuple[int, int]:
    return one if other is None else (min(one[0], other[0]), max(one[1], other[1]))
