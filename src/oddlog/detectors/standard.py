"""Standardised ln(1 + count): what several members see of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.features.counts import Columns, Counts
from oddlog.types import F64

LEAST_SPREAD = 0.1
"""Added to each standard deviation, so that a type that no usual window holds has a finite weight."""


@dataclass(frozen=True)
class Standard:
    """The yardstick of each column.

    Attributes
    ----------
    columns : Columns
        What is counted where.
    mean, std : F64 [d]
        Of ln(1 + count) over all windows; `LEAST_SPREAD` is part of `std`.
    logs : bool
        Without it counts are taken as they are.

    """

    columns: Columns
    mean: F64
    std: F64
    logs: bool = True

    @classmethod
    def raw(cls, columns: Columns) -> Self:
        """Return what leaves counts as they are."""
        return cls(columns, np.zeros(columns.width), np.ones(columns.width), logs=False)

    @classmethod
    def fit(cls, columns: Columns, count: F64, weight: F64) -> Self:
        """Learn from full rows of counts [r, d] and how many windows each stands for [r]."""
        logs = np.log1p(count)
        mean = np.average(logs, axis=0, weights=weight)
        std = np.sqrt(np.average((logs - mean) ** 2, axis=0, weights=weight)) + LEAST_SPREAD
        return cls(columns, mean, std)

    def of(self, count: F64) -> F64:
        """Return the features of full rows of counts [b, d]."""
        features: F64 = ((np.log1p(count) if self.logs else count) - self.mean) / self.std
        return features

    def rows(self, found: Counts, start: int, stop: int) -> F64:
        """Return the features of rows ``start:stop`` [b, d]."""
        return self.of(found.dense(start, stop))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        return {"lookup": self.columns.lookup, "row": self.columns.row, "mean": self.mean, "std": self.std}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild."""
        return cls(Columns(arrays["lookup"], arrays["row"]), arrays["mean"], arrays["std"])
