"""What the autoencoders of sequences share: event vectors in, the error of each restored event out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from oddlog.detectors.sequences import (
    Pieces,
    batches,
    ended,
    grid,
    mean_of_top,
    pieces,
    sampled,
    with_ends,
)
from oddlog.detectors.trained import Drawn, Trained
from oddlog.features.fused import Fused
from oddlog.types import F32, F64, I64, Bool, Context, Scores, Windows

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_WINDOWS = 20_000
"""Windows that are learned from."""
MAX_VALIDATION = 2_500
"""Windows that decide when to stop."""
MAX_STEPS = 64
"""Events that are restored from one summary; longer windows are cut into pieces."""
ALL = 1 << 62
MULTIPLE = 4
"""Sequences are padded to a multiple of so many steps: the convolutions halve them twice."""
END = 3.0
"""Value of the end mark's column in the step behind the last event of a window that is over."""
SHARES = {"text": 1.0, "level": 0.3, "service": 0.3, "numbers": 0.5, "time": 0.1, "place": 0.2}
"""How much of the error each group of features makes, spread evenly over its columns. Chosen on usual HDFS sessions
against corrupted ones (benchmarks/deep_members.py): gaps hardly repeat, what happens does."""


@dataclass(kw_only=True, eq=False, repr=False)
class Reconstruction(Trained):
    """Base of the detectors that restore sequences of event vectors.

    Parameters
    ----------
    top : int
        How many of a window's worst steps make its score, the mean of their errors; 0: all.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    """

    reads = frozenset({"template", "order", "time", "level", "service", "numbers"})
    prefix = ""

    steps: int = 1_500
    top: int = 0

    _fused: Fused = field(init=False)
    _shares: F32 = field(init=False)  # [f]

    @abstractmethod
    def _network(self, features: int) -> nn.Module:
        """Return the network, with weights as torch draws them."""

    @abstractmethod
    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        """Return the graph ``x [b, t, f], lengths [b] -> error [b, t]``."""

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import reconstruction  # noqa: PLC0415 - of the extra

        self._fused = Fused.learn(usual, context)
        self._shares = shares(self._fused)
        self._train(
            partial(self._network, len(self._shares)),
            reconstruction.loss_of(self._shares),
            self._examples(usual, MAX_WINDOWS, seed),
            self._examples(validation, MAX_VALIDATION, seed),
            seed,
        )
        self._draw({"error": self._graph_of(self._weights)})

    def score(self, windows: Windows) -> Scores:
        """Return the mean error of each window's steps (of the `top` worst), and each event's error."""
        event, end = self._errors(windows)
        return Scores(mean_of_top(*with_ends(event, end, windows), self.top or ALL), event)

    def _arrays(self) -> dict[str, Any]:
        return {**self._fused.arrays(), "shares": self._shares}

    def _meta(self) -> dict[str, Any]:
        return {"fused": self._fused.meta()}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._fused = Fused.from_arrays(arrays, meta["fused"])
        self._shares = arrays["shares"]

    @property
    def features(self) -> tuple[str, ...]:
        """What each column of the event vectors is, ``GROUP: FEATURE``."""
        return self._fused.names

    def _errors(self, windows: Windows) -> tuple[F32, F64]:
        """Return the error of each event [e] and of each window's end mark [w], NaN where none is due."""
        event = np.zeros(len(windows.template), np.float32)
        end = np.full(len(windows), np.nan)
        found, over = pieces(windows.offsets, MAX_STEPS), ended(windows)
        for index in batches(found.length + 1):
            part = found.take(index)
            x, lengths, real, closes = self._batch(windows, part, over)
            if not x.shape[1]:
                continue
            (error,) = self._run("error", {"x": x, "lengths": np.maximum(lengths, 1)})
            at, _ = grid(part.start, part.length, x.shape[1])
            event[at[real]] = error[real]
            end[part.window[closes]] = error[closes, part.length[closes]]
        return event, end

    def _examples(self, windows: Windows, most: int, seed: int) -> Drawn:
        """Return lengths, weights and what loads the tensors of the windows' pieces."""
        import torch  # noqa: PLC0415 - of the extra

        some = windows.take(sampled(windows.weight, most, seed))
        weight, over = np.sqrt(some.weight), ended(some)
        found = pieces(some.offsets, MAX_STEPS)
        closes = found.last & over[found.window]
        found = found.take(np.flatnonzero(found.length + closes > 0))  # an empty window that is not over: no step
        found = found.take(sampled(weight[found.window], most, seed))

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            x, lengths, real, closes = self._batch(some, found.take(index), over)
            counts = real.astype(np.float32)
            counts[closes, lengths[closes] - 1] = 1
            share = counts / counts.sum(1, keepdims=True)
            return torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(share)

        return found.length + 1, weight[found.window], load

    def _batch(self, windows: Windows, part: Pieces, over: Bool) -> tuple[F32, I64, Bool, Bool]:
        """Return sequences [b, t, f], their steps [b], which steps are events [b, t], which pieces end with a mark."""
        closes = part.last & over[part.window]
        length = part.length
        width = -(-int((length + closes).max()) // MULTIPLE) * MULTIPLE
        at, real = grid(part.start, length, width)
        x = np.zeros((len(part), width, len(self._shares)), np.float32)
        first = np.broadcast_to(windows.offsets[part.window][:, None], at.shape)
        x[real, :-1] = self._fused.vectors(windows, first[real], at[real])
        x[closes, length[closes], -1] = END
        return x, length + closes, real, closes


def shares(fused: Fused) -> F32:
    """Return how much the squared error of each feature counts [f], the end mark last; together 1."""
    found = np.zeros(fused.width + 1)
    for group, columns in fused.groups.items():
        held = np.append(columns, fused.width) if group == "place" else columns
        found[held] = SHARES[group] / len(held)
    return np.asarray(found / found.sum(), np.float32)
