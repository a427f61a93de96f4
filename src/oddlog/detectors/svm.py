"""Support vector machine on how often each type of event stands in a window, with labels."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.kernel import MAX_ROWS, Kernel
from oddlog.detectors.labelled import Examples
from oddlog.detectors.standard import Standard
from oddlog.errors import needing
from oddlog.types import I8, Context, Scores, State, Windows


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
    logs: Liang, Zhang, Xiong and Sahoo, "Failure prediction in IBM BlueGene/L event logs", ICDM 2007
    (doi 10.1109/ICDM.2007.46), whose windows hold counts too, and which names no C or gamma. Fitted by scikit-learn
    (libsvm) on at most `MAX_ROWS` distinct windows; scoring needs numpy only.

    """

    name = "svm"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "labels"
    requires: tuple[str, ...] = ("sklearn",)
    verdict_above: float | None = 0.0

    _kernel: Kernel
    _bias: float

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
        with needing("The support vector machine", "train"):
            from sklearn.svm import SVC  # noqa: PLC0415 - of the extra: scoring needs none
        found = Examples.of(windows, labels, len(context.templates), MAX_ROWS)
        standard = Standard.fit(found.columns, found.count, found.weight)
        solver = SVC(C=self.c, gamma=1 / found.columns.width, cache_size=64)
        x = standard.of(found.count)
        solver.fit(x, found.label, sample_weight=found.weight)
        self._kernel = Kernel.of_sklearn(standard, x, solver)
        self._bias = float(solver.intercept_[0])
        return self

    def score(self, windows: Windows) -> Scores:
        """Return how far each window lies on the anomalous side."""
        near, place = self._kernel.sums(windows)
        return Scores((near + self._bias)[place], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the support vectors and what belongs to them."""
        return State({**self._kernel.arrays(), "bias": np.array([self._bias])}, {"c": self.c})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        self = cls(c=float(state.meta["c"]))
        self._kernel, self._bias = Kernel.from_arrays(state.arrays), float(state.arrays["bias"][0])
        return self
