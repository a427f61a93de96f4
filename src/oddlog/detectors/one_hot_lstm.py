"""The first paper's LSTM autoencoder as it reads: types one-hot, padded to one length, mean squared error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from oddlog.detectors.sequences import alike, batches, grid, pieces, sampled
from oddlog.detectors.trained import Drawn, Trained
from oddlog.features.counts import Columns, choose_columns
from oddlog.types import F32, F64, I64, Context, Scores, Windows

if TYPE_CHECKING:
    import torch

MAX_TYPES = 256
"""Types that have a column; the rest, the rarest, share one."""
LONGEST = 64
"""Steps at most that sequences are padded to; what is longer is cut into pieces."""
MAX_WINDOWS, MAX_VALIDATION = 20_000, 2_500
SIGMAS = 3.0
TINY = 1e-12


@dataclass(kw_only=True, eq=False, repr=False)
class OneHotLstm(Trained):
    """Error with which two LSTMs restore a window's types, one-hot and padded with zeros, from one state.

    The literal form of `lstm`, for comparison: much of what it restores is padding. All windows are padded to the
    longest usual one; the error is the mean over all steps and columns, padding included, and a window's score is the
    highest of its pieces, divided by mean + 3 standard deviations of usual windows not learned from: above 1 it is odd
    to the paper. Events have no scores.

    Parameters
    ----------
    width : int
        Units of each LSTM.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    The first paper names an LSTM autoencoder, mean squared error and a threshold of mean + 3 standard deviations, and
    neither sizes, padding nor input; this is the common reading (a state repeated for each step, as in Malhotra et al.,
    arXiv 1607.00148, without the events before). What `lstm` does instead stands in docs/detectors.md.

    """

    name = "lstm-one-hot"
    reads = frozenset({"template", "order"})
    verdict_above: ClassVar[float | None] = 1.0
    """The score above which the paper calls a window odd."""

    width: int = 32

    _columns: Columns = field(init=False)
    _longest: int = field(init=False)
    _limit: float = field(init=False)

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import export, networks, reconstruction  # noqa: PLC0415 - of the extra

        self._columns = choose_columns(usual, len(context.templates), MAX_TYPES)
        self._longest = int(np.clip(usual.lengths.max(initial=1), 1, LONGEST))
        v = self._columns.width
        self._train(
            partial(networks.RepeatingAutoencoder, v, self.width),
            reconstruction.plain_loss,
            self._examples(usual, MAX_WINDOWS, seed),
            self._examples(validation, MAX_VALIDATION, seed),
            seed,
        )
        self._draw({"error": export.repeating_error(self._weights)})
        error = self._errors(validation)
        mean = np.average(error, weights=validation.weight)
        std = np.sqrt(np.average((error - mean) ** 2, weights=validation.weight))
        self._limit = float(max(mean + SIGMAS * std, TINY))

    def _arrays(self) -> dict[str, Any]:
        told = np.array([self._longest, self._limit])
        return {"lookup": self._columns.lookup, "row": self._columns.row, "told": told}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._columns = Columns(arrays["lookup"], arrays["row"])
        self._longest, self._limit = int(arrays["told"][0]), float(arrays["told"][1])

    def score(self, windows: Windows) -> Scores:
        """Return the error of each window, divided by what is odd to the paper."""
        return Scores(self._errors(windows) / self._limit, np.full(len(windows.template), np.nan, np.float32))

    def _errors(self, windows: Windows) -> F64:
        """Return the mean squared error of each window's worst piece [w]."""
        first, inverse = self._alike(windows)
        distinct = windows.take(first)
        found, error = pieces(distinct.offsets, self._longest), np.zeros(len(distinct))
        for index in batches(np.full(len(found), self._longest)):
            part = found.take(index)
            (told,) = self._run("error", {"x": self._batch(distinct, part.start, part.length)})
            np.maximum.at(error, part.window, told.astype(np.float64))
        return error[inverse]

    def _alike(self, windows: Windows) -> tuple[I64, I64]:
        return alike(self._columns.of(windows.template), windows.offsets, np.zeros(len(windows), np.int64))

    def _batch(self, windows: Windows, start: I64, length: I64) -> F32:
        """Return pieces as one-hot rows, zeros behind their ends [b, t, v]."""
        at, real = grid(start, length, self._longest)
        x = np.zeros((len(start), self._longest, self._columns.width), np.float32)
        row, step = np.nonzero(real)
        x[row, step, self._columns.of(windows.template)[at[real]]] = 1
        return x

    def _examples(self, windows: Windows, most: int, seed: int) -> Drawn:
        import torch  # noqa: PLC0415 - of the extra

        first, inverse = self._alike(windows)
        weight: F64 = np.bincount(inverse, windows.weight, minlength=len(first)).astype(np.float64)
        kept = sampled(weight, most, seed)
        distinct, weight = windows.take(first[kept]), weight[kept]
        found = pieces(distinct.offsets, self._longest)

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            part = found.take(index)
            return (torch.from_numpy(self._batch(distinct, part.start, part.length)),)

        return np.full(len(found), self._longest), weight[found.window], load
