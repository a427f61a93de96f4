"""One-class support vector machine on how often each type of event stands in a window."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.errors import MissingExtraError
from oddlog.features.counts import Columns, Counts, counts
from oddlog.types import F64, I8, Context, Scores, State, Windows

MAX_ROWS = 5_000
"""Distinct windows that are learned from; the solver's time grows with their square."""
MAX_CELLS = 1 << 22
"""Rows x columns that are learned from (32 MiB of float64); wide tables keep fewer rows."""
BLOCK = 1 << 20
"""Cells of the kernel matrix that are computed at once."""


class OneClassSVM:
    """Distance beyond the smallest region, in the space of a Gaussian kernel, that holds 1 - `nu` of the windows.

    Features are standardised ln(1 + count); ``score = rho - sum of alpha[i] * exp(-gamma * |x - s[i]|^2)`` over
    the support vectors s, gamma = 1 / columns. It has no opinion on events.

    Parameters
    ----------
    nu : float
        Largest share of the usual windows that may lie outside.

    Notes
    -----
    Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, "Estimating the support of a high-dimensional
    distribution", Neural Computation 13, 2001, equation 3.8 (doi 10.1162/089976601750264965). Fitted by
    scikit-learn (libsvm); scoring needs numpy only.

    """

    name = "ocsvm"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ("sklearn",)

    _columns: Columns
    _mean: F64  # [d]
    _std: F64  # [d]
    _support: F64  # [s, d]
    _alpha: F64  # [s]
    _rho: float
    _gamma: float

    def __init__(self, nu: float = 0.01) -> None:
        self.nu = nu

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Find the support vectors among the distinct usual windows.

        Raises
        ------
        MissingExtraError
            Without scikit-learn.

        """
        try:
            from sklearn.svm import OneClassSVM as Solver  # noqa: PLC0415 - of the extra: scoring needs none
        except ImportError as error:
            raise MissingExtraError("The one-class SVM", "train") from error
        found = counts(usual_only(windows, labels), len(context.templates))
        found = found.heaviest(min(MAX_ROWS, max(1, MAX_CELLS // found.columns.width)))
        self._columns = found.columns
        self._gamma = 1 / found.columns.width
        logs = np.log1p(found.dense())
        self._mean = np.average(logs, axis=0, weights=found.weight)
        self._std = np.sqrt(np.average((logs - self._mean) ** 2, axis=0, weights=found.weight)) + 0.1
        x = (logs - self._mean) / self._std
        solver = Solver(nu=self.nu, gamma=self._gamma, cache_size=64).fit(x, sample_weight=found.weight)
        self._support = np.ascontiguousarray(x[solver.support_])
        self._alpha = solver.dual_coef_[0].astype(np.float64)
        self._rho = -float(solver.intercept_[0])
        return self

    def score(self, windows: Windows) -> Scores:
        """Return how far each window lies outside; negative inside."""
        found = counts(windows, self._columns.k, columns=self._columns)
        distance = np.empty(len(found))
        step = max(1, BLOCK // max(len(self._support), self._columns.width))
        for start in range(0, len(found), step):
            distance[start : start + step] = self._outside(found, start, start + step)
        nothing = np.full(len(windows.template), np.nan, np.float32)
        return Scores(distance[found.inverse], nothing)

    def _outside(self, found: Counts, start: int, stop: int) -> F64:
        x = (np.log1p(found.dense(start, stop)) - self._mean) / self._std
        square = (x**2).sum(1)[:, None] + (self._support**2).sum(1) - 2 * x @ self._support.T
        near = np.exp(-self._gamma * np.maximum(square, 0.0)) @ self._alpha
        return np.asarray(self._rho - near, np.float64)

    def state(self) -> State:
        """Return the support vectors and what belongs to them."""
        return State(
            {
                "lookup": self._columns.lookup,
                "row": self._columns.row,
                "mean": self._mean,
                "std": self._std,
                "support": self._support,
                "alpha": self._alpha,
                "rho": np.array([self._rho]),
            },
            {"nu": self.nu},
        )

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        a = state.arrays
        self = cls(nu=float(state.meta["nu"]))
        self._columns = Columns(a["lookup"], a["row"])
        self._mean, self._std = a["mean"], a["std"]
        self._support, self._alpha, self._rho = a["support"], a["alpha"], float(a["rho"][0])
        self._gamma = 1 / self._columns.width
        return self
