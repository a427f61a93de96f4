"""Nearest usual line by its text."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.types import F32, F64, I8, I64, Context, Scores, State, Windows

MAX_TEXTS = 4_096
"""Texts of usual lines that others are compared with, those that stand in most windows."""
BLOCK = 1 << 20
"""Cells of a block of similarities."""
UNSEEN = 1.0
"""Distance of a type that the model has never seen: its text is not known, so it has nothing in common with others."""


class LineNeighbour:
    """Cosine distance of a line's text to the most similar usual line; a window has that of its oddest line.

    The text is the template's, as the vector of words, word pieces and trigrams of `features.text`. A type that
    usual windows hold has distance 0.

    Notes
    -----
    After the 1-nearest-neighbour of Yu et al., "Deep learning or classical machine learning? An empirical study on
    log-based anomaly detection" (LightAD), ICSE 2024, section 4 (doi 10.1145/3597503.3623308), which shows that lines
    repeat between training and test so often that the nearest one decides. There the neighbours carry labels; here
    only usual ones are known and the distance is the score. The paper does not say what a text that was never seen is
    compared by when only its type is new: here it is as far as can be. What is stored is one distance for each type
    of the model; at most `MAX_TEXTS` texts are compared with.

    """

    name = "line-neighbour"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _distance: F64  # [k + 1] of each row; the last entry serves every unseen type

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Compare the text of each type of the model with those of usual lines."""
        usual = usual_only(windows, labels)
        k = len(context.templates)
        held = np.zeros(k + 1)
        once = np.unique(usual.window_of_event * (k + 1) + np.minimum(usual.template, k))
        np.add.at(held, once % (k + 1), usual.weight[once // (k + 1)])
        seen = np.flatnonzero(held[:k])
        kept = seen[np.argsort(-held[seen], kind="stable")[:MAX_TEXTS]]
        self._distance = np.append(np.full(k, UNSEEN), UNSEEN)
        others = np.flatnonzero(held[:k] == 0)
        self._distance[others] = _to_nearest(context.templates.embedding, others, np.sort(kept))
        self._distance[seen] = 0.0
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the distance of each event's text, and of the oddest one of each window."""
        event = self._distance[np.minimum(windows.template, len(self._distance) - 1)]
        window = np.zeros(len(windows))
        np.maximum.at(window, windows.window_of_event, event)
        return Scores(window, event.astype(np.float32))

    def state(self) -> State:
        """Return the distance of each type."""
        return State({"distance": self._distance})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls()
        self._distance = state.arrays["distance"]
        return self


def _to_nearest(embedding: F32, asked: I64, to: I64) -> F64:
    """Return the cosine distance of each of `asked` [a] to the nearest of `to` [t]; vectors have length 1, or 0."""
    nearest = np.full(len(asked), UNSEEN)
    step = max(1, BLOCK // max(1, len(to)))
    for start in range(0, len(asked) if len(to) else 0, step):
        part = asked[start : start + step]
        nearest[start : start + step] = 1 - (embedding[part] @ embedding[to].T).max(1).astype(np.float64)
    clipped: F64 = np.clip(nearest, 0.0, UNSEEN)
    return clipped
