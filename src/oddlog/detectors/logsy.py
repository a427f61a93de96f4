"""Logsy: whether a message reads like this system's own, or like those of others."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from oddlog.detectors.sequences import mean_of_top
from oddlog.detectors.trained import Drawn, Trained
from oddlog.types import F32, I64, Context, Scores, Windows

if TYPE_CHECKING:
    import torch

WORDS = 2_048
"""Places that words are hashed to; two of 300 words share one with a chance of 1 in 7 each."""
LONGEST = 33
"""Words of a text that are read, and the step before the first."""
HELD_BACK = 5
"""Every fifth text of other systems decides when to stop; the others are learned from."""
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")


@dataclass(kw_only=True, eq=False, repr=False)
class Logsy(Trained):
    """How far the words of a message lie from those of the system's usual messages, against those of other systems.

    A transformer reads the words of a message type and learns to give vectors near 0 for the types of usual windows,
    long ones for the texts of other systems. A type's score is the squared length, a window's its highest.

    Parameters
    ----------
    width, layers : int
        Sizes of the network; the width even.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Nedelkoski et al., "Self-attentive classification-based anomaly detection in unstructured logs", ICDM 2020 (arXiv
    2008.09340). No literal form, for its other logs are not to be had here. Chosen here: the other systems are those of
    `oddlog.datasets.simulate`, whose message types stand in ``auxiliary.txt`` (those that the system's own logs hold
    too are left out), in place of other public logs; types in place of lines, since equal words give equal scores;
    words hashed in place of a vocabulary. Where training holds two systems of the same kind, their words are alike and
    little is told apart. A type unseen by the model scores as the middle one of the other systems, unless `with_texts`
    tells its text.

    """

    name = "logsy"
    reads = frozenset({"template", "text"})

    width: int = 32
    layers: int = 2
    rate: float = 2e-3
    batch: int = 64
    steps: int = 400

    _of_type: F32 = field(init=False)  # [k + 1] score of each template row, the last one for unseen types
    _beyond: F32 = field(init=False, default_factory=lambda: np.empty(0, np.float32))  # [x] of rows k, k + 1, ...

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import logsy  # noqa: PLC0415 - of the extra

        texts = context.templates.text
        others = auxiliary(exclude=texts)
        learned = [others[i] for i in range(len(others)) if i % HELD_BACK]
        self._train(
            partial(logsy.TextDistance, WORDS, self.width, self.layers, LONGEST),
            logsy.loss,
            _examples(usual, texts, learned),
            _examples(validation, texts, others[::HELD_BACK]),
            seed,
        )
        self._draw({"far": logsy.graph(self._weights, LONGEST)})
        self._of_type = np.append(self._distances(texts), np.float32(np.median(self._distances(others))))

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

    def _arrays(self) -> dict[str, Any]:
        return {"of_type": self._of_type}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._of_type = arrays["of_type"]

    def _distances(self, texts: Sequence[str]) -> F32:
        """Return the distance of each text [x]."""
        if not len(texts):
            return np.empty(0, np.float32)
        tokens, lengths = tokenised(texts)
        # one by one: the same text has the same score to the bit, whatever stands beside it
        found = [
            self._run("far", {"tokens": tokens[i : i + 1, :n], "lengths": lengths[i : i + 1]})[0]
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


def _examples(usual: Windows, texts: Sequence[str], others: Sequence[str]) -> Drawn:
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
