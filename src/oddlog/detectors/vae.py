"""Dense autoencoder of whole windows, variational or plain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from oddlog.detectors.reconstruction import MAX_VALIDATION, MAX_WINDOWS, shares
from oddlog.detectors.sequences import MAX_CELLS, sampled
from oddlog.detectors.trained import Drawn, Trained
from oddlog.features.fused import FLOOR, FURTHEST, Fused
from oddlog.types import F32, F64, I64, Context, Scores, Windows


@dataclass(kw_only=True, eq=False, repr=False)
class DenseAutoencoder(Trained):
    """Error with which dense layers restore the mean and the spread of a window's event vectors.

    A window is the mean and the standard deviation of its events' vectors (`features.fused`) and the logarithm of
    its length, standardised over the usual windows. A network of five dense layers restores it from a code of a few
    numbers, variational: from a normal distribution that is held near the standard one. The score is the mean
    squared error, features weighted by group. An event's is its part in the error of the means: the error of each
    feature, shared among the window's events by how far each is from the restored mean.

    Parameters
    ----------
    variational : bool
        Without it a plain autoencoder.
    width, code : int
        Sizes of the network.
    divergence : float
        Weight of the Kullback-Leibler divergence against the error.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014 (arXiv 1312.6114), with the error weighted
    against the divergence as in Higgins et al., "beta-VAE", ICLR 2017. Scored from the middle of the code's
    distribution: one window always has one score.

    """

    name = "vae"
    reads = frozenset({"template", "order", "time", "level", "service", "numbers"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (32, 64, 128),
        "code": (4, 8, 16),
        "rate": (1e-3, 3e-3, 1e-2),
        "batch": (64, 128, 256),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    prefix = ""

    variational: bool = True
    width: int = 64
    code: int = 8
    divergence: float = 1e-3
    batch: int = 256
    steps: int = 3_000

    _fused: Fused = field(init=False)
    _shares: F32 = field(init=False)  # [f]
    _mean: F64 = field(init=False)  # [f]
    _std: F64 = field(init=False)  # [f]

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import export, networks, reconstruction  # noqa: PLC0415 - of the extra

        usual = usual.take(sampled(usual.weight, MAX_WINDOWS, seed))
        validation = validation.take(sampled(validation.weight, MAX_VALIDATION, seed))
        self._fused = Fused.learn(usual, context)
        self._shares = _shares(self._fused)
        pooled = self._pooled(usual)
        self._mean = np.average(pooled, axis=0, weights=usual.weight)
        self._std = np.sqrt(np.average((pooled - self._mean) ** 2, axis=0, weights=usual.weight)) + FLOOR
        sizes, divergence = (len(self._shares), self.width, self.code), self.divergence if self.variational else 0.0
        self._train(
            partial(networks.DenseAutoencoder, *sizes, variational=divergence > 0),
            reconstruction.dense_loss_of(self._shares, divergence),
            self._examples(pooled, usual.weight),
            self._examples(self._pooled(validation), validation.weight),
            seed,
        )
        self._draw({"restored": export.dense(self._weights)})

    def score(self, windows: Windows) -> Scores:
        """Return the error of each window, and each event's part in that of the means."""
        square, restored = self._errors(windows)
        d = self._fused.width
        middle = restored[:, :d] * self._std[:d] + self._mean[:d]
        return Scores(square.sum(1), self._parts(windows, square[:, :d], middle))

    def score_windows(self, windows: Windows) -> F64:
        """Return `score` of the windows alone [w]: what each event has to do with it takes twice as long to tell."""
        error: F64 = self._errors(windows)[0].sum(1)
        return error

    def _errors(self, windows: Windows) -> tuple[F64, F32]:
        """Return the weighted squared errors of the pooled features, and these restored [w, 2d + 1]."""
        x = self._standardised(self._pooled(windows))
        restored = np.empty_like(x)
        for start in range(0, len(x), MAX_CELLS // 8):
            part = slice(start, start + MAX_CELLS // 8)
            restored[part] = self._run("restored", {"x": x[part]})[0]
        return (restored.astype(np.float64) - x) ** 2 * self._shares, restored

    def _arrays(self) -> dict[str, Any]:
        return {**self._fused.arrays(), "shares": self._shares, "mean": self._mean, "std": self._std}

    def _meta(self) -> dict[str, Any]:
        return {"fused": self._fused.meta()}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._fused = Fused.from_arrays(arrays, meta["fused"])
        self._shares, self._mean, self._std = arrays["shares"], arrays["mean"], arrays["std"]

    @property
    def features(self) -> tuple[str, ...]:
        """What each column of the event vectors is, ``GROUP: FEATURE``."""
        return self._fused.names

    def _examples(self, pooled: F64, weight: F64) -> Drawn:
        import torch  # noqa: PLC0415 - of the extra

        x = self._standardised(pooled)
        return np.ones(len(x), np.int64), np.sqrt(weight), lambda index: (torch.from_numpy(x[index]),)

    def _standardised(self, pooled: F64) -> F32:
        return np.clip((pooled - self._mean) / self._std, -FURTHEST, FURTHEST).astype(np.float32)

    def _pooled(self, windows: Windows) -> F64:
        """Return mean and deviation of each window's vectors and the logarithm of 1 + its length [w, 2d + 1]."""
        total, square = np.zeros((2, len(windows), self._fused.width))
        for window, begins, vectors in self._blocks(windows):
            total[window] += np.add.reduceat(vectors, begins, axis=0)
            square[window] += np.add.reduceat(vectors**2, begins, axis=0)
        n = np.maximum(windows.lengths, 1)[:, None]
        mean = total / n
        spread = np.sqrt(np.maximum(square / n - mean**2, 0.0))
        return np.concatenate([mean, spread, np.log1p(windows.lengths)[:, None]], axis=1)

    def _parts(self, windows: Windows, square: F64, middle: F64) -> F32:
        """Return each event's part [e] in the squared errors of the means [w, d]; `middle` are the restored means."""
        total = np.zeros(middle.shape)
        for window, begins, vectors in self._blocks(windows):
            far = np.abs(vectors - np.repeat(middle[window], _lengths(begins, vectors), axis=0))
            total[window] += np.add.reduceat(far, begins, axis=0)
        parts = [np.empty(0)]
        per_distance = square / np.maximum(total, 1e-12)
        for window, begins, vectors in self._blocks(windows):
            n = _lengths(begins, vectors)
            far = np.abs(vectors - np.repeat(middle[window], n, axis=0))
            parts.append((far * np.repeat(per_distance[window], n, axis=0)).sum(1))
        return np.concatenate(parts).astype(np.float32)

    def _blocks(self, windows: Windows) -> Iterator[tuple[I64, I64, F64]]:
        """Yield blocks of events: their windows [x], where each begins in the block [x], their vectors [y, d]."""
        window_of_event = windows.window_of_event
        for start in range(0, len(window_of_event), MAX_CELLS):
            event = np.arange(start, min(start + MAX_CELLS, len(window_of_event)))
            window, begins = np.unique(window_of_event[event], return_index=True)
            first = windows.offsets[:-1][window_of_event[event]]
            yield window, begins, self._fused.vectors(windows, first, event).astype(np.float64)


def _lengths(begins: I64, vectors: F64) -> I64:
    return np.diff(np.append(begins, len(vectors)))


def _shares(fused: Fused) -> F32:
    """Return how much each pooled feature counts [2d + 1]: means and spreads by group, the length as the place does."""
    of_event = shares(fused)
    both = np.concatenate([of_event[:-1], of_event[:-1], of_event[-1:]])
    return np.asarray(both / both.sum(), np.float32)
