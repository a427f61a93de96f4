"""Autoencoder of what a window's lines speak of: the same network for systems with different message types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import onnxruntime as ort

from oddlog.detectors import runtime
from oddlog.detectors.usual import usual_only
from oddlog.errors import MissingExtraError
from oddlog.features.counts import Columns, Counts, counts
from oddlog.features.text import WIDTH, embed, signs
from oddlog.types import F32, F64, I8, LEVELS, Context, Scores, State, Windows

HASHED = 32
"""Signs hashed from a type's whole text: two types of like words still differ."""
MEASURED = len(LEVELS) + 3
"""Events of each level, of unseen types, of all, and kinds of types: as logarithms."""
FEATURES = 2 * (WIDTH + HASHED) + MEASURED
FLOOR = 0.1
FURTHEST = 20.0
"""Standardised values end here: what no training window came near is odd enough."""
PUBLIC_SCALE = 3.0
"""Deviation that features are taken to have where no moments of data may be sent."""
PRIVATE_RATE = 1e-2
"""Learning rate of the first step with noise."""
ADAPTIVITY = 1e-3
"""Adam's epsilon in a round of a federation. With a tiny one every weight moves by the whole rate, also those that a
site has next to nothing to say of, and what one site alone has learned drowns in the mean. Reddi et al., "Adaptive
federated optimization", ICLR 2021, take the same."""
BLOCK = 1 << 12
MAX_ROWS = 50_000
MAX_TEXTS = 100_000
"""Texts of unseen types that are kept; types behind them stay without one."""
HIDDEN = (64, 16, 64)


