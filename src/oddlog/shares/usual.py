"""How large each share usually is and how much it varies; where it is far larger than that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import polars as pl

from oddlog.rates.limits import Limit
from oddlog.rates.member import share_deviate
from oddlog.rates.series import Span, trailing
from oddlog.rates.shares import trimmed_share
from oddlog.shares.blocks import LEAST_EXCESS, SPANS, Block, blocks_of
from oddlog.shares.bounds import Bounds
from oddlog.shares.counting import COUNTED, ShareCounts
from oddlog.shares.odd import Odd, dense_stretches, one_candidate, runs, score_of, told
from oddlog.shares.subjects import UNSEEN, Kind, after_of, subject_of, wholes_of
from oddlog.types import F64, I64, Bool, State

KINDS: tuple[Kind, ...] = (*COUNTED, "detour", "surge")
LEAST_ABSENT = 0.1  # of the steps from or to a type, from which on it matters that the other end was not given
RARE = 0.01  # a step with a smaller share is a detour
SMALL = 100.0  # times what is expected: of so many, a surge is expected to be one
BUCKET = 10  # minutes
LEAST_WHOLE = 20.0  # in training, before a mark that was never there says something
LEAST_SCORE = 3.0  # what is nearer to usual is not even a candidate
PRIOR_SPREAD, PRIOR_DAYS = 2.0, 2.0
LOWER_SHARE, ODD_SHARE = 0.5, 0.2  # of the hours of a training time: what is above the second may be incidents
LEAST_SCALE = 0.5  # of the tail beyond: twice that of the highest of hundreds of normal deviates
FAMILIES = 3  # steps and what is derived from them, gaps, numbers: between these the false alarms are shared out
LEAST_TIMES = 1.5  # the usual share; an excess below this is not worth a look, however sure
LEAST_LATE = 0.1  # of a service's lines, before it is worth a look that some are late


@dataclass(frozen=True)
class Habit:
    """What is usual of one kind.

    Attributes
    ----------
    subject, usual, spread : I64, F64, F64 [x], [x], [spans, x]
        Ascending; the share in training, and how much more it varies than the binomial law has it.
    whole, total : I64, F64 [y]
        How often each whole was there in training.
    limit : Limit
        How high scores usually come.

    """

    subject: I64
    usual: F64
    spread: F64
    whole: I64
    total: F64
    limit: Limit

    def of(self, subject: I64, whole: I64) -> tuple[F64, F64]:
        """Return usual share [x] and spread [spans, x]; NaN where training says nothing."""
        total = looked_up(self.whole, self.total, whole, 0.0)
        fresh = np.where(total >= LEAST_WHOLE, 0.5 / (total + 1), np.nan)
        usual = looked_up(self.subject, self.usual, subject, np.nan)
        spread = np.array([looked_up(self.subject, one, subject, 1.0) for one in self.spread])
        return np.where(np.isnan(usual), fresh, usual), spread


@dataclass(frozen=True)
class Shares:
    """Usual shares of all kinds.

    Attributes
    ----------
    bounds : Bounds
        Beyond which gaps and numbers carry a mark.
    habits : mapping
        By kind.
    threshold : float
        Of a surprise: from it on something is odd.
    hosts : tuple of str
        Names of the hosts' codes.
    odd_hours : mapping
        In how many hours of the training time each kind was odd.

    """

    bounds: Bounds
    habits: Mapping[Kind, Habit]
    threshold: float
    hosts: tuple[str, ...]
    odd_hours: Mapping[str, int]

    @classmethod
    def learn(cls, counts: ShareCounts, bounds: Bounds, hosts: tuple[str, ...], rate: float) -> Self:
        """Learn; `rate` is the share of usual hours that may hold a false alarm."""
        threshold = float(-np.log10(rate / FAMILIES))
        span = _span(counts.buckets)
        habits: dict[Kind, Habit] = {}
        odd: dict[str, int] = {}
        for kind in KINDS:
            if kind == "detour":
                counts = by_what_follows(counts, habits["step"])
            habits[kind], candidates = _learn(kind, counts, span)
            odd[kind] = habits[kind].limit.odd_hours(candidates, span, threshold)
        return cls(bounds, habits, threshold, hosts, odd)

    def usually_after(self, before: int) -> tuple[int, float]:
        """Return what most often comes after a type, and its share; (`UNSEEN`, 0) if nothing is known."""
        habit = self.habits["step"]
        here = np.flatnonzero(wholes_of("step", habit.subject) == before)
        if not len(here):
            return UNSEEN, 0.0
        best = here[np.argmax(habit.usual[here])]
        return subject_of("step", int(habit.subject[best])).after, float(habit.usual[best])

    def are_rare(self, pair: I64) -> Bool:
        """Return which steps [x] are rare."""
        usual, _ = self.habits["step"].of(pair, wholes_of("step", pair))
        rare: Bool = usual < RARE
        return rare

    def usually_before(self, after: int) -> tuple[int, float]:
        """Return what most often comes before a type, and in what share; (`UNSEEN`, 0) if nothing is known."""
        habit = self.habits["step"]
        here = np.flatnonzero(after_of(habit.subject) == after)
        if not len(here):
            return UNSEEN, 0.0
        whole = wholes_of("step", habit.subject[here])
        often = habit.usual[here] * looked_up(habit.whole, habit.total, whole, 0.0)
        best = int(np.argmax(often))
        return int(whole[best]), float(often[best] / often.sum())

    def without(self, absent: Collection[int], odd: Sequence[Odd]) -> list[Odd]:
        """Return what is odd though these types are `absent`, for what writes them was not given.

        Where they usually come next, or before, steps go elsewhere and waits seem long: that says nothing.
        """
        habit = self.habits["step"]
        before, after = wholes_of("step", habit.subject), after_of(habit.subject)
        often = habit.usual * looked_up(habit.whole, habit.total, before, 0.0)
        gone = np.array(sorted(absent), np.int64)
        from_gone, to_gone = np.isin(before, gone), np.isin(after, gone)

        def cut_off(here: Bool, lost: Bool) -> bool:
            return float(often[here & lost].sum()) >= LEAST_ABSENT * float(often[here].sum()) > 0

        def is_news(one: Odd) -> bool:
            of = subject_of(one.kind, one.subject)
            if one.kind == "gap":  # which lines a service waits for is not counted
                return not cut_off(~(from_gone & to_gone), from_gone ^ to_gone)
            if one.kind == "step" and cut_off(before == of.before, to_gone):
                return False
            return one.kind not in ("step", "detour", "surge") or not cut_off(after == of.after, from_gone)

        return [one for one in odd if is_news(one)]

    def judge(self, counts: ShareCounts) -> list[Odd]:
        """Return what is odd, in the order of kinds, subjects and time."""
        found: list[Odd] = []
        counts = by_what_follows(counts, self.habits["step"])
        for kind in KINDS:
            for block in blocks_of(kind, counts):
                found += self._odd(kind, block, counts)
        return found

    def _odd(self, kind: Kind, block: Block, counts: ShareCounts) -> Iterator[Odd]:
        habit = self.habits[kind]
        usual, spread = habit.of(block.subject, block.whole)
        candidates = _candidates(kind, block, usual, spread)
        if not len(candidates):
            return
        score = habit.limit.scores(candidates)
        surprise = habit.limit.surprise(score)
        held = candidates.with_columns(pl.Series("score", score), pl.Series("surprise", surprise))
        held = held.filter(pl.col("surprise") >= self.threshold).sort("subject", "bucket")
        rows = {int(subject): row for row, subject in enumerate(block.subject)}
        for (subject,), part in held.group_by("subject", maintain_order=True):
            row = rows[cast("int", subject)]
            for first, last in runs(part):
                low = max(first - block.first, 0)
                part_then, of_then = (m[row, low : last - block.first + 1] for m in (block.part, block.of))
                for i, j in dense_stretches(part_then, of_then, float(usual[row])):
                    within = (low + i, low + j)
                    own = score_of(block, row, within, float(usual[row]), spread[:, row])
                    held_to = habit.limit.scores(one_candidate(int(block.subject[row]), own))
                    top = (own, float(habit.limit.surprise(held_to)[0]))
                    if top[1] >= self.threshold:
                        yield told(kind, block, row, float(usual[row]), within, top, counts)

    def state(self) -> dict[str, State]:
        """Return the parts, by name."""
        parts = {
            "shares": State({}, {"threshold": self.threshold, "hosts": list(self.hosts), "odd": dict(self.odd_hours)})
        }
        parts["shares.bounds"] = self.bounds.state()
        for kind, habit in self.habits.items():
            arrays = {name: getattr(habit, name) for name in ("subject", "usual", "spread", "whole", "total")}
            parts[f"shares.{kind}"] = State(arrays)
            parts[f"shares.{kind}.limit"] = habit.limit.state()
        return parts

    @classmethod
    def from_states(cls, states: Mapping[str, State]) -> Self | None:
        """Rebuild; None where a model has no such parts."""
        if "shares" not in states:
            return None
        own = states["shares"].meta
        habits: dict[Kind, Habit] = {}
        for kind in KINDS:
            limit = Limit.from_state(states[f"shares.{kind}.limit"])
            arrays = states[f"shares.{kind}"].arrays
            named = {name: arrays[name] for name in ("subject", "usual", "spread", "whole", "total")}
            habits[kind] = Habit(**named, limit=limit)
        bounds = Bounds.from_state(states["shares.bounds"])
        return cls(bounds, habits, own["threshold"], tuple(own["hosts"]), own["odd"])


def by_what_follows(counts: ShareCounts, habit: Habit) -> ShareCounts:
    """Return the counts with two more kinds that come of steps, whose usual shares `habit` knows.

    *Detours*: by what a step leads to, those that are rare. *Surges*: how often there is a type, against how
    often the usual shares of all steps to it let expect it, which keeps to the traffic.
    """
    steps = counts.marked["step"]
    pair = steps["subject"].to_numpy()
    usual, _ = habit.of(pair, wholes_of("step", pair))
    after = steps.with_columns(subject=pl.Series(after_of(pair)), rare=pl.Series(usual < RARE))
    whole = after.group_by(pl.col("subject").alias("whole"), "bucket").agg(pl.col("n").sum())
    return ShareCounts(
        {**counts.marked, "detour": _summed(after.filter("rare")), "surge": _summed(after)},
        {**counts.whole, "detour": whole.sort("whole", "bucket"), "surge": _expected(counts.whole["step"], habit)},
    )


def _summed(steps: pl.DataFrame) -> pl.DataFrame:
    first = pl.col("first_us").arg_min()
    summed = steps.group_by("subject", "bucket", maintain_order=True).agg(
        pl.col("n").sum(),
        pl.col("first_us").min(),
        pl.col("last_us").max(),
        pl.col("source").get(first),
        pl.col("line").get(first),
        pl.col("template").get(first),
        pl.col("service").get(pl.col("n").arg_max()),
    )
    return summed.sort("subject", "bucket")


def _expected(befores: pl.DataFrame, habit: Habit) -> pl.DataFrame:
    """Return ``whole bucket n``: `SMALL` times as many as are expected of a type, by what came before it.

    So the usual share of a surge is small, and its law nearly Poisson's: of what nearly always follows, there can be
    many more than expected, too.
    """
    pairs = pl.DataFrame(
        {"whole": wholes_of("step", habit.subject), "after": after_of(habit.subject), "usual": habit.usual}
    )
    expected = befores.join(pairs, on="whole").with_columns(n=pl.col("n") * pl.col("usual") * SMALL)
    by_type = expected.group_by(pl.col("after").alias("whole"), "bucket", maintain_order=True)
    return by_type.agg(pl.col("n").sum()).sort("whole", "bucket")


def _learn(kind: Kind, counts: ShareCounts, span: Span) -> tuple[Habit, pl.DataFrame]:
    """Return what is usual of a kind, and the candidates of the training time."""
    totals = counts.whole[kind].group_by("whole").agg(pl.col("n").sum()).sort("whole")
    subjects, usual, spread, blocks = [], [], [], []
    for block in blocks_of(kind, counts):
        learned = [_usual(part, of, span.days) for part, of in zip(block.part, block.of, strict=True)]
        subjects.append(block.subject)
        usual.append(np.array([one for one, _ in learned]))
        spread.append(np.array([two for _, two in learned]).T)
        blocks.append(_candidates(kind, block, usual[-1], spread[-1]))
    candidates = pl.concat(blocks) if blocks else _candidates(kind, None, np.empty(0), np.empty(0))
    limit = Limit.learn(candidates, span, lower_share=LOWER_SHARE, odd_share=ODD_SHARE, least_scale=LEAST_SCALE)
    habit = Habit(
        np.concatenate([np.empty(0, np.int64), *subjects]),
        np.concatenate([np.empty(0), *usual]),
        np.concatenate([np.empty((len(SPANS), 0)), *spread], axis=1),
        totals["whole"].to_numpy(),
        totals["n"].cast(pl.Float64).to_numpy(),
        limit,
    )
    return habit, candidates


def _usual(part: F64, of: F64, days: float) -> tuple[float, list[float]]:
    """Return the usual share of a subject, from counts by ten minutes [t], and its spread in each of `SPANS`.

    What is furthest off does not count.
    """
    usual = float(trimmed_share(part, of)[0])
    spread = []
    for buckets in SPANS:
        _, far = trimmed_share(trailing(part[None], buckets)[0], trailing(of[None], buckets)[0])
        own = float(far.mean()) if len(far) else 1.0
        spread.append(max((days * own + PRIOR_DAYS * PRIOR_SPREAD) / (days + PRIOR_DAYS), 1.0))
    return usual, spread


_CANDIDATES = pl.Schema(
    {
        "subject": pl.Int64(),
        "minute": pl.Int64(),
        "bucket": pl.Int64(),
        "span": pl.Int64(),
        "score": pl.Float64(),
    }
)


def _candidates(kind: Kind, block: Block | None, usual: F64, spread: F64) -> pl.DataFrame:
    """Return where shares are far above usual: the last ten minutes, how many, and how far."""
    found = [pl.DataFrame(schema=_CANDIDATES)]
    for i, buckets in enumerate(SPANS if block is not None else ()):
        assert block is not None
        part, of = trailing(block.part, buckets), trailing(block.of, buckets)
        with np.errstate(invalid="ignore"):
            least = np.maximum(usual * LEAST_TIMES, LEAST_LATE if kind == "gap" else 0.0)[:, None]
            x, t = np.nonzero((part - of * usual[:, None] >= LEAST_EXCESS) & (part >= of * least))
        score = share_deviate(part[x, t], of[x, t], usual[x]) / np.sqrt(spread[i, x])
        bucket = block.first + t
        columns = {"subject": block.subject[x], "minute": bucket * BUCKET + BUCKET - 1, "bucket": bucket}
        frame = pl.DataFrame({**columns, "span": np.full(len(x), buckets), "score": score}).cast(_CANDIDATES)
        found.append(frame.filter(pl.col("score") >= LEAST_SCORE))
    return pl.concat(found)


def _span(buckets: I64) -> Span:
    if not len(buckets):
        return Span(0, np.zeros(0, np.bool_))
    observed = np.zeros(int(buckets[-1] - buckets[0]) + 1, np.bool_)
    observed[buckets - buckets[0]] = True
    return Span(int(buckets[0]) * BUCKET, np.repeat(observed, BUCKET))


def looked_up(keys: I64, values: F64, asked: I64, default: float) -> F64:
    """Return the values [x] of the keys asked for, which stand in ascending `keys`."""
    if not len(keys):
        return np.full(len(asked), default)
    at = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[at] == asked, values[at], default)
