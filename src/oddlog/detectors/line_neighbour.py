"""Nearest usual line by its text."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.features.text import embed
from oddlog.types import F32, F64, I8, Context, Scores, State, Windows

MAX_TEXTS = 4_096
"""Texts of usual lines that others are compared with, those that stand in most windows."""
BLOCK = 1 << 20
"""Cells of a block of similarities."""
MAX_UNSEEN = 100_000
"""Types unseen by the model whose texts are looked at."""
UNSEEN = 1.0
"""Distance of a type whose text is not known: it has nothing in common with others."""


class LineNeighbour:
    """Cosine distance of a line's text to the most similar usual line; a window has that of its oddest line.

    The text is the template's, as the vector of words, word pieces and trigrams of `features.text`. A type that
    usual windows hold has distance 0.

    Notes
    -----
    After the 1-nearest-neighbour of Yu et al., "Deep learning or classical machine learning? An empirical study on
    log-based anomaly detection" (LightAD), ICSE 2024 (doi 10.1145/3597503.3623308), which shows that lines
    repeat between training and test so often that the nearest one decides. There the neighbours carry labels; here
    only usual ones are known and the distance is the score. Stored are one distance for each type of the model and
    the vectors of at most `MAX_TEXTS` usual texts. Of types unseen by the model the text is what `detect` tells; a
    type that it tells nothing of is as far as can be.

    """

    name = "line-neighbour"
    reads = frozenset({"template", "text"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _distance: F64  # [k + 1] of each row; the last entry serves every unseen type
    _usual: F32  # [t, 64] vectors that others are compared with
    _further: F64 | None = None  # as `_distance`, with rows k and on

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
        self._usual = context.templates.embedding[np.sort(kept)]
        self._distance[others] = _to_nearest(context.templates.embedding[others], self._usual)
        self._distance[seen] = 0.0
        return self

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that knows the texts of types unseen by the model, of rows k and on [x], too."""
        knowing = copy(self)
        further = _to_nearest(embed(texts[:MAX_UNSEEN]), self._usual)
        knowing._further = np.concatenate([self._distance[:-1], further, self._distance[-1:]])  # noqa: SLF001 - a copy
        return knowing

    def score(self, windows: Windows) -> Scores:
        """Return the distance of each event's text, and of the oddest one of each window."""
        distance = self._distance if self._further is None else self._further
        event = distance[np.minimum(windows.template, len(distance) - 1)]
        window = np.zeros(len(windows))
        np.maximum.at(window, windows.window_of_event, event)
        return Scores(window, event.astype(np.float32))

    def state(self) -> State:
        """Return the distance of each type, and the vectors of usual texts."""
        return State({"distance": self._distance, "usual": self._usual})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls()
        self._distance, self._usual = state.arrays["distance"], state.arrays["usual"]
        return self


def _to_nearest(asked: F32, to: F32) -> F64:
    """Return the cosine distance of each vector [a, 64] to the nearest of `to` [t, 64]; they have length 1, or 0."""
    nearest = np.full(len(asked), UNSEEN)
    step = max(1, BLOCK // max(1, len(to)))
    for start in range(0, len(asked) if len(to) else 0, step):
        nearest[start : start + step] = 1 - (asked[start : start + step] @ to.T).max(1).astype(np.float64)
    clipped: F64 = np.clip(nearest, 0.0, UNSEEN)
    return clipped
