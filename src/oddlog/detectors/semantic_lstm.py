"""Semantic clusters and an LSTM: types whose texts are alike are one, and the next cluster is foretold."""

from __future__ import annotations

from oddlog.detectors.ranked import Ranked
from oddlog.detectors.semantics import ALIKE, approximated, clustered
from oddlog.detectors.tokened import MAX_TYPES
from oddlog.features.counts import Columns, choose_columns
from oddlog.features.text import vectors_of
from oddlog.types import Context, Windows


class SemanticLstm(Ranked):
    """How little the meaning of what comes next was expected: types with texts alike are one.

    See `ranked.Ranked` for the parameters.

    Notes
    -----
    Liu et al. 2025 in the related work of the second paper, of which only the idea is known here: cluster the
    templates by meaning, learn sequences of clusters with an LSTM. Chosen here: vectors of `features.text`, a type
    joins the cluster whose first type has the nearest text from a cosine of .8 on; so does one that training did not
    meet. ``paper=True`` scores clusters as DeepLog's paper does types (rank, last `history` events, no marks).

    """

    name = "semantic-lstm"

    def _chosen(self, usual: Windows, context: Context) -> Columns:
        vectors = vectors_of(context.templates)
        columns = clustered(choose_columns(usual, len(context.templates), MAX_TYPES), vectors, ALIKE)
        return approximated(columns, vectors, ALIKE)
