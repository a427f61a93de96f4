"""From where on a gap is long and a number far out: 1 % quantiles of each step and of each type's numbers.

Types differ: half a second is long for a look into the cache and short for a bill. So each value is held against
those of its own type (on its own host, where there are enough), and only then counted together with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from oddlog.shares.subjects import Steps
from oddlog.types import F64, I64, Bool, State

EDGE = 0.01
ENOUGH = 100  # values, before their quantile says something
MARGIN = 0.1  # a tenth more or less is no news, even of what was constant
LEAST_GAP_US = 50_000  # what comes a twentieth of a second later is not late
_HOSTS = 1 << 17


@dataclass(frozen=True)
class Bounds:
    """Bounds, by what they are of, ascending.

    Attributes
    ----------
    pair, late_us : I64 [p]
        Steps, and the time after which what follows is late.
    place : I64 [q]
        Number, template and host (-1: all), as one number.
    low, high : F64 [q]
        Beyond which a value is far out.

    """

    pair: I64
    late_us: I64
    place: I64
    low: F64
    high: F64

    @classmethod
    def nothing(cls) -> Self:
        """Return no bounds."""
        none, nowhere = np.empty(0, np.int64), np.empty(0)
        return cls(none, none, none, nowhere, nowhere)

    @classmethod
    def learn(cls, gaps: list[Steps], numbers: list[pl.DataFrame]) -> Self:
        """Learn from the steps of some windows, and from some events as `of_numbers` takes them."""
        pair, late = _late(gaps)
        place, low, high = _far_out(numbers)
        return cls(pair, late, place, low, high)

    def late(self, steps: Steps) -> tuple[I64, Bool]:
        """Return which steps [x] have a bound, and whether these were late."""
        if not len(self.pair):
            return np.empty(0, np.int64), np.empty(0, np.bool_)
        at = np.searchsorted(self.pair, steps.pair).clip(max=len(self.pair) - 1)
        known = np.flatnonzero((self.pair[at] == steps.pair) & (steps.gap_us >= 0))
        return known, steps.gap_us[known] > self.late_us[at[known]]

    def of_numbers(self, events: pl.DataFrame, number: int) -> tuple[I64, Bool, Bool]:
        """Return which `events` hold a number with bounds, and whether it is below, or above, them."""
        value = events[f"n.{number:02d}"].to_numpy()
        there = np.flatnonzero(np.isfinite(value))
        if not len(self.place) or not len(there):
            return there[:0], np.empty(0, np.bool_), np.empty(0, np.bool_)
        template, host = (events[name].to_numpy()[there].astype(np.int64) for name in ("template", "host"))
        at = self._find(_place(template, host, number))
        at = np.where(at >= 0, at, self._find(_place(template, np.full(len(host), -1), number)))
        there, at = there[at >= 0], at[at >= 0]
        return there, value[there] < self.low[at], value[there] > self.high[at]

    def _find(self, place: I64) -> I64:
        at = np.searchsorted(self.place, place).clip(max=len(self.place) - 1)
        return np.where(self.place[at] == place, at, -1)

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({name: getattr(self, name) for name in ("pair", "late_us", "place", "low", "high")})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        return cls(*(state.arrays[name] for name in ("pair", "late_us", "place", "low", "high")))


def _place(template: I64, host: I64, number: int) -> I64:
    return np.asarray((template * _HOSTS + host + 1) * 64 + number, np.int64)


def _late(gaps: list[Steps]) -> tuple[I64, I64]:
    some = [pl.DataFrame({"pair": one.pair, "gap": one.gap_us}).filter(pl.col("gap") >= 0) for one in gaps]
    frame = pl.concat([pl.DataFrame(schema={"pair": pl.Int64, "gap": pl.Int64}), *some])
    of_pair = (
        frame.group_by("pair")
        .agg(late=pl.col("gap").quantile(1 - EDGE, interpolation="higher"), n=pl.len())
        .filter(pl.col("n") >= ENOUGH)
        .sort("pair")
    )
    late = np.maximum(of_pair["late"].to_numpy() * (1 + MARGIN), LEAST_GAP_US)
    return of_pair["pair"].to_numpy(), late.astype(np.int64)


def _far_out(numbers: list[pl.DataFrame]) -> tuple[I64, F64, F64]:
    if not numbers:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    events = pl.concat(numbers)
    parts = []
    for name in (name for name in events.columns if name.startswith("n.")):
        one = events.select("template", "host", value=pl.col(name).fill_nan(None)).drop_nulls("value")
        for by in (["template"], ["template", "host"]):
            of_type = (
                one.group_by(by)
                .agg(
                    low=pl.col("value").quantile(EDGE, interpolation="lower").cast(pl.Float64),
                    high=pl.col("value").quantile(1 - EDGE, interpolation="higher").cast(pl.Float64),
                    n=pl.len(),
                )
                .filter(pl.col("n") >= ENOUGH)
            )
            host = pl.col("host").cast(pl.Int64) if "host" in by else pl.lit(-1, pl.Int64)
            parts.append(
                of_type.select("template", host.alias("host"), "low", "high", number=pl.lit(int(name[2:]), pl.Int64))
            )
    if not parts:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    every = pl.concat(parts)
    place = (every["template"].to_numpy().astype(np.int64) * _HOSTS + every["host"].to_numpy() + 1) * 64
    place = place + every["number"].to_numpy()
    low, high = every["low"].to_numpy(), every["high"].to_numpy()
    order = np.argsort(place, kind="stable")
    return place[order], (low - MARGIN * np.abs(low))[order], (high + MARGIN * np.abs(high))[order]