class SpokenAutoencoder:
    """Error with which a small network restores what a window speaks of.

    Every type has a direction: the embedding of its text (64 numbers, alike for like words) and 32 signs hashed from
    it. A window is Σ ln(1 + count) · direction and Σ direction over its types, and how many events of each level, of
    unseen types and in all there are: 203 features, whatever the types. They are standardised (deviation + 0.1), and a
    network 203-64-16-64-203 with GELU learns to restore them from noise, as `dae` does with counts. The score is the
    Euclidean norm of the error; an event's is its type's part: the error along its direction.

    A type unseen by the model has no direction, unless `with_texts` tells its text: then it has one like any other, and
    is as odd as what it says. To a site it may be new and to the network not.

    Nothing in it is sized by a site's own types, so that sites can train it together (`types.Federable`), with one
    standardisation from summed moments (`get_sums`, `set_sums`).

    Parameters
    ----------
    steps : int
        Steps of Adam of a fit.
    rate, final_rate : float
        Learning rate of the first and the last step of a stretch of training.
    noise : float
        Standard deviation of the noise.
    seed : int, optional
        Of weights, noise and batches; without it that of the context.

    Notes
    -----
    A random projection keeps what few types tell (Johnson and Lindenstrauss; Achlioptas 2003); with many more types
    than 96 it mixes them. Autoencoder and scoring as in `autoencoder.DenoisingAutoencoder`.

    """

    name = "spoken"
    reads = frozenset({"template", "level", "text"})
    needs: Literal["usual", "labels"] = "usual"
    calibrates: Literal["folds", "holdout"] = "holdout"
    requires: tuple[str, ...] = ("torch", "onnx")
    layers: Mapping[str, str] = {f"w{i}": f"b{i}" for i in range(len(HIDDEN) + 1)}
    """Weights and bias of each linear layer, for `get_inputs`."""

    _columns: Columns
    _known: int  # types of the model; those behind are told by `with_texts`
    _direction: F64  # [d, 96]
    _mean: F64  # [f]
    _std: F64  # [f]
    _weights: dict[str, F32]
    _rows: tuple[F64, F64]  # distinct rows of the windows last trained on, and their weights
    _of: int

    def __init__(
        self,
        *,
        steps: int = 1_500,
        rate: float = 3e-3,
        final_rate: float = 3e-4,
        noise: float = 0.1,
        seed: int | None = None,
    ) -> None:
        self.steps, self.rate, self.final_rate, self.noise = steps, rate, final_rate, noise
        self.seed = seed

    def prepare(self, windows: Windows, context: Context) -> None:
        """Make ready to learn from a site's windows: its types' directions, its own moments, an untrained network.

        The weights depend on the seed alone.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.

        """
        denoising = _denoising()
        texts, k = context.templates.text, len(context.templates)
        self._columns, self._known = Columns.of_rows(np.arange(k), np.empty(0, np.int64), k), k
        self._direction = np.vstack([_directions(texts), np.zeros((2, WIDTH + HASHED))])  # rare and unseen: nothing
        self._seed = context.seed if self.seed is None else self.seed
        self._of = -1
        self.set_sums(self._sums_of(windows))
        self.set_weights(denoising.initial(FEATURES, self._recipe(0, self._seed)))

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - the number of steps is fixed
    ) -> Self:
        """Train on the usual windows of one site."""
        usual = usual_only(windows, labels)
        self.prepare(usual, context)
        self.train(usual, self.steps, self._seed)
        return self

    def train(self, windows: Windows, steps: int, seed: int, *, taken: tuple[int, int] | None = None) -> int:
        """Learn on from the weights that are set.

        With `taken`, the steps before these and after how many of them the rate is half, the rate falls as one over
        all steps, however many there will be; without, from the first to the final one within these steps.
        """
        denoising = _denoising()
        rows, weight = self._learned_from(windows)
        x = self._standardised(rows)
        recipe = self._recipe(steps, seed)
        if taken is not None:
            before, half = taken
            first, last = (self.rate / (1 + at / half) for at in (before, before + steps))
            recipe = replace(recipe, rate=first, final_rate=last, epsilon=ADAPTIVITY)
        self.set_weights(denoising.train(x, np.sqrt(weight), recipe, begin=self._weights))
        return steps

    def get_inputs(self, windows: Windows, seed: int) -> list[F64]:
        """Return second moments of what goes into each of `layers`, a 1 behind it [i + 1, i + 1]; as in training."""
        rows, weight = self._learned_from(windows)
        x = self._standardised(rows)
        found: list[F64] = _denoising().inputs(x, np.sqrt(weight), self._weights, self.noise, seed)
        return found

    def train_privately(self, windows: Windows, steps: int, hidden: Mapping[str, Any]) -> int:
        """Learn on from the weights that are set so that no window can be told from them; `hidden`: see `Guard`.

        A rare sequence counts by its windows here, not by the root of their number: a window has a bounded part only
        where it has one of its own.
        """
        from oddlog.detectors.deep import private  # noqa: PLC0415 - of the extra

        x = self._standardised(self._raw(windows))
        recipe = replace(self._recipe(steps, self._seed), rate=PRIVATE_RATE, final_rate=PRIVATE_RATE / 3)
        self.set_weights(private.train(x, recipe, private.Guard(**hidden), self._weights))
        return steps

    def public_sums(self) -> F64:
        """Return sums that standardise alike whatever the data: mean 0, deviation `PUBLIC_SCALE` [1 + 2 f]."""
        square = np.full(FEATURES, (PUBLIC_SCALE - FLOOR) ** 2)
        return np.concatenate([[1.0], np.zeros(FEATURES), square])

    def get_weights(self) -> dict[str, F32]:
        """Return a copy of the network's weights, sorted by name."""
        return {name: self._weights[name].copy() for name in sorted(self._weights)}

    def set_weights(self, weights: Mapping[str, F32]) -> None:
        """Take over a network's weights."""
        self._weights = {name: np.array(weights[name], np.float32) for name in sorted(weights)}
        self.__dict__.pop("_session", None)

    def get_sums(self) -> F64:
        """Return windows, sum and sum of squares of each feature over the site's windows [1 + 2 f]."""
        return self._sums.copy()

    def set_sums(self, sums: F64) -> None:
        """Standardise by these sums from now on: a site's own, or those of all sites."""
        self._sums = np.asarray(sums, np.float64)
        n, total, square = self._sums[0], self._sums[1 : 1 + FEATURES], self._sums[1 + FEATURES :]
        self._mean = total / max(n, 1e-12)
        self._std = np.sqrt(np.maximum(square / max(n, 1e-12) - self._mean**2, 0.0)) + FLOOR

    def score(self, windows: Windows) -> Scores:
        """Return the norm of each window's error, and per event that along its type's direction."""
        window, event = np.empty(len(windows)), np.zeros(len(windows.template), np.float32)
        length = np.maximum(np.linalg.norm(self._direction, axis=1), 1e-12)
        d = WIDTH + HASHED
        for start in range(0, len(windows), BLOCK):
            part = np.arange(start, min(start + BLOCK, len(windows)))
            some = windows.take(part)
            error = self._error(self._standardised(self._raw(some))).astype(np.float64)
            window[part] = np.sqrt((error**2).sum(1))
            along = np.abs((error[:, :d] + error[:, d : 2 * d]) @ self._direction.T) / length
            along[:, -1] = window[part]  # an unseen type has no direction, and is odd by itself
            column = self._columns.of(some.template)
            event[windows.offsets[start] : windows.offsets[part[-1] + 1]] = along[some.window_of_event, column]
        return Scores(window, event)

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a copy that knows the texts of the types unseen by the model, those of rows k and on [x]."""
        knowing = copy(self)
        k, silent = self._known, self._direction[-2:]
        more = _directions(texts[:MAX_TEXTS])
        knowing._columns = Columns.of_rows(np.arange(k + len(more)), np.empty(0, np.int64), k + len(more))  # noqa: SLF001 - its copy
        knowing._direction = np.vstack([self._direction[:k], more, silent])  # noqa: SLF001 - the same
        return knowing

    def vectors(self, windows: Windows) -> F32:
        """Return what the network sees of the windows [w, 203]."""
        return self._standardised(self._raw(windows))

    def state(self) -> State:
        """Return the weights, the yardsticks, and the graph derived from the weights."""
        own = Columns.of_rows(np.arange(self._known), np.empty(0, np.int64), self._known)
        arrays: dict[str, Any] = {
            "lookup": own.lookup,
            "row": own.row,
            "direction": np.vstack([self._direction[: self._known], self._direction[-2:]]),
            "sums": self._sums,
            **self._weights,
        }
        names = ("steps", "rate", "final_rate", "noise", "seed")
        return State(arrays, {name: getattr(self, name) for name in names}, {"error": self._graph()})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        a = dict(state.arrays)
        self = cls(**state.meta)
        self._seed, self._of = context.seed if self.seed is None else self.seed, -1
        self._columns = Columns(a.pop("lookup"), a.pop("row"))
        self._direction, self._known = a.pop("direction"), self._columns.k
        self.set_sums(a.pop("sums"))
        self.set_weights(a)
        self.__dict__["_session"] = runtime.session(state.graphs["error"])
        return self

    def _recipe(self, steps: int, seed: int) -> Any:
        denoising = _denoising()
        return denoising.Recipe(HIDDEN, steps, self.rate, self.final_rate, self.noise, batch=256, seed=seed)

    def _learned_from(self, windows: Windows) -> tuple[F64, F64]:
        if self._of != id(windows):
            self._rows, self._of = self._distinct(windows), id(windows)
        return self._rows

    def _distinct(self, windows: Windows) -> tuple[F64, F64]:
        """Return the distinct rows of features [r, f], at most `MAX_ROWS` of the heaviest, and their weights [r]."""
        x = self._raw(windows)
        _, first, inverse = np.unique(x.round(6), axis=0, return_index=True, return_inverse=True)
        weight = np.bincount(inverse.ravel(), windows.weight, minlength=len(first)).astype(np.float64)
        keep = np.sort(np.argsort(-weight, kind="stable")[:MAX_ROWS])
        return x[first[keep]], weight[keep]

    def _sums_of(self, windows: Windows) -> F64:
        x, weight = self._raw(windows), windows.weight
        return np.concatenate([[weight.sum()], weight @ x, weight @ x**2])

    def _raw(self, windows: Windows) -> F64:
        """Return the features of the windows before they are standardised [w, f]."""
        found = counts(windows, self._columns.k, columns=self._columns)
        cell = windows.window_of_event * len(LEVELS) + np.minimum(windows.level, len(LEVELS) - 1)
        level = np.bincount(cell, minlength=len(windows) * len(LEVELS)).reshape(-1, len(LEVELS))
        unseen = np.bincount(windows.window_of_event, windows.template >= self._columns.k, minlength=len(windows))
        kinds = found.nnz[found.inverse]
        measured = np.log1p(np.column_stack([level, unseen, windows.lengths, kinds]))
        return np.concatenate([self._spoken(found)[found.inverse], measured], axis=1)

    def _spoken(self, found: Counts) -> F64:
        """Return Σ ln(1 + count) · direction and Σ direction over the types of each distinct row [r, 192]."""
        d = WIDTH + HASHED
        total = np.zeros((len(found), 2 * d))
        for start in range(0, len(found.column), BLOCK):
            part = slice(start, start + BLOCK)
            direction = self._direction[found.column[part]]
            both = np.concatenate([np.log1p(found.count[part])[:, None] * direction, direction], axis=1)
            row, first = np.unique(found.row_of_entry[part], return_index=True)
            total[row] += np.add.reduceat(both, first, axis=0)
        return total

    def _standardised(self, raw: F64) -> F32:
        return np.clip((raw - self._mean) / self._std, -FURTHEST, FURTHEST).astype(np.float32)

    def _error(self, x: F32) -> F32:
        return np.asarray(self._session.run(["error"], {"x": x})[0], np.float32)

    def _graph(self) -> bytes:
        graph: bytes = _denoising().to_onnx(self._weights)
        return graph

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return runtime.session(self._graph())


def _directions(texts: Sequence[str]) -> F64:
    """Return the direction of each text [k, 96]."""
    return np.concatenate([embed(texts) * np.sqrt(WIDTH), signs(texts, HASHED)], axis=1)


def _denoising() -> Any:
    """Return the module that trains; of the extra, scoring needs none."""
    try:
        from oddlog.detectors.deep import denoising  # noqa: PLC0415 - of the extra
    except ImportError as error:
        raise MissingExtraError("The detector spoken", "train") from error
    return denoising
