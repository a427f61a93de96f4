"""What the networks share that learn from labels: sequences of types in, log odds of an anomaly out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import onnxruntime as ort

from oddlog.detectors import runtime
from oddlog.detectors.sequences import alike, batches, grid, held_back, pieces
from oddlog.detectors.trained import Trained
from oddlog.detectors.usual import ANOMALOUS
from oddlog.errors import LabelError, MissingExtraError, TooLittleDataError
from oddlog.types import F32, F64, I8, I64, Context, Scores, State, Windows

if TYPE_CHECKING:
    from torch import nn

MAX_STEPS = 120
"""Events a network sees at once; longer windows are cut into pieces, each with its window's label."""
FEWEST_STEPS = 5
"""Steps of a batch at least: what the widest convolution sees."""
MAX_CELLS = 1 << 14


class Classifier(Trained):
    """Base of the networks that learn from labels.

    Alike sequences of one label are learned from once; both kinds weigh the same together. The last 15 % of the time of
    each kind, and `validation` (usual windows), decide when to stop. A window's score is its log odds, the highest of
    its pieces; events have none.
    """

    needs: Literal["usual", "labels"] = "labels"
    reads = frozenset({"template", "order"})
    OPTIONS: ClassVar[tuple[str, ...]]

    _weights: dict[str, F32]
    _graph: bytes

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

    @abstractmethod
    def _own(self) -> dict[str, Any]:
        """Return the arrays that say what a token is."""

    @abstractmethod
    def _take(self, arrays: dict[str, Any]) -> None:
        """Take over what `_own` returned."""

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
        label = _both_kinds(windows, labels)
        try:
            from oddlog.detectors.deep import classifiers, training  # noqa: PLC0415 - of the extra
        except ImportError as error:
            raise MissingExtraError(f"The detector {self.name}", "train") from error
        learned, judged = (np.concatenate(part) for part in zip(*_apart(windows, label), strict=True))
        stops, stops_label = windows.take(judged), label[judged]
        if validation is not None and len(validation):
            stops = Windows.concat([stops, validation])
            stops_label = np.concatenate([stops_label, np.zeros(len(validation), np.int8)])
        self._prepare(windows.take(learned), context)
        self._weights, history = classifiers.learn(
            self._network(context),
            training.Examples(*self._examples(windows.take(learned), label[learned])),
            training.Examples(*self._examples(stops, stops_label)),
            self._recipe(self._seed_in(context)),
            folder=self._folder,
            say=self.progress,
        )
        self._graph = self._graph_of(self._weights)
        self.training = history.summary()
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
            answer = self._session.run(["odds"], {"tokens": tokens, "lengths": lengths})[0]
            np.maximum.at(odds, part.window, answer.astype(np.float64))
        return Scores(odds[inverse], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the weights, what a token is, and the graph derived from the weights."""
        weights = {f"weights.{name}": value for name, value in self._weights.items()}
        meta = {**self._options(*self.OPTIONS), "training": self.training}
        return State({**self._own(), **weights}, meta, {"odds": self._graph})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        options = dict(state.meta)
        training = options.pop("training")
        self = cls(**options)
        self.training = training
        self._weights = {name[8:]: value for name, value in state.arrays.items() if name.startswith("weights.")}
        self._take({name: value for name, value in state.arrays.items() if not name.startswith("weights.")})
        self._graph = state.graphs["odds"]
        return self

    def _examples(self, windows: Windows, label: I8) -> tuple[I64, F64, Callable[[I64], Any]]:
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

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return runtime.session(self._graph)


def _grid(token: I64, start: I64, length: I64) -> tuple[I64, I64]:
    """Return the tokens of some pieces [b, s], 0 behind their ends, and how many they have [b], at least 1."""
    at, real = grid(start, length, max(int(length.max()), FEWEST_STEPS))
    tokens = np.where(real, token[at], 0) if len(token) else np.zeros(real.shape, np.int64)
    return tokens, np.maximum(length, 1)


def _both_kinds(windows: Windows, labels: I8 | None) -> I8:
    """Return 1 for anomalous windows and 0 for all others [w]."""
    if not len(windows):
        raise TooLittleDataError("There is no window to learn from.", "Give more logs.")
    anomalous = np.zeros(len(windows), np.int8) if labels is None else (labels == ANOMALOUS).astype(np.int8)
    if anomalous.all() or not anomalous.any():
        kind = "usual" if anomalous.any() else "labelled anomalous"
        raise LabelError(
            f"No window is {kind}, and to learn from labels takes both kinds.",
            "Give labels of both kinds with --labels, a CSV with key,label.",
        )
    return anomalous


def _apart(windows: Windows, label: I8) -> list[tuple[I64, I64]]:
    """Return, of each kind, the windows to learn from and those of the last 15 % of its time."""
    found = []
    for kind in (0, 1):
        index = np.flatnonzero(label == kind)
        learned, judged = held_back(windows.take(index))
        found.append((index[learned], index[judged]))
    return found
