"""All members of the rates view together: learned once from the counts of a training time, then asked.

::

    Counted ─► seasons ─► z-score · silence · ramp · mean      by series   ┐
            ─► moving average                                  by series   ├─► candidates ─► limits ─► odd stretches
            ─► error share · concentration                     by pair, by type of line    ┘
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.concentrations import Concentration
from oddlog.rates.levels import ENOUGH_EXPECTED, LEAST_LINES, SPANS, MovingAverage, ZScore
from oddlog.rates.limits import Limit
from oddlog.rates.means import LEAST_VALUES, Means
from oddlog.rates.member import CANDIDATES, BlockMember, Expected, WholeMember
from oddlog.rates.ramps import Ramp
from oddlog.rates.seasons import HOURS, Season, SeasonSums, grain_of, out_of_fold
from oddlog.rates.series import Counted, Series, Span
from oddlog.rates.shares import ErrorShare
from oddlog.rates.silence import TALKERS, Silence
from oddlog.types import F64, I64, Bool, State

BLOCK_MEMBERS: tuple[type[BlockMember], ...] = (ZScore, MovingAverage, Silence, Ramp, Means)
WHOLE_MEMBERS: tuple[type[WholeMember], ...] = (ErrorShare, Concentration)
ODD = pl.Schema({"member": pl.String(), **CANDIDATES, "surprise": pl.Float64(), "is_odd": pl.Boolean()})


@dataclass(frozen=True)
class Watch:
    """Members, what they expect, and how high their scores usually come.

    Attributes
    ----------
    series : Series
        What is watched [s].
    season : Season
        What is usual of each [s, 168]: lines a minute; of numbers the mean of their asinh.
    members : mapping
        By name.
    limits : mapping
        Of each member.
    threshold : float
        Of a surprise: from it on something is odd.
    odd_hours : mapping
        In how many hours of the training time each voting member found something odd.

    """

    series: Series
    season: Season
    members: Mapping[str, BlockMember | WholeMember]
    limits: Mapping[str, Limit]
    threshold: float
    odd_hours: Mapping[str, int]

    @classmethod
    def learn(cls, counted: Counted, rate: float) -> Self:
        """Learn; `rate` is the share of usual hours that may hold a false alarm."""
        season = Season(grain_of(counted.span), np.zeros((len(counted.series), HOURS)))
        by_block: list[BlockMember] = [make() for make in BLOCK_MEMBERS]
        whole: list[WholeMember] = [make() for make in WHOLE_MEMBERS]
        members: dict[str, BlockMember | WholeMember] = {member.name: member for member in by_block}
        members |= {member.name: member for member in whole}
        found: dict[str, list[pl.DataFrame]] = {name: [] for name in members}
        for member in by_block:
            member.prepare(counted.series)
        for block in counted.blocks():
            sums = SeasonSums.of(block.seen, block.span, block.values)
            season.rate[block.series] = sums.season().rate
            expected = Expected(*out_of_fold(sums, block.span))
            for member in by_block:
                found[member.name].append(member.learn(block, expected))
        for one in whole:
            found[one.name].append(one.learn(counted))
        limits = {name: Limit.learn(_one(parts), counted.span) for name, parts in found.items()}
        watch = cls(counted.series, season, members, limits, 0.0, {})
        threshold = float(-np.log10(rate / len(watch.votes)))
        odd = {name: limits[name].odd_hours(_one(found[name]), counted.span, threshold) for name in watch.votes}
        return cls(counted.series, season, members, limits, threshold, odd)

    @property
    def votes(self) -> tuple[str, ...]:
        """The members whose word counts: of z-score and moving average, the one that training was long enough for."""
        level, other = ("z-score", "moving-average") if self.season.grain != "none" else ("moving-average", "z-score")
        return (level, *(name for name in self.members if name not in (level, other)))

    def judge(self, counted: Counted, *, rivals: bool = False) -> pl.DataFrame:
        """Return the candidates as `ODD`: scores held to usual peaks, and which are odd.

        Those of members whose word does not count are only there if `rivals` are asked for.
        """
        asked = {name: member for name, member in self.members.items() if rivals or name in self.votes}
        found: dict[str, list[pl.DataFrame]] = {name: [] for name in asked}
        for block in counted.blocks(self._worth_a_look(counted)):
            expected = self.expected(block.series, block.span)
            for name, member in asked.items():
                if isinstance(member, BLOCK_MEMBERS):
                    found[name].append(member.judge(block, expected))
        for name, member in asked.items():
            if isinstance(member, WHOLE_MEMBERS):
                found[name].append(member.judge(counted))
        return pl.concat(
            [pl.DataFrame(schema=ODD), *(self._limited(name, _one(parts)) for name, parts in found.items())]
        )

    def _worth_a_look(self, counted: Counted) -> Bool:
        """Return which series [s] can be odd at all: with some lines, or with so many expected that they may lack."""
        kind = np.array(self.series.kind, dtype=np.str_)
        few = np.where(kind == "number", LEAST_VALUES, LEAST_LINES)
        lack = (kind != "number") & (self.season.rate.max(axis=1, initial=0.0) * max(SPANS) >= ENOUGH_EXPECTED)
        result: Bool = (counted.total >= few) | lack | np.isin(kind, TALKERS)
        return result

    def expected(self, series: I64, span: Span) -> Expected:
        """Return what is usual of some series, by minute [x, t]."""
        return Expected(*Season(self.season.grain, self.season.rate[series]).low_high(span.minute))

    def _limited(self, name: str, candidates: pl.DataFrame) -> pl.DataFrame:
        scores = self.limits[name].scores(candidates)
        surprise: F64 = self.limits[name].surprise(scores)
        odd = (surprise >= self.threshold) & (name in self.votes)
        shown = candidates.with_columns(
            pl.lit(name).alias("member"),
            pl.Series("score", scores),
            pl.Series("surprise", surprise),
            pl.Series("is_odd", odd),
        )
        return shown.select(pl.col(column).cast(dtype) for column, dtype in ODD.items())

    def states(self) -> dict[str, State]:
        """Return the parts, by name."""
        series = {name: getattr(self.series, name) for name in ("kind", "service", "host", "name")}
        own = State(
            {"template": self.series.template, "rate": self.season.rate.astype(np.float32)},
            {
                "grain": self.season.grain,
                "threshold": self.threshold,
                "series": series,
                "odd_hours": dict(self.odd_hours),
            },
        )
        parts = {name: member.state() for name, member in self.members.items()}
        return {"watch": own} | parts | {f"{name}.limit": limit.state() for name, limit in self.limits.items()}

    @classmethod
    def from_states(cls, states: Mapping[str, State]) -> Self:
        """Rebuild."""
        own = states["watch"]
        kind, service, host, name = (tuple(own.meta["series"][part]) for part in ("kind", "service", "host", "name"))
        series = Series(kind, service, host, name, own.arrays["template"])
        season = Season(own.meta["grain"], own.arrays["rate"].astype(np.float64))
        members: dict[str, BlockMember | WholeMember] = {}
        for make in BLOCK_MEMBERS:
            members[make.name] = make.from_state(states[make.name])
        for whole in WHOLE_MEMBERS:
            members[whole.name] = whole.from_state(states[whole.name])
        limits = {name: Limit.from_state(states[f"{name}.limit"]) for name in members}
        return cls(series, season, members, limits, own.meta["threshold"], own.meta["odd_hours"])


def _one(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=CANDIDATES), *parts])
