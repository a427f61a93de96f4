"""One fold over the blocks of a stream: what each was like, what was bet on it, and the last day of them.

Blocks are judged when a line behind them has come, scores of windows when all windows that ended in a block are over.
So lines in any batches, and all at once, give the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from oddlog.drift.betting import Bets, least_blocks, slack_of
from oddlog.drift.blocks import Measured
from oddlog.drift.usual import Usual
from oddlog.rates.counting import OTHER_TYPES, US_PER_MINUTE, Before, Counting
from oddlog.types import F64, I64, State

KEPT = 24  # blocks that "now" is told of
AT_ONCE = 200  # blocks that are dense at one time
FALSE_DAYS = 90.0  # in the mean until anything is said to have drifted that has not
SLACK_OF_SCORES = 0.1  # how far from one half the mean of a usual block lies was not seen in training
ODD_SHARE = 0.05  # windows as odd as this share usually is are counted
FINE = 1_000_000  # p-values are summed up as whole numbers, so that their order does not matter
_SCORES = pl.Schema(dict.fromkeys(("view", "block", "n", "p", "odd"), pl.Int64()))
_BY = ["view", "block"]


@dataclass(frozen=True)
class Now:
    """What is known of the last blocks.

    Attributes
    ----------
    measured : Measured
        At most `KEPT` of them.
    scores : pl.DataFrame
        ``view block n p odd``: windows that ended in them, the mean of their p-values, the share that is as odd as
        `ODD_SHARE` of usual ones.
    block : int
        The first one that is not judged yet; -1 before any.
    bets, of_scores : Bets
        The evidence of each figure, and of each view's scores.

    """

    measured: Measured
    scores: pl.DataFrame
    block: int
    bets: Bets
    of_scores: Bets


class Following:
    """Follows a stream.

    Parameters
    ----------
    usual : Usual
        What blocks were like in training.
    views : sequence of str
        Whose scores are followed.
    lag_minutes : int
        How long after its last event a window may be judged.

    """

    def __init__(self, usual: Usual, views: Sequence[str], lag_minutes: int) -> None:
        self.usual, self.views = usual, tuple(views)
        minutes = usual.plan.minutes
        self._lag = lag_minutes
        bound = (len(usual) + len(self.views)) * FALSE_DAYS * 1_440 / minutes
        slack = slack_of(min(usual.blocks))
        self.blocks = 0  # with lines, that were judged
        self.least = least_blocks(min(slack, SLACK_OF_SCORES), bound)  # before anything can have drifted
        self._bets = Bets(np.full(len(usual), slack), bound)
        self._score_bets = Bets(np.full(len(self.views), SLACK_OF_SCORES), bound)
        self._next = -1  # block
        self._first = -1
        self._next_scores = -1
        self._last = Measured.of(usual.plan, *_nothing())
        self._scores = pl.DataFrame(schema=_SCORES)  # of blocks that are judged, and of those that wait
        self._waiting: list[pl.DataFrame] = []
        self.judged = 0  # times that anything was
        self.late = 0  # windows that ended in blocks that were judged already

    @property
    def judged_until(self) -> int:
        """The first block whose scores are not judged yet; -1 before any."""
        return self._next_scores

    @property
    def now(self) -> Now:
        """What is known of the last blocks."""
        judged = self._scores.filter(pl.col("block") < self._next_scores)
        told = judged.select("view", "block", "n", p=pl.col("p") / FINE / pl.col("n"), odd=pl.col("odd") / pl.col("n"))
        return Now(self._last, told, self._next, self._bets, self._score_bets)

    def add_scores(self, view: str, end_us: I64, p: F64) -> None:
        """Take in when windows [w] of a view ended, and the share of usual ones that are odder, ties by half."""
        known = ~np.isnan(p) & (end_us > 0)
        if view not in self.views or not known.any():
            return
        frame = pl.DataFrame(
            {
                "view": np.full(int(known.sum()), self.views.index(view)),
                "block": end_us[known] // (US_PER_MINUTE * self.usual.plan.minutes),
                "p": np.round(p[known] * FINE).astype(np.int64),
                "odd": (p[known] <= ODD_SHARE).astype(np.int64),
            }
        )
        self._waiting.append(frame.group_by(_BY).agg(n=pl.len(), p=pl.col("p").sum(), odd=pl.col("odd").sum()))
        if len(self._waiting) > KEPT * KEPT:
            self._sum_scores()

    def advance(self, counting: Counting | Before, minute: int) -> bool:
        """Judge the blocks that end before a minute, of what was counted; return whether there were any."""
        minutes = self.usual.plan.minutes
        end = minute // minutes
        if self._next >= end > 0 or end <= 0:
            return False
        cells = counting.table("cells")
        if self._next < 0:
            first = cells["minute"].min()
            if not isinstance(first, int):
                return False
            self._first = self._next = self._next_scores = -(-first // minutes)
        since, self._next = self._next, max(end, self._next)
        if self._next == since:
            return False
        for start in range(since, end, AT_ONCE):
            inside = pl.col("minute").is_between(start * minutes, min(start + AT_ONCE, end) * minutes - 1)
            self._judge(_lines(cells.filter(inside), minutes), _numbers(counting, inside, minutes))
        return True

    def settle(self, minute: int) -> None:
        """Judge the scores of blocks, as all windows that were over before a minute have been judged."""
        end = min((minute - self._lag) // self.usual.plan.minutes, self._next)
        if self._next_scores < 0 or end <= self._next_scores:
            return
        self._sum_scores()
        due = self._scores.filter(pl.col("block").is_between(self._next_scores, end - 1)).sort(_BY[::-1])
        for (block,), rows in due.partition_by("block", as_dict=True, maintain_order=True).items():
            p = np.full(len(self.views), np.nan)
            p[rows["view"].to_numpy()] = rows["p"].to_numpy() / FINE / rows["n"].to_numpy()
            self._score_bets.bet(p, int(str(block)))
        self._next_scores = end
        self.judged += 1
        self._scores = self._scores.filter(pl.col("block") >= end - KEPT)

    def _judge(self, lines: pl.DataFrame, numbers: pl.DataFrame) -> None:
        if not len(lines):
            return
        self.judged += 1
        measured = Measured.of(self.usual.plan, lines, numbers)
        self.blocks += len(measured.block)
        p_values = self.usual.p_values(measured)
        for block, p in zip(measured.block.tolist(), p_values, strict=True):
            self._bets.bet(p, block)
        self._last = Measured.joined(self._last, measured).take(slice(-KEPT, None))

    def _sum_scores(self) -> None:
        waiting = (one.select(pl.col(name).cast(pl.Int64) for name in _SCORES) for one in self._waiting)
        fresh = pl.concat([pl.DataFrame(schema=_SCORES), *waiting])
        self._waiting = []
        if self._next_scores >= 0:
            late = fresh.filter(pl.col("block").is_between(self._first, self._next_scores - 1))
            self.late += int(late["n"].sum())
            fresh = fresh.filter(pl.col("block") >= self._next_scores)
        self._scores = pl.concat([self._scores, fresh]).group_by(_BY).agg(pl.all().sum()).sort(_BY)

    def state(self) -> State:
        """Return everything `restore` needs."""
        self._sum_scores()
        arrays: dict[str, Any] = {f"last.{name}": array for name, array in self._last.arrays().items()}
        for name, bets in (("bets", self._bets), ("scores", self._score_bets)):
            arrays |= {f"{name}.{part}": array for part, array in bets.state().arrays.items()}
        places = {"next": self._next, "first": self._first, "next_scores": self._next_scores, "late": self.late}
        places["blocks"] = self.blocks
        return State(arrays, places | {"waiting": self._scores.rows()})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new, and of the same model."""
        self._last = Measured(**_under("last", state.arrays))
        self._bets.restore(_under("bets", state.arrays))
        self._score_bets.restore(_under("scores", state.arrays))
        meta = state.meta
        self._next, self._first = int(meta["next"]), int(meta["first"])
        self._next_scores, self.late = int(meta["next_scores"]), int(meta["late"])
        self.blocks = int(meta.get("blocks", self._next - self._first))  # of before it was noted
        self.judged += 1
        self._scores = pl.DataFrame(meta["waiting"], schema=_SCORES, orient="row")


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(f"{prefix}."): one for name, one in arrays.items() if name.startswith(f"{prefix}.")}


