"""What blocks of time were like in training, and how far single ones lay from the others.

Five figures are followed of each subject, and each numeric field of a service:

========= ===========================================================================================
`types`   Jensen-Shannon divergence of the mix of message types from the usual mix
`unseen`  share of lines of types never seen
`levels`  Jensen-Shannon divergence of the shares of WARNING and of ERROR
`lines`   how many lines, by what is usual at that hour: absolute value of the logarithm; from two days of
          training on, as the hours of the day are not known before
`values`  mean of the asinh of a numeric field: how far from its usual one
========= ===========================================================================================

Shares are drawn towards the usual ones by `WEIGHT` lines, so that a quiet night is not far off by chance. Each training
block is compared with the other four fifths of the training time; types that occur in its fifth only are unseen there.

The usual share is the mean over blocks but for the highest and the lowest tenth of them: a report that is written on
Sundays is no part of what is usual in between.

Two days of a weekend in a row are not like two days drawn from a week. So where training holds a day's worth of both,
blocks of weekends are compared with such blocks, and those of working days with theirs (Mondrian conformal prediction:
Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, section 4.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.drift.blocks import ALL, MOST_TYPES, Measured, Plan
from oddlog.rates.seasons import HOURLY_DAYS, HOURS, WEEKLY_DAYS
from oddlog.rates.series import hour_of_week
from oddlog.types import F64, I64, Bool, State

ASPECTS = ("types", "unseen", "levels", "lines", "values")
OF_SUBJECTS = ASPECTS[:-1]
FOLDS = 5
HOUR, TEN_MINUTES = 60, 10
WHOLE_DAYS = 1.0  # of training, from which on blocks are hours
LEAST_BLOCKS = 18  # three hours of ten minutes each
MOST_BLOCKS = 840  # five weeks of hours; the latest ones count
MOST_SERVICES = 100  # those with most lines; the others are only part of all
MOST_VALUES = 200
MOST_DISTANCES = 400  # that are kept of a figure
WEIGHT = 50.0  # lines that the usual shares count for in those of a block
TRIMMED = 0.1
RARE = 0.05  # of the blocks on either side; a share within the others is nothing to be named
FEW = 10.0  # lines added to how many there were and are expected
LEAST_LINES = 5.0  # a block, in the mean, of a service that is followed by itself
LEAST_VALUES = 5.0
KAPPA_DAY, KAPPA_WEEK = 1.0, 0.25  # blocks that the mean counts for in an hour of the day, and that in one of the week
LEAST_KIND = 24  # blocks of weekends, and of working days, before they are told apart
_SATURDAY = 5 * 24  # hour of the week


@dataclass(frozen=True)
class Centre:
    """What is usual: the middle that distances are from.

    Attributes
    ----------
    types : F64 [s, t + 1]
        Share of each type.
    levels : F64 [s, 3]
        Share of each level.
    lines : F64 [s, 168]
        Lines of a block, by hour of the week.
    values : F64 [f]
        Mean of the asinh of a field.

    """

    types: F64
    levels: F64
    lines: F64
    values: F64

    @classmethod
    def of(cls, measured: Measured, plan: Plan, days: float, *, by_kind: bool) -> Self:
        """Learn from blocks that stand for so many days, of hours on working days and weekends `by_kind`."""
        lines = _by_hour(measured.lines, hour_of_week(measured.block * plan.minutes), days, by_kind=by_kind)
        means = np.where(measured.values > 0, measured.asinh / np.maximum(measured.values, 1.0), np.nan)
        values = _trimmed(means) if len(plan.values) else np.empty(0)
        return cls(_kept(_shares(measured.types)), _kept(_shares(measured.levels)), _kept(lines), values)

    def expected(self, measured: Measured, plan: Plan) -> F64:
        """Return how many lines are usual in each block [b, s]."""
        rows: F64 = self.lines[:, hour_of_week(measured.block * plan.minutes)].T
        return rows

    def distances(self, measured: Measured, plan: Plan) -> F64:
        """Return how far each block lies from here [b, x]: all subjects by aspect, then the fields."""
        lines = measured.lines
        values = (measured.asinh + WEIGHT * self.values) / (measured.values + WEIGHT)
        far = (
            _divergence(measured.types, self.types),
            measured.unseen / (lines + WEIGHT),
            _divergence(measured.levels, self.levels),
            np.abs(np.log((lines + FEW) / (self.expected(measured, plan) + FEW))),
            np.abs(values - self.values),
        )
        every: F64 = np.concatenate(far, axis=1)
        return every


@dataclass(frozen=True)
class Usual:
    """What blocks are like.

    Attributes
    ----------
    plan : Plan
        What is told apart.
    centre : Centre
        The middle.
    unseen : F64 [s]
        Share of lines of types that the rest of the training time did not hold.
    types, levels : F64 [2, s, t + 1], [2, s, 3]
        Shares of single blocks: from the lowest twentieth to the highest.
    distances : tuple of F64 [x, q]
        How far training blocks lay from the middle of the others, ascending: those of working days, and those of
        weekends; all of them where these are not told apart.
    blocks : tuple of int
        How many training blocks these are.
    knows_hours : bool
        Whether training was long enough to know how many lines an hour of the day has.

    """

    plan: Plan
    centre: Centre
    unseen: F64
    types: F64
    levels: F64
    distances: tuple[F64, ...]
    blocks: tuple[int, ...]
    knows_hours: bool

    @classmethod
    def learn(
        cls, lines: pl.DataFrame, numbers: pl.DataFrame, k: int, days: float, span: tuple[int, int]
    ) -> Self | None:
        """Learn; None if there are too few blocks to say how far usual ones lie apart.

        Parameters
        ----------
        lines : pl.DataFrame
            ``minute service template gravity n``.
        numbers : pl.DataFrame
            ``minute service field n asinh``, fields by name.
        k : int
            Types of the model.
        days : float
            Of training.
        span : (int, int)
            Its first minute, and the one behind its last.

        """
        minutes = HOUR if days >= WHOLE_DAYS else TEN_MINUTES
        lines, numbers = (_whole_blocks(frame, minutes, span) for frame in (lines, numbers))
        n_blocks = lines["block"].n_unique()
        if n_blocks < LEAST_BLOCKS:
            return None
        plan = _plan(lines, numbers, k, minutes, n_blocks)
        measured = Measured.of(plan, lines, numbers)
        fold = np.arange(n_blocks) * FOLDS // n_blocks
        weekend = _is_weekend(measured.block, plan)
        by_kind = minutes == HOUR and min(int(weekend.sum()), int((~weekend).sum())) >= LEAST_KIND
        new = _unseen_elsewhere(plan, lines, measured.block, fold)
        far = np.empty((n_blocks, len(plan.services) * len(OF_SUBJECTS) + len(plan.values)))
        unseen = Measured(**(measured.arrays() | {"unseen": new}))
        for i in range(FOLDS):
            middle = Centre.of(measured.take(fold != i), plan, days * (1 - 1 / FOLDS), by_kind=by_kind)
            far[fold == i] = middle.distances(unseen.take(fold == i), plan)
        share = new.sum(0) / np.maximum(measured.lines.sum(0), 1.0)
        spans = (_span(measured.types), _span(measured.levels))
        centre = Centre.of(measured, plan, days, by_kind=by_kind)
        kinds = (far[~weekend], far[weekend]) if by_kind else (far,)
        far_off, blocks = tuple(map(_sorted, kinds)), tuple(map(len, kinds))
        return cls(plan, centre, share, *spans, far_off, blocks, days >= HOURLY_DAYS)

    def __len__(self) -> int:
        return len(self.distances[0])

    @property
    def of(self) -> list[tuple[str, int]]:
        """What each figure [x] is: its aspect, and the number of the subject or of the field."""
        subjects = [(aspect, i) for aspect in OF_SUBJECTS for i in range(len(self.plan.services))]
        return subjects + [("values", i) for i in range(len(self.plan.values))]

    def p_values(self, measured: Measured) -> F64:
        """Return the share of training blocks that lay as far off as each block [b, x], ties by half.

        Never 0; NaN where nothing is known.
        """
        far = self.centre.distances(measured, self.plan)
        kind = np.minimum(_is_weekend(measured.block, self.plan), len(self.blocks) - 1)
        p = np.empty(far.shape)
        for i, (distances, blocks) in enumerate(zip(self.distances, self.blocks, strict=True)):
            for x, known in enumerate(distances):
                there, q = far[kind == i, x], len(known)
                beyond, reached = (q - np.searchsorted(known, there, side) for side in ("right", "left"))
                p[kind == i, x] = ((beyond + reached) / (2 * q) * blocks + 0.5) / (blocks + 1)
        if not self.knows_hours:
            p[:, [aspect == "lines" for aspect, _ in self.of]] = np.nan
        return p

    def states(self) -> dict[str, State]:
        """Return the part of a model, by name."""
        arrays: dict[str, NDArray[Any]] = {
            "services": self.plan.services,
            "types": self.plan.types,
            "mix": self.centre.types.astype(np.float32),
            "levels": self.centre.levels.astype(np.float32),
            "lines": self.centre.lines.astype(np.float32),
            "values": self.centre.values,
            "unseen": self.unseen,
            "types.span": self.types.astype(np.float32),
            "levels.span": self.levels.astype(np.float32),
        }
        arrays |= {f"distances.{i}": one.astype(np.float32) for i, one in enumerate(self.distances)}
        meta = {
            "minutes": self.plan.minutes,
            "k": self.plan.k,
            "blocks": list(self.blocks),
            "knows_hours": self.knows_hours,
            "values": [list(one) for one in self.plan.values],
        }
        return {"drift": State(arrays, meta)}

    @classmethod
    def from_states(cls, states: Mapping[str, State]) -> Self | None:
        """Rebuild; None where a model knows nothing of drift."""
        if "drift" not in states:
            return None
        arrays, meta = states["drift"].arrays, states["drift"].meta
        values = tuple((int(service), str(name)) for service, name in meta["values"])
        plan = Plan(int(meta["minutes"]), int(meta["k"]), arrays["services"], arrays["types"], values)
        mix, levels, lines = (arrays[name].astype(np.float64) for name in ("mix", "levels", "lines"))
        centre = Centre(mix, levels, lines, arrays["values"])
        of_types, of_levels = (arrays[name].astype(np.float64) for name in ("types.span", "levels.span"))
        blocks = tuple(map(int, meta["blocks"]))
        far = tuple(arrays[f"distances.{i}"].astype(np.float64) for i in range(len(blocks)))
        knows_hours = bool(meta.get("knows_hours", True))
        return cls(plan, centre, arrays["unseen"], of_types, of_levels, far, blocks, knows_hours)


def _whole_blocks(frame: pl.DataFrame, minutes: int, span: tuple[int, int]) -> pl.DataFrame:
    """Return what lies in blocks that are whole, the latest of them, with ``block`` instead of ``minute``."""
    first, end = -(-span[0] // minutes), span[1] // minutes
    blocked = frame.with_columns(block=(pl.col("minute") // minutes).cast(pl.Int64))
    inside = blocked.filter(pl.col("block").is_between(max(first, end - MOST_BLOCKS), end - 1)).drop("minute")
    sums = [name for name in ("n", "asinh") if name in inside.columns]
    by = [name for name in inside.columns if name not in sums]
    # In the order they came: a sum of floats depends on it.
    return inside.group_by(by, maintain_order=True).agg(pl.col(sums).sum()).sort(by)


def _plan(lines: pl.DataFrame, numbers: pl.DataFrame, k: int, minutes: int, n_blocks: int) -> Plan:
    """Choose what is told apart: those of which there is most."""
    of_service = lines.group_by("service").agg(pl.col("n").sum()).sort("n", "service", descending=[True, False])
    several = of_service.filter(pl.col("n") >= LEAST_LINES * n_blocks)["service"].to_numpy().astype(np.int64)
    # One service is all of them, and needs not be told apart.
    services = np.concatenate([[ALL], several[:MOST_SERVICES] if len(of_service) > 1 else several[:0]])
    types = np.full((len(services), MOST_TYPES), -1, np.int64)
    known = lines.filter(pl.col("template") >= 0)
    for s, service in enumerate(services.tolist()):
        mine = known if service == ALL else known.filter(pl.col("service") == service)
        by = mine.group_by("template").agg(pl.col("n").sum()).sort("n", "template", descending=[True, False])
        rows = by["template"].head(MOST_TYPES).to_numpy()
        types[s, : len(rows)] = rows
    of_value = numbers.group_by("service", "field").agg(pl.col("n").sum(), blocks=pl.col("block").n_unique())
    of_value = of_value.filter((pl.col("n") >= LEAST_VALUES * n_blocks) & (pl.col("blocks") * 2 >= n_blocks))
    of_value = of_value.sort("n", "service", "field", descending=[True, False, False]).head(MOST_VALUES)
    values = tuple((int(service), str(name)) for service, name in of_value.select("service", "field").iter_rows())
    return Plan(minutes, k, services.astype(np.int64), types, values)


def _unseen_elsewhere(plan: Plan, lines: pl.DataFrame, block: I64, fold: I64) -> F64:
    """Return how many lines of each block are of types that no other fold holds [b, s]."""
    folds = pl.DataFrame({"block": block, "fold": fold})
    known = lines.filter(pl.col("template") >= 0).join(folds, on="block")
    alone = known.group_by("template").agg(folds=pl.col("fold").n_unique()).filter(pl.col("folds") == 1)
    some = plan.of_subjects(known.join(alone, on="template", how="semi").drop("fold"))
    b, s = len(block), len(plan.services)
    cell = np.searchsorted(block, some["block"].to_numpy()) * s + some["subject"].to_numpy()
    counted: F64 = np.bincount(cell, some["n"].to_numpy().astype(np.float64), b * s).astype(np.float64)
    return counted.reshape(b, s)


def _is_weekend(block: I64, plan: Plan) -> Bool:
    weekend: Bool = hour_of_week(block * plan.minutes) >= _SATURDAY
    return weekend


def _by_hour(lines: F64, hour: I64, days: float, *, by_kind: bool) -> F64:
    """Return the usual lines of a block at each hour of the week [s, 168], of blocks [b, s]; see `rates.seasons`."""
    mean = lines.mean(0)[:, None]
    usual = np.repeat(mean, HOURS, axis=1)
    sums = np.array([np.bincount(hour, row, HOURS) for row in lines.T]).reshape(lines.shape[1], HOURS)
    blocks = np.bincount(hour, minlength=HOURS).astype(np.float64)
    if days >= HOURLY_DAYS:
        of_day, in_day = sums.reshape(-1, 7, 24).sum(1), blocks.reshape(7, 24).sum(0)
        usual = np.tile((of_day + KAPPA_DAY * mean) / (in_day + KAPPA_DAY), 7)
    if by_kind:
        for some in (slice(0, _SATURDAY), slice(_SATURDAY, HOURS)):
            n, of = sums[:, some].reshape(len(mean), -1, 24).sum(1), blocks[some].reshape(-1, 24).sum(0)
            before = usual[:, some].reshape(len(mean), -1, 24)[:, 0]
            usual[:, some] = np.tile((n + KAPPA_WEEK * before) / (of + KAPPA_WEEK), (some.stop - some.start) // 24)
    if days >= WEEKLY_DAYS:
        usual = (sums + KAPPA_WEEK * usual) / (blocks + KAPPA_WEEK)
    return usual


def _shares(counts: F64) -> F64:
    """Return the usual shares of the last axis [s, c], of blocks [b, s, c]."""
    usual = _trimmed(_of_blocks(counts))
    shares: F64 = usual / np.maximum(usual.sum(1, keepdims=True), 1e-12)
    return shares


def _of_blocks(counts: F64) -> F64:
    """Return the shares of the last axis of each block [b, s, c]; NaN where it holds too few lines to have any."""
    total = counts.sum(2, keepdims=True)
    shares = np.where(total >= FEW, counts / np.maximum(total, 1.0), np.nan)
    sparse = np.isnan(shares).all(axis=(0, 2))  # a service that never has so many
    every = counts[:, sparse].sum(0)
    shares[:, sparse] = every / np.maximum(every.sum(1, keepdims=True), 1.0)
    return shares


def _trimmed(values: F64) -> F64:
    """Return the mean over the first axis, but for its highest and its lowest tenth; NaN are left out."""
    ordered, low, high = _ordered(values, TRIMMED)
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.nancumsum(ordered, axis=0)])
    upper, lower = (np.take_along_axis(total, at[None], axis=0)[0] for at in (high + 1, low))
    mean: F64 = (upper - lower) / (high + 1 - low)
    return mean


def _ordered(values: F64, share: float) -> tuple[F64, I64, I64]:
    """Return values ascending along the first axis, NaN last, and where all but a share at either end lie."""
    ordered = np.sort(values, axis=0)
    n = (~np.isnan(values)).sum(0)
    low = np.floor(share * (n - 1)).astype(np.int64)
    return ordered, low, np.maximum(n - 1 - low, 0)


def _span(counts: F64) -> F64:
    """Return the shares of the last axis of all but the lowest and the highest twentieth of blocks [2, s, c]."""
    ordered, low, high = _ordered(_of_blocks(counts), RARE)
    return _kept(np.concatenate([np.take_along_axis(ordered, at[None], axis=0) for at in (low, high)]))


def _divergence(counts: F64, usual: F64) -> F64:
    """Return the Jensen-Shannon divergence (in bits) of blocks [b, s, c] from usual shares [s, c]."""
    shares = (counts + WEIGHT * usual) / (counts.sum(2, keepdims=True) + WEIGHT)
    middle = (shares + usual) / 2
    found: F64 = (_relative(shares, middle) + _relative(np.broadcast_to(usual, shares.shape), middle)) / 2
    return found


def _relative(p: F64, q: F64) -> F64:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / np.maximum(q, 1e-300)), 0.0)
    summed: F64 = terms.sum(2)
    return summed


def _kept(values: F64) -> F64:
    """Return values as they are kept: a model that was saved and loaded says the same."""
    rounded: F64 = values.astype(np.float32).astype(np.float64)
    return rounded


def _sorted(far: F64) -> F64:
    """Return the distances of each figure [x, q], ascending; of many blocks a sample that is spread evenly."""
    ordered = np.sort(far, axis=0)
    if len(ordered) > MOST_DISTANCES:
        ordered = ordered[np.linspace(0, len(ordered) - 1, MOST_DISTANCES).round().astype(int)]
    return _kept(ordered.T)
