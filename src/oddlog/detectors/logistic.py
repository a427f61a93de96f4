"""Logistic regression on the words of a window's lines, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

import numpy as np

from oddlog.detectors.labelled import both_kinds, merged
from oddlog.detectors.standard import LEAST_SPREAD
from oddlog.features.words import WIDTH, Words
from oddlog.types import F64, I8, Context, Scores, State, Windows

MAX_ROWS = 8_000
"""Distinct windows that are learned from (64 MiB of float64)."""
PENALTY = 1.0
"""Of the squared weights; with standardised features and so many windows it only keeps them finite."""
STEPS = 100
ENOUGH = 1e-8
"""Newton's method ends where a step promises less than this share of the loss."""


class LogisticRegression:
    """Log-odds that a window is anomalous, a sum over the words of its lines.

    Features are the standardised ln(1 + lines that hold it) of each word and pair of neighbouring words of the
    templates, hashed into 1,024 columns, and of unseen types. An event's score is what a line of its type adds by its
    words. Both kinds of windows weigh the same in all; windows without a label count as usual.

    Notes
    -----
    That the text of the lines carries what types do not is known from Meng et al., LogAnomaly, IJCAI 2019, and Zhang
    et al., LogRobust, ESEC/FSE 2019 (doi 10.1145/3338906.3338931); this is the simplest model that sees text and
    labels, what those have to beat. Fitted by Newton's method here, with numpy alone, on at most `MAX_ROWS` distinct
    windows.

    """

    name = "logistic"
    reads = frozenset({"template", "text"})
    needs: Literal["usual", "labels"] = "labels"
    requires: tuple[str, ...] = ()
    verdict_above: float | None = 0.0

    _words: Words
    _weight: F64  # [WIDTH + 1] of ln(1 + lines)
    _bias: float

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Find the weights of the words.

        Raises
        ------
        LabelError
            Without windows of both kinds.

        """
        kept, label = merged(windows, both_kinds(windows, labels), len(context.templates), MAX_ROWS)
        self._words = Words.of(context.templates.text)
        x = self._words.counts(kept)
        used = np.flatnonzero(x.min(0) < x.max(0))
        x = x[:, used]
        mean = np.average(x, axis=0, weights=kept.weight)
        std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=kept.weight)) + LEAST_SPREAD
        fitted = newton((x - mean) / std, label, kept.weight)
        self._weight = np.zeros(WIDTH + 1)
        self._weight[used] = fitted[1:] / std
        self._bias = float(fitted[0] - mean @ self._weight[used])
        return self

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that knows the words of types unseen by the model, of rows k and on [x], too."""
        knowing = copy(self)
        knowing._words = self._words.with_texts(texts)  # noqa: SLF001 - a copy of its own
        return knowing

    def score(self, windows: Windows) -> Scores:
        """Return the log-odds of each window, and what the words of each event's type add to them."""
        odds = self._words.each(windows, lambda count: count @ self._weight + self._bias)
        of_type = self._words.sums(self._weight) * np.log(2)  # of one line
        event = of_type[np.minimum(windows.template, self._words.k)]
        return Scores(odds, event.astype(np.float32))

    def state(self) -> State:
        """Return the weights and what words each template has."""
        return State({**self._words.arrays(), "weight": self._weight, "bias": np.array([self._bias])})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls()
        self._words = Words.from_arrays(state.arrays)
        self._weight, self._bias = state.arrays["weight"], float(state.arrays["bias"][0])
        return self


def newton(x: F64, label: I8, weight: F64) -> F64:
    """Return bias and weights [1 + d] of the logistic regression of `label` [x] on rows [x, d], by Newton's method.

    The loss is ``sum of weight * ln(1 + exp(-sign * odds)) + PENALTY / 2 * sum of squared weights``, the bias free.
    """
    rows = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    ridge = np.full(rows.shape[1], PENALTY)
    ridge[0] = 1e-9  # so that the equations have a solution where no feature varies
    fitted = np.zeros(rows.shape[1])

    def loss(candidate: F64) -> float:
        odds = rows @ candidate
        return float(weight @ (np.logaddexp(0, odds) - label * odds) + ridge @ candidate**2 / 2)

    now = loss(fitted)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ fitted, -500, 500)))
        slope = rows.T @ (weight * (chance - label)) + ridge * fitted
        curve = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        promised, share = float(slope @ step), 1.0
        while (new := loss(fitted - share * step)) > now - share * promised / 4 and share > ENOUGH:
            share /= 2
        if promised < ENOUGH * max(now, 1.0) or new >= now:
            return fitted
        fitted, now = fitted - share * step, new
    return fitted
