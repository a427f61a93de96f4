"""Blocks of time: what was counted in each, of all services together and of the larger ones by themselves.

A *subject* is a service, or all of them (the first subject). Blocks are numbered since the epoch, like minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.types import F64, I64, Bool

ALL = -1  # the code of all services together
MOST_TYPES = 40  # of a subject that are told apart
_NUMBERS = ("block", "service", "field", "n", "asinh")
WARNING, ERROR = 1, 2  # gravity of a line, in `rates.counting`


@dataclass(frozen=True)
class Plan:
    """What is told apart.

    Attributes
    ----------
    minutes : int
        Of a block.
    k : int
        Types of the model; rows from there on are unseen.
    services : I64 [s]
        Codes; the first is `ALL`.
    types : I64 [s, t]
        Rows of each subject's most frequent types; -1 where it has fewer.
    values : tuple of (int, str) [f]
        Numeric fields that are followed: code of the service, name.

    """

    minutes: int
    k: int
    services: I64
    types: I64
    values: tuple[tuple[int, str], ...]

    def columns(self) -> pl.DataFrame:
        """Return ``subject template column`` of the types that are told apart."""
        s, t = np.nonzero(self.types >= 0)
        return pl.DataFrame(
            {
                "subject": s.astype(np.int64),
                "template": self.types[s, t],
                "column": t.astype(np.int64),
            }
        )

    def of_subjects(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Return ``block service template gravity n`` for each subject, with its number as ``subject``."""
        known = pl.DataFrame({"service": self.services[1:], "subject": np.arange(1, len(self.services))})
        whole = lines.with_columns(subject=pl.lit(0, pl.Int64))
        each = lines.join(known, on="service", how="inner").select(whole.columns)
        return pl.concat([whole, each])


@dataclass(frozen=True)
class Measured:
    """What was counted in blocks [b].

    Attributes
    ----------
    block : I64 [b]
        Ascending; those without any line are left out.
    types : F64 [b, s, t + 1]
        Lines by type of each subject, the last one being all others that are known.
    unseen : F64 [b, s]
        Lines of types that the model has never seen.
    strange : I64 [b, s]
        The row of which most of these are; -1 where there are none.
    levels : F64 [b, s, 3]
        Lines below WARNING, of WARNING, of ERROR and worse.
    values : F64 [b, f]
        Values of each numeric field.
    asinh : F64 [b, f]
        The sum of their asinh.

    """

    block: I64
    types: F64
    unseen: F64
    strange: I64
    levels: F64
    values: F64
    asinh: F64

    @property
    def lines(self) -> F64:
        """Lines of each subject [b, s]."""
        total: F64 = self.levels.sum(2)
        return total

    @classmethod
    def of(cls, plan: Plan, lines: pl.DataFrame, numbers: pl.DataFrame) -> Self:
        """Return what blocks hold.

        Parameters
        ----------
        plan : Plan
            What is told apart.
        lines : pl.DataFrame
            ``block service template gravity n``; unseen types have rows of `plan.k` and beyond, types too rare to be
            told apart have -1.
        numbers : pl.DataFrame
            ``block service field n asinh``, fields by name.

        """
        block = np.unique(lines["block"].to_numpy()).astype(np.int64)
        b, s, t, f = len(block), len(plan.services), plan.types.shape[1], len(plan.values)
        here = plan.of_subjects(lines).join(plan.columns(), on=["subject", "template"], how="left", coalesce=True)
        at = np.searchsorted(block, here["block"].to_numpy())
        subject, n = here["subject"].to_numpy(), here["n"].to_numpy().astype(np.float64)
        unseen = here["template"].to_numpy() >= plan.k
        column = here["column"].fill_null(t).to_numpy()
        flat = at * s + subject

        def summed(cell: I64, weight: F64, size: int) -> F64:
            return np.bincount(cell, weight, size).astype(np.float64)

        types = summed((flat * (t + 1) + column)[~unseen], n[~unseen], b * s * (t + 1)).reshape(b, s, t + 1)
        level = np.minimum(here["gravity"].to_numpy().astype(np.int64), ERROR)
        levels = summed(flat * (ERROR + 1) + level, n, b * s * (ERROR + 1)).reshape(b, s, ERROR + 1)
        strange = np.full(b * s, -1, np.int64)
        most = here.filter(pl.Series(unseen)).with_columns(flat=pl.Series(flat[unseen]))
        most = most.group_by("flat", "template").agg(pl.col("n").sum()).sort("n", "template", descending=[False, True])
        strange[most["flat"].to_numpy()] = most["template"].to_numpy()
        of_field = {where: i for i, where in enumerate(plan.values)}
        values, asinh = np.zeros((b, f)), np.zeros((b, f))
        for in_block, service, name, count, total in numbers.select(_NUMBERS).iter_rows():
            i = of_field.get((service, name))
            row = int(np.searchsorted(block, in_block))
            if i is not None and row < b and block[row] == in_block:
                values[row, i] += count
                asinh[row, i] += total
        seen_not = summed(flat[unseen], n[unseen], b * s).reshape(b, s)
        return cls(block, types, seen_not, strange.reshape(b, s), levels, values, asinh)

    def take(self, index: I64 | Bool | slice) -> Self:
        """Return some of the blocks."""
        return type(self)(**{one.name: getattr(self, one.name)[index] for one in fields(self)})

    @classmethod
    def joined(cls, one: Self, other: Self) -> Self:
        """Return the blocks of both."""
        pairs = {field.name: (getattr(one, field.name), getattr(other, field.name)) for field in fields(cls)}
        return cls(**{name: np.concatenate(both) for name, both in pairs.items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}
