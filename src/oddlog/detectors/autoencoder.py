"""Autoencoder that learned to undo noise on the counts of usual windows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from oddlog.detectors.runtime import session
from oddlog.detectors.usual import usual_only
from oddlog.errors import needing
from oddlog.features.counts import Columns, Counts, counts
from oddlog.types import F32, F64, I8, Context, Scores, State, Windows

if TYPE_CHECKING:
    import onnxruntime as ort

MAX_ROWS = 50_000
"""Distinct windows that are learned from, those that stand for most windows."""
MAX_CELLS = 1 << 24
"""Rows x features that are learned from (64 MiB of float32); wide tables keep fewer rows."""
MAX_BATCH = 4_096
"""Rows of one step; up to so many distinct rows every step sees all of them."""
MAX_BATCH_CELLS = 1 << 18
"""Rows x features of one step: with very many types a step takes fewer rows. BGL's 400 features in 2,169 distinct
windows took 20 CPU-seconds a fit without it, six fits with calibration."""
BLOCK = 1 << 19
"""Cells that are scored at once."""


class DenoisingAutoencoder:
    """Error with which a small network restores a window's counts.

    Features are ln(1 + count) and "is held at all", standardised (standard deviation + 0.1). A network
    f-64-8-64-f with GELU learns to restore them from noise added with a standard deviation of 0.1, distinct
    windows weighted by the square root of how many they stand for; Adam, 1,500 steps, rate falling linearly
    from 3e-3 to 1e-5. The score is the Euclidean norm of the error; an event's is the part of its type.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    steps : int
        Steps of Adam.
    rate, final_rate : float
        Learning rate of the first and the last step.
    noise : float
        Standard deviation of the noise.
    seed : int, optional
        Of weights, noise and batches; without it that of the context.

    Notes
    -----
    Vincent, Larochelle, Bengio and Manzagol, "Extracting and composing robust features with denoising
    autoencoders", ICML 2008, section 2.3 (doi 10.1145/1390156.1390294). Trained by PyTorch, always scored by
    ONNX Runtime on one thread, right after training too: what was measured is what runs.

    """

    name = "dae"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ("torch", "onnx")

    _columns: Columns
    _mean: F64  # [f]
    _std: F64  # [f]
    _weights: dict[str, F32]
    _graph: bytes

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64, 8, 64),
        steps: int = 1_500,
        rate: float = 3e-3,
        final_rate: float = 1e-5,
        noise: float = 0.1,
        seed: int | None = None,
    ) -> None:
        self.hidden = tuple(hidden)
        self.steps = steps
        self.rate = rate
        self.final_rate = final_rate
        self.noise = noise
        self.seed = seed

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - the number of steps is fixed
    ) -> Self:
        """Train on the distinct usual windows.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.

        """
        with needing("The denoising autoencoder", "train"):
            from oddlog.detectors.deep import denoising  # noqa: PLC0415 - of the extra: scoring needs none
        found = counts(usual_only(windows, labels), len(context.templates))
        features = 2 * found.columns.width
        found = found.heaviest(min(MAX_ROWS, MAX_CELLS // features))
        self._columns = found.columns
        self._mean, self._std = _moments(found)
        recipe = denoising.Recipe(
            hidden=self.hidden,
            steps=self.steps,
            rate=self.rate,
            final_rate=self.final_rate,
            noise=self.noise,
            batch=max(1, min(MAX_BATCH, MAX_BATCH_CELLS // features)),
            seed=context.seed if self.seed is None else self.seed,
        )
        x = np.empty((len(found), features), np.float32)
        for start, stop in _parts(found):
            x[start:stop] = self._features(found, start, stop)
        self._weights = denoising.train(x, np.sqrt(found.weight), recipe)
        self._graph = denoising.to_onnx(self._weights)
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the norm of each window's error, and per event that of its type's two features."""
        found = counts(windows, self._columns.k, columns=self._columns)
        window, entry = np.empty(len(found)), np.empty(len(found.column))
        for start, stop in _parts(found):
            square = self._error(self._features(found, start, stop)).astype(np.float64) ** 2
            window[start:stop] = np.sqrt(square.sum(1))
            part = slice(found.indptr[start], found.indptr[stop])
            row, column = found.row_of_entry[part] - start, found.column[part]
            entry[part] = np.sqrt(square[row, column] + square[row, column + self._columns.width])
        return Scores(window[found.inverse], found.to_events(entry, windows))

    def state(self) -> State:
        """Return the weights, the yardsticks, and the graph derived from the weights."""
        arrays: dict[str, Any] = {
            "lookup": self._columns.lookup,
            "row": self._columns.row,
            "mean": self._mean,
            "std": self._std,
            **self._weights,
        }
        meta = {
            "hidden": list(self.hidden),
            "steps": self.steps,
            "rate": self.rate,
            "final_rate": self.final_rate,
            "noise": self.noise,
            "seed": self.seed,
        }
        return State(arrays, meta, {"error": self._graph})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        a = dict(state.arrays)
        self = cls(**{**state.meta, "hidden": tuple(state.meta["hidden"])})
        self._columns = Columns(a.pop("lookup"), a.pop("row"))
        self._mean, self._std = a.pop("mean"), a.pop("std")
        self._weights = a
        self._graph = state.graphs["error"]
        return self

    def _features(self, found: Counts, start: int, stop: int) -> F32:
        """Return the standardised features of rows ``start:stop`` [b, f]."""
        return ((_raw(found.dense(start, stop)) - self._mean) / self._std).astype(np.float32)

    def _error(self, x: F32) -> F32:
        return np.asarray(self._session.run(["error"], {"x": x})[0], np.float32)

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return session(self._graph)


def _raw(count: F64) -> F64:
    """Return ln(1 + count) and "is held" side by side [b, f]."""
    return np.concatenate([np.log1p(count), (count > 0).astype(np.float64)], axis=1)


def _parts(found: Counts) -> list[tuple[int, int]]:
    step = max(1, BLOCK // (2 * found.columns.width))
    return [(start, min(start + step, len(found))) for start in range(0, len(found), step)]


def _moments(found: Counts) -> tuple[F64, F64]:
    """Return mean and standard deviation + 0.1 of each feature [f] over all windows, sparse rows as they are."""
    width, total = found.columns.width, found.weight.sum()
    weight = found.weight[found.row_of_entry]

    def moments(value: F64) -> tuple[F64, F64]:
        mean = np.bincount(found.column, weight * value, minlength=width) / total
        square = np.bincount(found.column, weight * value**2, minlength=width) / total
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0)) + 0.1

    logs, held = moments(np.log1p(found.count)), moments(np.ones(len(found.count)))
    return np.concatenate([logs[0], held[0]]), np.concatenate([logs[1], held[1]])
