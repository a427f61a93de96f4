"""What the networks share that learn from labels: sequences of types in, log odds of an anomaly out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from oddlog.detectors.labelled import both_kinds
from oddlog.detectors.sequences import alike, batches, grid, held_back, pieces
from oddlog.detectors.trained import Drawn, Trained
from oddlog.types import F32, F64, I8, I64, Context, Scores, Windows

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_STEPS = 120
"""Events a network sees at once; longer windows are cut into pieces, each with its window's label."""
FEWEST_STEPS = 5
"""Steps of a batch at least: what the widest convolution sees."""
MAX_CELLS = 1 << 14


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(Trained):
    """Base of the networks that learn from labels.

    Alike sequences of one label are learned from once; both kinds weigh the same together. The last 15 % of the time of
    each kind, and `validation` (usual windows), decide when to stop. A window's score is its log odds, the highest of
    its pieces; events have none.
    """

    needs: ClassVar[Literal["usual", "labels"]] = "labels"
    reads = frozenset({"template", "order"})
    verdict_above: ClassVar[float | None] = 0.0

    batch: int = 64

    @abstractmethod
    def _prepare(self, windows: Windows, context: Context) -> None:
        """Learn what a token is from the windows that are learned from."""

    @abstractmethod
    def _tokens(self, windows: Windows) -> I64:
        """Return the token of each event [e]."""

    @abstractmethod
    def _network(self, context: Context) -> Callable[[], nn.Module]:
        """Return what makes the network."""

    @abstractmethod
    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        """Return the graph ``tokens [b, s], lengths [b] -> odds [b]``."""

    def fit(
        self, windows: Windows, context: Context, labels: I8 | None = None, *, validation: Windows | None = None
    ) -> Self:
        """Train on windows labelled usual and anomalous; what is not labelled counts as usual.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.
        TooLittleDataError, LabelError
            Without windows, or without both kinds.

        """
        label = both_kinds(windows, labels)
        self._require_extra()
        from oddlog.detectors.deep import classifiers  # noqa: PLC0415 - of the extra

        learned, judged = (np.concatenate(part) for part in zip(*_apart(windows, label), strict=True))
        stops, stops_label = windows.take(judged), label[judged]
        if validation is not None and len(validation):
            stops = Windows.concat([stops, validation])
            stops_label = np.concatenate([stops_label, np.zeros(len(validation), np.int8)])
        self._prepare(windows.take(learned), context)
        self._train(
            self._network(context),
            classifiers.loss,
            self._examples(windows.take(learned), label[learned]),
            self._examples(stops, stops_label),
            self._seed_in(context),
        )
        self._draw({"odds": self._graph_of(self._weights)})
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the log odds of each window; events have no score."""
        token = self._tokens(windows)
        first, inverse = alike(token, windows.offsets, np.zeros(len(windows), np.int64))
        distinct = windows.take(first)
        token = self._tokens(distinct)
        odds = np.full(len(distinct), -np.inf)
        found = pieces(distinct.offsets, MAX_STEPS)
        for index in batches(found.length, cells=MAX_CELLS):
            part = found.take(index)
            tokens, lengths = _grid(token, part.start, part.length)
            (answer,) = self._run("odds", {"tokens": tokens, "lengths": lengths})
            np.maximum.at(odds, part.window, answer.astype(np.float64))
        return Scores(odds[inverse], np.full(len(windows.template), np.nan, np.float32))

    def _examples(self, windows: Windows, label: I8) -> Drawn:
        """Return lengths, weights and what loads the tensors of the pieces of windows that differ."""
        import torch  # noqa: PLC0415 - of the extra

        first, inverse = alike(self._tokens(windows), windows.offsets, label.astype(np.int64))
        distinct, kind = windows.take(first), label[first]
        weight: F64 = np.bincount(inverse, windows.weight, minlength=len(first)).astype(np.float64)
        weight /= np.maximum(np.bincount(kind, weight, minlength=2), 1e-12)[kind]
        found = pieces(distinct.offsets, MAX_STEPS)
        weight = weight[found.window] / np.bincount(found.window)[found.window]
        token = self._tokens(distinct)

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            part = found.take(index)
            arrays = *_grid(token, part.start, part.length), kind[part.window].astype(np.float32)
            return tuple(torch.from_numpy(array) for array in arrays)

        return np.maximum(found.length, FEWEST_STEPS), weight * len(weight), load


def _grid(token: I64, start: I64, length: I64) -> tuple[I64, I64]:
    """Return the tokens of some pieces [b, s], 0 behind their ends, and how many they have [b], at least 1."""
    at, real = grid(start, length, max(int(length.max()), FEWEST_STEPS))
    tokens = np.where(real, token[at], 0) if len(token) else np.zeros(real.shape, np.int64)
    return tokens, np.maximum(length, 1)


def _apart(windows: Windows, label: I8) -> list[tuple[I64, I64]]:
    """Return, of each kind, the windows to learn from and those of the last 15 % of its time."""
    found = []
    for kind in (0, 1):
        index = np.flatnonzero(label == kind)
        learned, judged = held_back(windows.take(index))
        found.append((index[learned], index[judged]))
    return found
