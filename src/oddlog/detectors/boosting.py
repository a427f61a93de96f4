"""Gradient boosting on the words of a window's lines, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

import numpy as np

from oddlog.detectors.cart import of_sklearn
from oddlog.detectors.labelled import both_kinds, merged
from oddlog.detectors.trees import Trees
from oddlog.errors import needing
from oddlog.features.words import Words
from oddlog.types import I8, Context, Scores, State, Windows

MAX_ROWS = 8_000
"""Distinct windows that are learned from (64 MiB of float64)."""
TREES = 100
DEPTH = 3
RATE = 0.1


class GradientBoosting:
    """Log-odds that a window is anomalous, a sum over 100 small trees on the words of its lines.

    Features are those of `logistic`: ln(1 + lines that hold it) of each word and pair of neighbouring words of the
    templates, hashed into 1,024 columns, and of unseen types. Each tree asks at most three questions and corrects those
    before it; a node chooses among the square root of the columns, or tables with many words would take minutes. It
    has no opinion on events. Both kinds of windows weigh the same in all; windows without a label count as usual.

    Parameters
    ----------
    seed : int, optional
        Of the columns that are chosen among; without it that of the context.

    Notes
    -----
    Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29, 2001, algorithm 5
    (doi 10.1214/aos/1013203451), with the rate and depth that section 5 recommends. Fitted by scikit-learn on at most
    `MAX_ROWS` distinct windows; scoring needs numpy only.

    """

    name = "boosting"
    reads = frozenset({"template", "text"})
    needs: Literal["usual", "labels"] = "labels"
    requires: tuple[str, ...] = ("sklearn",)
    verdict_above: float | None = 0.0

    _words: Words
    _trees: Trees

    def __init__(self, *, seed: int | None = None) -> None:
        self.seed = seed

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Grow the trees.

        Raises
        ------
        MissingExtraError
            Without scikit-learn.
        LabelError
            Without windows of both kinds.

        """
        with needing("Gradient boosting", "train"):
            from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415 - of the extra: scoring needs none
        kept, label = merged(windows, both_kinds(windows, labels), len(context.templates), MAX_ROWS)
        self._words = Words.of(context.templates.text)
        x = self._words.counts(kept)
        used = np.flatnonzero(x.min(0) < x.max(0))
        used = used if len(used) else np.arange(1)
        grown = GradientBoostingClassifier(
            n_estimators=TREES,
            learning_rate=RATE,
            max_depth=DEPTH,
            max_features="sqrt",
            init="zero",  # both kinds weigh the same: the log-odds begin at 0
            random_state=context.seed if self.seed is None else self.seed,
        )
        grown.fit(x[:, used].astype(np.float32), label, sample_weight=kept.weight)
        trees = [of_sklearn(one.tree_, RATE * one.tree_.value[:, 0, 0]) for one in grown.estimators_[:, 0]]
        self._trees = Trees.joined(trees).on(used)
        return self

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that knows the words of types unseen by the model, of rows k and on [x], too."""
        knowing = copy(self)
        knowing._words = self._words.with_texts(texts)  # noqa: SLF001 - a copy of its own
        return knowing

    def score(self, windows: Windows) -> Scores:
        """Return the log-odds of each window."""
        odds = self._words.each(windows, lambda count: self._trees.values(count.astype(np.float32)))
        return Scores(odds, np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the trees and what words each template has."""
        return State({**self._words.arrays(), **self._trees.arrays()}, {"seed": self.seed})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        self = cls(seed=state.meta["seed"])
        self._words = Words.from_arrays(state.arrays)
        self._trees = Trees.from_arrays(state.arrays)
        return self
