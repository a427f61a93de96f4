"""LogAnomaly: the next type foretold from the texts of the types so far and from how often each came."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from oddlog.detectors.ranked import Ranked
from oddlog.detectors.semantics import ALIKE, approximated
from oddlog.detectors.tokened import MAX_TYPES
from oddlog.features.counts import Columns, choose_columns
from oddlog.features.text import vectors_of
from oddlog.types import F32, Context, Windows

if TYPE_CHECKING:
    from torch import nn

MARKS = 3
"""Columns that tell the rare slot, the unseen one and the begin, which have no text."""


class LogAnomaly(Ranked):
    """LogAnomaly: how little what comes next was expected after the texts, and the counts, of what came.

    Two LSTMs side by side, one on the vectors of the templates' texts, one on how often each type stands among the
    last `history` events; a dense layer on both chooses the next type. See `ranked.Ranked` for the parameters.

    Notes
    -----
    Meng et al., "LogAnomaly: Unsupervised detection of sequential and quantitative anomalies in unstructured logs",
    IJCAI 2019 (doi 10.24963/ijcai.2019/658). As there: templates as vectors, both inputs, a type that training did not
    meet stands for the one with the nearest text (here from a cosine of .8 on, with ``paper=True`` always). Chosen
    here: `features.text` in place of template2vec, which learns synonyms and antonyms apart (dLCE); the widths (64).
    Known from those who repeat it; the paper was not at hand. ``paper=True`` scores by rank on the last `history`
    events and knows no end; without it scores are likelihoods over whole windows with marks of begin and end. A type
    beyond the model's table has no text, it is unseen to both.

    """

    name = "loganomaly"

    def _chosen(self, usual: Windows, context: Context) -> Columns:
        columns = choose_columns(usual, len(context.templates), MAX_TYPES)
        return approximated(columns, vectors_of(context.templates), -1.0 if self.paper else ALIKE)

    def _network(self, context: Context) -> Callable[[], nn.Module]:
        from oddlog.detectors.deep.networks import TextsAndCounts  # noqa: PLC0415 - of the extra

        vectors = _vectors(vectors_of(context.templates), self._columns)
        return partial(TextsAndCounts, self._begin, vectors, self.width, self.layers, self.history)

    @property
    def _counted(self) -> int:
        return self.history


def _vectors(texts: F32, columns: Columns) -> F32:
    """Return what stands for each token [v + 2, d + 3]: text columns of about 1, marks, and nothing for the end."""
    v, d = columns.width, texts.shape[1]
    found = np.zeros((v + 2, d + MARKS), np.float32)
    held = np.flatnonzero(columns.row >= 0)
    found[held, :d] = texts[columns.row[held]] * np.float32(np.sqrt(d))
    for mark, token in enumerate((v - 2, v - 1, v + 1)):
        found[token, d + mark] = 1
    return found
