"""Logsy: whether a message reads like this system's own, or like those of others."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from oddlog.detectors import runtime
from oddlog.detectors.sequences import mean_of_top
from oddlog.detectors.trained import Trained
from oddlog.errors import MissingExtraError
from oddlog.types import F32, F64, I8, I64, Context, Scores, State, Windows

WORDS = 2_048
"""Places that words are hashed to; two of 300 words share one with a chance of 1 in 7 each."""
LONGEST = 33
"""Words of a text that are read, and the step before the first."""
HELD_BACK = 5
"""Every fifth text of other systems decides when to stop; the others are learned from."""
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")


class Logsy(Trained):
    """How far the words of a message lie from those of the system's usual messages, against those of other systems.

    A transformer reads the words of a message type and learns to give vectors near 0 for the types of usual windows,
    long ones for the texts of other systems. A type's score is the squared length, a window's its highest.

    Parameters
    ----------
    width, layers : int
        Sizes of the network; the width even.
    rate : float
        Learning rate of the first step (Adam, falling linearly).
    batch, steps : int
        Texts of a step, and steps at most.
    patience : int
        Validations without a better loss after which training ends.
    seed : int, optional
        Of weights, batches and words left out; without it that of the context.
    checkpoints : path, optional
        A folder in which training leaves checkpoints and goes on from them.
    progress : callable, optional
        Told (step, steps, loss on the validation share).

    Notes
    -----
    Nedelkoski et al., "Self-attentive classification-based anomaly detection in unstructured logs", ICDM 2020, sections
    III-B to III-D (arXiv 2008.09340). Chosen here: the other systems are those of `oddlog.datasets.simulate`, whose
    message types stand in ``auxiliary.txt`` (those that the system's own logs hold too are left out), in place of other
    public logs; types in place of lines, since equal words give equal scores; words hashed in place of a vocabulary.
    Where training holds two systems of the same kind, their words are alike and little is told apart. A type unseen by
    the model scores as the middle one of the other systems, unless `with_texts` tells its text.

    """

    name = "logsy"
    reads = frozenset({"template"})

    _weights: dict[str, F32]
    _graph: bytes
    _of_type: F32  # [k + 1] score of each template row, the last one for unseen types
    _beyond: F32 = np.empty(0, np.float32)  # [x] score of rows k, k + 1, ...

    def __init__(
        self,
        *,
        width: int = 32,
        layers: int = 2,
        rate: float = 2e-3,
        batch: int = 64,
        steps: int = 400,
        patience: int = 5,
        seed: int | None = None,
        checkpoints: str | Path = "",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.width, self.layers = width, layers
        self._train_with(rate, batch, steps, patience, seed, checkpoints, progress)

    def fit(
        self, windows: Windows, context: Context, labels: I8 | None = None, *, validation: Windows | None = None
    ) -> Self:
        """Train on the types of usual windows against texts of other systems.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.
        TooLittleDataError
            Without a usual window.

        """
        try:
            from oddlog.detectors.deep import logsy, training  # noqa: PLC0415 - of the extra
        except ImportError as error:
            raise MissingExtraError(f"The detector {self.name}", "train") from error
        usual, validation = self._learned_and_judged(windows, labels, validation)
        texts, k = context.templates.text, len(context.templates)
        others = auxiliary(exclude=texts)
        learned = [others[i] for i in range(len(others)) if i % HELD_BACK]
        self._weights, history = logsy.learn(
            (WORDS, self.width, self.layers, LONGEST),
            training.Examples(*_examples(usual, texts, learned)),
            training.Examples(*_examples(validation, texts, others[::HELD_BACK])),
            self._recipe(self._seed_in(context)),
            folder=self._folder,
            say=self.progress,
        )
        self._graph = logsy.graph(self._weights, LONGEST)
        self._of_type = np.append(self._distances(texts), np.float32(np.median(self._distances(others))))
        assert len(self._of_type) == k + 1
        self.training = history.summary()
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the highest score of each window's types, and that of each event's type."""
        k = len(self._of_type) - 1
        table = np.concatenate([self._of_type[:-1], self._beyond, self._of_type[-1:]])
        event = table[np.minimum(windows.template, k + len(self._beyond))]
        return Scores(mean_of_top(event.astype(np.float64), windows.offsets, 1), event)

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that also knows the texts [x] of the types unseen by the model, rows k and on."""
        told = copy.copy(self)
        told._beyond = self._distances(texts)  # noqa: SLF001 - of the same class
        return told

    def state(self) -> State:
        """Return the weights, the score of each type, and the graph derived from the weights."""
        weights = {f"weights.{name}": value for name, value in self._weights.items()}
        meta = {**self._options("width", "layers"), "training": self.training}
        return State({"of_type": self._of_type, **weights}, meta, {"far": self._graph})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        options, a = dict(state.meta), dict(state.arrays)
        training = options.pop("training")
        self = cls(**options)
        self.training = training
        self._of_type = a["of_type"]
        self._weights = {name[8:]: value for name, value in a.items() if name.startswith("weights.")}
        self._graph = state.graphs["far"]
        return self

    def _distances(self, texts: Sequence[str]) -> F32:
        """Return the distance of each text [x]."""
        if not len(texts):
            return np.empty(0, np.float32)
        tokens, lengths = tokenised(texts)
        session = runtime.session(self._graph)
        # one by one: the same text has the same score to the bit, whatever stands beside it
        found = [
            session.run(["far"], {"tokens": tokens[i : i + 1, :n], "lengths": lengths[i : i + 1]})[0]
            for i, n in enumerate(lengths.tolist())
        ]
        return np.concatenate(found).astype(np.float32)


def auxiliary(exclude: Sequence[str] = ()) -> list[str]:
    """Return the message types of the simulated systems, without those in `exclude`."""
    own = {_plain(text) for text in exclude}
    lines = (files("oddlog.detectors") / "auxiliary.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if _plain(line) not in own]


def tokenised(texts: Sequence[str] | pl.Series) -> tuple[I64, I64]:
    """Return the places of the words of each text behind a first step [x, 33], and how many steps there are [x]."""
    tokens, lengths = np.zeros((len(texts), LONGEST), np.int64), np.ones(len(texts), np.int64)
    for i, text in enumerate(texts):
        words = _words(text)[: LONGEST - 1]
        tokens[i, 0] = 1
        tokens[i, 1 : len(words) + 1] = [_place(word) for word in words]
        lengths[i] += len(words)
    return tokens, lengths


def _words(text: str) -> list[str]:
    return [piece.lower() for piece in _PIECE.findall(text.replace("<*>", " "))]


def _plain(text: str) -> str:
    return " ".join(_words(text))


def _place(word: str) -> int:
    """Return the place of a word: 2 to 2,047, by its hash."""
    return 2 + int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little") % (WORDS - 2)


def _examples(usual: Windows, texts: Sequence[str], others: Sequence[str]) -> tuple[I64, F64, Callable[[I64], Any]]:
    """Return lengths, weights and what loads the tensors; the system's own texts and the others weigh the same."""
    import torch  # noqa: PLC0415 - of the extra

    held = np.unique(usual.template[usual.template < len(texts)])
    tokens, lengths = tokenised([*(texts[row] for row in held.tolist()), *others])
    other = np.repeat(np.array([0, 1], np.float32), [len(held), len(others)])
    weight = np.repeat(1 / np.maximum([len(held), len(others)], 1), [len(held), len(others)]) * len(other)

    def load(index: I64) -> tuple[torch.Tensor, ...]:
        steps = int(lengths[index].max())
        arrays = np.ascontiguousarray(tokens[index, :steps]), lengths[index], other[index]
        return tuple(torch.from_numpy(array) for array in arrays)

    return lengths, weight, load
