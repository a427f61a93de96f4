"""Support vector machine on how often each type of event stands in a window, with labels."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.labelled import Examples
from oddlog.detectors.standard import Standard
from oddlog.errors import MissingExtraError
from oddlog.features.counts import counts
from oddlog.types import F64, I8, Context, Scores, State, Windows

MAX_ROWS = 5_000
"""Distinct windows that are learned from; the solver's time grows with their square."""
BLOCK = 1 << 20
"""Cells of the kernel matrix that are computed at once."""


class SupportVectorMachine:
    """Which side of the widest margin between usual and anomalous windows, in the space of a Gaussian kernel.

    Features are standardised ln(1 + count), gamma = 1 / columns; both kinds weigh the same in all. Above 0 is the
    anomalous side. It has no opinion on events. Windows without a label count as usual.

    Parameters
    ----------
    c : float
        Price of a window on the wrong side.

    Notes
    -----
    Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995, section 4 (doi 10.1007/BF00994018); on
    logs: Liang, Zhang, Xiong and Sahoo, "Failure prediction in IBM BlueGene/L event logs", ICDM 2007, section 5
    (doi 10.1109/ICDM.2007.46), whose windows hold counts too, and which names no C or gamma. Fitted by scikit-learn
    (libsvm) on at most `MAX_ROWS` distinct windows; scoring needs numpy only.

    """

    name = "svm"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "labels"
    requires: tuple[str, ...] = ("sklearn",)

    _standard: Standard
    _support: F64  # [s, d]
    _alpha: F64  # [s]
    _bias: float
    _gamma: float

    def __init__(self, c: float = 1.0) -> None:
        self.c = c

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Find the support vectors among the distinct windows.

        Raises
        ------
        MissingExtraError
            Without scikit-learn.
        LabelError
            Without windows of both kinds.

        """
        try:
            from sklearn.svm import SVC  # noqa: PLC0415 - of the extra: scoring needs none
        except ImportError as error:
            raise MissingExtraError("The support vector machine", "train") from error
        found = Examples.of(windows, labels, len(context.templates), MAX_ROWS)
        self._standard = Standard.fit(found.columns, found.count, found.weight)
        self._gamma = 1 / found.columns.width
        solver = SVC(C=self.c, gamma=self._gamma, cache_size=64)
        x = self._standard.of(found.count)
        solver.fit(x, found.label, sample_weight=found.weight)
        self._support = np.ascontiguousarray(x[solver.support_])
        self._alpha = np.asarray(solver.dual_coef_[0], np.float64)
        self._bias = float(solver.intercept_[0])
        return self

    def score(self, windows: Windows) -> Scores:
        """Return how far each window lies on the anomalous side."""
        columns = self._standard.columns
        found = counts(windows, columns.k, columns=columns)
        side = np.empty(len(found))
        step = max(1, BLOCK // max(len(self._support), columns.width))
        for start in range(0, len(found), step):
            x = self._standard.rows(found, start, start + step)
            square = (x**2).sum(1)[:, None] + (self._support**2).sum(1) - 2 * x @ self._support.T
            near = np.exp(-self._gamma * np.maximum(square, 0.0)) @ self._alpha
            side[start : start + step] = near + self._bias
        return Scores(side[found.inverse], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the support vectors and what belongs to them."""
        arrays = {**self._standard.arrays(), "support": self._support, "alpha": self._alpha}
        return State({**arrays, "bias": np.array([self._bias])}, {"c": self.c})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        a = state.arrays
        self = cls(c=float(state.meta["c"]))
        self._standard = Standard.from_arrays(a)
        self._support, self._alpha, self._bias = a["support"], a["alpha"], float(a["bias"][0])
        self._gamma = 1 / self._standard.columns.width
        return self