def _lines(cells: pl.DataFrame, minutes: int) -> pl.DataFrame:
    """Return ``block service template gravity n`` of counts whose types are rows."""
    template = pl.when(pl.col("type") == OTHER_TYPES).then(-1).otherwise(pl.col("type").cast(pl.Int64, strict=False))
    by = ["block", "service", "template", "gravity"]
    named = cells.with_columns(
        pl.col("service").cast(pl.Int64), block=(pl.col("minute") // minutes).cast(pl.Int64), template=template
    )
    return named.group_by(by).agg(pl.col("n").sum()).sort(by)


def _numbers(counting: Counting | Before, inside: pl.Expr, minutes: int) -> pl.DataFrame:
    """Return ``block service field n asinh``, fields by name."""
    numbers = counting.table("numbers").filter(inside)
    names = counting.fields.names
    named = numbers.select(
        (pl.col("minute") // minutes).cast(pl.Int64).alias("block"),
        pl.col("service").cast(pl.Int64),
        pl.col("field").replace_strict(range(len(names)), names, return_dtype=pl.String, default=""),
        "n",
        "asinh",
    )
    by = ["block", "service", "field"]
    return named.group_by(by, maintain_order=True).agg(pl.col("n", "asinh").sum()).sort(by)


def _nothing() -> tuple[pl.DataFrame, pl.DataFrame]:
    lines = dict.fromkeys(("block", "service", "template", "gravity", "n"), pl.Int64)
    numbers = {"block": pl.Int64, "service": pl.Int64, "field": pl.String, "n": pl.Int64, "asinh": pl.Float64}
    return pl.DataFrame(schema=lines), pl.DataFrame(schema=numbers)
