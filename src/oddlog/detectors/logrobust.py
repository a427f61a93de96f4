"""LogRobust: attentive LSTMs, forth and back, on vectors of texts, by labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from oddlog.detectors.classifying import Classifier
from oddlog.features.text import vectors_of
from oddlog.types import F32, I64, Context, Windows

if TYPE_CHECKING:
    from torch import nn


@dataclass(kw_only=True, eq=False, repr=False)
class LogRobust(Classifier):
    """How alike the meaning of a window's messages is to that of windows labelled anomalous.

    See `classifying.Classifier` for what is learned from and how a window is scored.

    Parameters
    ----------
    width : int
        Units of each of the two LSTMs.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Zhang et al., "Robust log-based anomaly detection on unstable log data", ESEC/FSE 2019 (doi
    10.1145/3338906.3338931): vectors of texts, LSTMs forth and back whose steps are weighed by tanh of a dense layer
    and summed. Known from those who repeat it; the paper was not at hand. Chosen here: `features.text` in place of
    FastText vectors weighed by TF-IDF (nothing is downloaded; digits and variables, which TF-IDF plays down, are left
    out), one layer of 32 units in place of 128. A type that training did not meet has the vector of its text; one
    beyond the model's table has none. The sum grows with the length of a window, as in the paper. Scores are the same
    function as its softmax, so there is no ``paper`` form.

    """

    name = "logrobust"
    width: int = 32
    steps: int = 600

    _k: int = field(init=False)

    def _prepare(self, windows: Windows, context: Context) -> None:  # noqa: ARG002 - a text is what it is
        self._k = len(context.templates)

    def _tokens(self, windows: Windows) -> I64:
        return np.minimum(windows.template, self._k).astype(np.int64)

    def _network(self, context: Context) -> Callable[[], nn.Module]:
        from oddlog.detectors.deep.classifiers import AttentiveLstm  # noqa: PLC0415 - of the extra

        texts = vectors_of(context.templates)
        table = np.zeros((self._k + 1, texts.shape[1] + 1), np.float32)
        table[:-1, :-1] = texts * np.sqrt(texts.shape[1])  # length 1 to begin with: now a column is about 1
        table[-1, -1] = 1
        return partial(AttentiveLstm, table, self.width)

    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        from oddlog.detectors.deep.classifiers import attentive_lstm  # noqa: PLC0415 - of the extra

        return attentive_lstm(weights)

    def _arrays(self) -> dict[str, Any]:
        return {"k": np.array([self._k])}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._k = int(arrays["k"][0])
