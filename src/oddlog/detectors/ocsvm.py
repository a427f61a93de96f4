"""One-class support vector machine on how often each type of event stands in a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

import numpy as np

from oddlog.detectors.kernel import MAX_ROWS, Kernel
from oddlog.detectors.standard import Standard
from oddlog.detectors.usual import usual_only
from oddlog.errors import needing
from oddlog.features.counts import counts
from oddlog.types import I8, Context, Scores, State, Windows

MAX_CELLS = 1 << 22
"""Rows x columns that are learned from (32 MiB of float64); wide tables keep fewer rows."""


class OneClassSVM:
    """Distance beyond the smallest region, in the space of a Gaussian kernel, that holds 1 - `nu` of the windows.

    Features are standardised ln(1 + count); ``score = rho - sum of alpha[i] * exp(-gamma * |x - s[i]|^2)`` over
    the support vectors s, gamma = 1 / columns. It has no opinion on events.

    Parameters
    ----------
    nu : float
        Largest share of the usual windows that may lie outside.
    paper : bool
        Counts as they are, as comparisons feed them to it: the largest then decide alone.

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
    verdict_above: float | None = 0.0

    _kernel: Kernel
    _rho: float

    def __init__(self, nu: float = 0.01, *, paper: bool = False) -> None:
        self.nu = nu
        self.paper = paper

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
        with needing("The one-class SVM", "train"):
            from sklearn.svm import OneClassSVM as Solver  # noqa: PLC0415 - of the extra: scoring needs none
        found = counts(usual_only(windows, labels), len(context.templates))
        found = found.heaviest(min(MAX_ROWS, max(1, MAX_CELLS // found.columns.width)))
        count = found.dense()
        standard = Standard.raw(found.columns) if self.paper else Standard.fit(found.columns, count, found.weight)
        solver = Solver(nu=self.nu, gamma=1 / found.columns.width, cache_size=64)
        x = standard.of(count)
        solver.fit(x, sample_weight=found.weight)
        self._kernel = Kernel.of_sklearn(standard, x, solver)
        self._rho = -float(solver.intercept_[0])
        return self

    def score(self, windows: Windows) -> Scores:
        """Return how far each window lies outside; negative inside."""
        near, place = self._kernel.sums(windows)
        return Scores((self._rho - near)[place], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the support vectors and what belongs to them."""
        return State(
            {**self._kernel.arrays(), "rho": np.array([self._rho])},
            {"nu": self.nu, **({"paper": True} if self.paper else {})},
        )

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        self = cls(nu=float(state.meta["nu"]), paper=bool(state.meta.get("paper", False)))
        kernel, self._rho = Kernel.from_arrays(state.arrays), float(state.arrays["rho"][0])
        self._kernel = replace(kernel, standard=replace(kernel.standard, logs=not self.paper))
        return self
