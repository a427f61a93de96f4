"""Principal components: how much of a window's counts lies outside of what usual windows have in common."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal, Self

import numpy as np

from oddlog.detectors.standard import LEAST_SPREAD
from oddlog.detectors.usual import usual_only
from oddlog.features.counts import Columns, Counts, counts, document_frequency
from oddlog.types import F64, I8, Context, Scores, State, Windows

VARIANCE = 0.95
"""Share of the variance that the kept components hold (Xu et al.)."""
ALPHA = 0.001
"""False-alarm rate of the paper's own threshold."""
BLOCK = 1 << 20
"""Cells of a block of rows."""


class PrincipalComponents:
    """Squared length of what the first components leave of a window's counts (the squared prediction error).

    Features are standardised ln(1 + count). The components that hold 95 % of the variance span what is usual; the
    score is the squared length of the rest, an event's score what its type's column adds to that. The table of types
    is capped at `features.counts.MAX_COLUMNS`, and rows are taken in block by block, so memory does not grow with the
    windows.

    Parameters
    ----------
    paper : bool
        The paper's features instead: counts weighted by ``ln(n / df)``. A type that stands in every window then
        weighs nothing, so that its absence is not seen: one reason for the default.

    Attributes
    ----------
    limit : float
        The paper's threshold Q for a false-alarm rate of `ALPHA`. It supposes that features are normally
        distributed, which counts are not: it is stored for comparison, the verdict goes by the calibration.

    Notes
    -----
    Xu, Huang, Fox, Patterson and Jordan, "Detecting large-scale system problems by mining console logs", SOSP 2009 (doi
    10.1145/1629575.1629587). Q: Jackson and Mudholkar, "Control procedures for residuals associated with principal
    component analysis", Technometrics 21, 1979 (doi 10.1080/00401706.1979.10489779). The paper analyses the log that it
    learns from, and so does not say what to do with types met later: here they share a column of their own, which no
    component holds.

    """

    name = "pca"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    limit: float
    _columns: Columns
    _mean: F64  # [d]
    _scale: F64  # [d]
    _components: F64  # [d, c]

    def __init__(self, *, paper: bool = False) -> None:
        self.paper = paper

    @property
    def verdict_above(self) -> float:
        """The score above which the paper calls a window odd: its threshold Q, once fitted."""
        return self.limit

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Find the components of the usual windows."""
        found = counts(usual_only(windows, labels), len(context.templates))
        self._columns = found.columns
        self._yardstick(found)
        width = found.columns.width
        covariance = np.zeros((width, width))
        for start, stop in _parts(found):
            x = self._features(found, start, stop)
            covariance += (x * found.weight[start:stop, None]).T @ x
        value, vector = np.linalg.eigh(covariance / found.weight.sum())
        value, vector = np.maximum(value[::-1], 0.0), vector[:, ::-1]
        kept = _components(value)
        self._components = np.ascontiguousarray(vector[:, :kept])
        self.limit = q_statistic(value[kept:], ALPHA)
        return self

    def _yardstick(self, found: Counts) -> None:
        """Learn mean and weight of each column, from the sparse rows as they are."""
        width, total = found.columns.width, found.weight.sum()
        weight, value = found.weight[found.row_of_entry], found.count if self.paper else np.log1p(found.count)
        self._mean = np.bincount(found.column, weight * value, minlength=width) / total
        if self.paper:
            held = document_frequency(found)
            self._scale = np.where(held > 0, np.log(total / np.maximum(held, 1e-12)), np.log(1 + total))
            return
        square = np.bincount(found.column, weight * value**2, minlength=width) / total
        self._scale = 1 / (np.sqrt(np.maximum(square - self._mean**2, 0.0)) + LEAST_SPREAD)

    def score(self, windows: Windows) -> Scores:
        """Return the squared prediction error of each window, and per event the part of its type."""
        found = counts(windows, self._columns.k, columns=self._columns)
        window, entry = np.empty(len(found)), np.empty(len(found.column))
        for start, stop in _parts(found):
            x = self._features(found, start, stop)
            square = (x - (x @ self._components) @ self._components.T) ** 2
            window[start:stop] = square.sum(1)
            part = slice(found.indptr[start], found.indptr[stop])
            entry[part] = square[found.row_of_entry[part] - start, found.column[part]]
        return Scores(window[found.inverse], found.to_events(entry, windows))

    def _features(self, found: Counts, start: int, stop: int) -> F64:
        count = found.dense(start, stop)
        x: F64 = ((count if self.paper else np.log1p(count)) - self._mean) * self._scale
        return x

    def state(self) -> State:
        """Return the components and the yardstick."""
        arrays = {
            "lookup": self._columns.lookup,
            "row": self._columns.row,
            "mean": self._mean,
            "scale": self._scale,
            "components": self._components,
        }
        return State(arrays, {"paper": self.paper, "limit": self.limit})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        a = state.arrays
        self = cls(paper=bool(state.meta["paper"]))
        self.limit = float(state.meta["limit"])
        self._columns = Columns(a["lookup"], a["row"])
        self._mean, self._scale, self._components = a["mean"], a["scale"], a["components"]
        return self


def q_statistic(rest: F64, alpha: float) -> float:
    """Return the squared prediction error that normally distributed rows exceed at rate `alpha`.

    `rest` [x] are the variances of the components that are left out; after Jackson and Mudholkar 1979.

    >>> round(q_statistic(np.ones(10), 0.001), 1)  # the chi-square distribution's 99.9 % quantile is 29.6
    29.5
    """
    phi = [float((rest**power).sum()) for power in (1, 2, 3)]
    if phi[1] <= 0:
        return 0.0
    h = 1 - 2 * phi[0] * phi[2] / (3 * phi[1] ** 2)
    if h <= 0:
        return phi[0]  # the approximation has no root there; the mean of the error is all that can be said
    c = NormalDist().inv_cdf(1 - alpha)
    root = c * np.sqrt(2 * phi[1] * h**2) / phi[0] + 1 + phi[1] * h * (h - 1) / phi[0] ** 2
    return float(phi[0] * max(root, 0.0) ** (1 / h))


def _components(value: F64) -> int:
    """Return how many of the variances [d], descending, hold `VARIANCE` of their sum."""
    total = value.sum()
    return int(np.searchsorted(np.cumsum(value), VARIANCE * total) + 1) if total > 0 else 0


def _parts(found: Counts) -> list[tuple[int, int]]:
    step = max(1, BLOCK // found.columns.width)
    return [(start, min(start + step, len(found))) for start in range(0, len(found), step)]
