"""Support vectors on standardised counts: whoever found them, this weighs how near a window lies to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.detectors.standard import Standard
from oddlog.features.counts import counts
from oddlog.types import F64, I64, Windows

MAX_ROWS = 5_000
"""Distinct windows that are learned from; the solver's time grows with their square."""
BLOCK = 1 << 20
"""Cells of the kernel matrix that are computed at once."""


@dataclass(frozen=True)
class Kernel:
    """``sum of alpha[i] * exp(-gamma * |x - support[i]|^2)``, gamma = 1 / columns.

    Attributes
    ----------
    standard : Standard
        Makes x of counts.
    support : F64 [s, d]
        Support vectors.
    alpha : F64 [s]
        Their weights.

    """

    standard: Standard
    support: F64
    alpha: F64

    @classmethod
    def of_sklearn(cls, standard: Standard, x: F64, solver: Any) -> Self:
        """Return what a solver that was fitted to rows [r, d] has found."""
        return cls(standard, np.ascontiguousarray(x[solver.support_]), np.asarray(solver.dual_coef_[0], np.float64))

    def sums(self, windows: Windows) -> tuple[F64, I64]:
        """Return the sum of each distinct row of counts [r], and the place of each window among these [w]."""
        columns = self.standard.columns
        found = counts(windows, columns.k, columns=columns)
        near, gamma = np.empty(len(found)), 1 / columns.width
        step = max(1, BLOCK // max(len(self.support), columns.width))
        for start in range(0, len(found), step):
            x = self.standard.rows(found, start, start + step)
            square = (x**2).sum(1)[:, None] + (self.support**2).sum(1) - 2 * x @ self.support.T
            near[start : start + step] = np.exp(-gamma * np.maximum(square, 0.0)) @ self.alpha
        return near, found.inverse

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        return {**self.standard.arrays(), "support": self.support, "alpha": self.alpha}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild; other arrays are passed over."""
        return cls(Standard.from_arrays(arrays), arrays["support"], arrays["alpha"])
