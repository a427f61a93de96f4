"""Two autoencoders, and between them an isolation forest that says what the second one may learn from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from oddlog.detectors.isolation import SAMPLE, forest
from oddlog.detectors.runtime import session
from oddlog.detectors.standard import Standard
from oddlog.detectors.usual import usual_only
from oddlog.errors import needing
from oddlog.features.counts import Counts, counts
from oddlog.types import F32, F64, I8, Bool, Context, Scores, State, Windows

if TYPE_CHECKING:
    import onnxruntime as ort

HIDDEN = (64, 8, 64)
CODE = 2
"""Layers up to the narrowest one."""
RATES = (3e-3, 1e-5)
"""Learning rate of the first and the last step."""
MAX_ROWS = 20_000
"""Distinct windows that are learned from, those that stand for most windows."""
MAX_CELLS = 1 << 22
"""Rows x columns that are learned from (32 MiB of float64); wide tables keep fewer rows."""
MAX_BATCH = 4_096
MAX_BATCH_CELLS = 1 << 18
"""Rows x columns of one step; with very many types a step takes fewer rows."""
BLOCK = 1 << 20
"""Cells that are scored at once."""


class TwoAutoencoders:
    """Error with which a second autoencoder restores a window, taught only what a forest on the first one's code kept.

    Features are standardised ln(1 + count). The first network (f-64-8-64-f, GELU) learns all windows; an isolation
    forest on its eight numbers leaves out the share that is set apart soonest; the second, of the same shape, learns
    the others. The score is the Euclidean norm of its error, an event's score the part of its type.

    Parameters
    ----------
    left_out : float
        Share of the windows, at most, that the second network is not shown.
    paper : bool
        The second network restores the first one's code instead of the counts: eight numbers, so that whatever the
        first one maps on usual codes is lost. Events then have no scores.
    steps : int
        Of Adam, for each network.
    seed : int, optional
        Of weights, batches and trees; without it that of the context.

    Notes
    -----
    Farzad and Gulliver, "Unsupervised log message anomaly detection", ICT Express 6, 2020
    (doi 10.1016/j.icte.2020.06.003), as its abstract tells the order of things: autoencoders "for training and feature
    extraction, and then for anomaly detection", the forest for "positive sample prediction". The paper reads single
    messages as words; windows of counts, widths, steps and the share left out are chosen here. Trained by PyTorch,
    scored by ONNX Runtime on one thread.

    """

    name = "two-autoencoders"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ("torch", "onnx")

    _standard: Standard
    _scale: F32  # [2, 8] mean and spread of the code
    _first: dict[str, F32]
    _second: dict[str, F32]
    _graphs: dict[str, bytes]

    def __init__(
        self, *, left_out: float = 0.05, paper: bool = False, steps: int = 1_000, seed: int | None = None
    ) -> None:
        self.left_out = left_out
        self.paper = paper
        self.steps = steps
        self.seed = seed

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - the number of steps is fixed
    ) -> Self:
        """Train the first network, ask the forest, train the second.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.

        """
        with needing("The two autoencoders", "train"):
            from oddlog.detectors.deep import denoising  # noqa: PLC0415 - of the extra: scoring needs none
        found = counts(usual_only(windows, labels), len(context.templates))
        found = found.heaviest(min(MAX_ROWS, max(1, MAX_CELLS // found.columns.width)))
        count, seed = found.dense(), context.seed if self.seed is None else self.seed
        self._standard = Standard.fit(found.columns, count, found.weight)
        x = self._standard.of(count).astype(np.float32)

        def trained(rows: F32, weight: F64) -> dict[str, F32]:
            batch = max(1, min(MAX_BATCH, MAX_BATCH_CELLS // rows.shape[1]))
            recipe = denoising.Recipe(HIDDEN, self.steps, *RATES, noise=0.0, batch=batch, seed=seed)
            return denoising.train(rows, np.sqrt(weight), recipe)

        self._first = trained(x, found.weight)
        self.__dict__.pop("_sessions", None)  # of an earlier fit
        self._graphs = {"code": denoising.code_to_onnx(self._first, CODE)}
        code = self._code(x)
        kept = self._kept(code, found.weight, seed)
        mean = np.average(code[kept], axis=0, weights=found.weight[kept])
        spread = np.sqrt(np.average((code[kept] - mean) ** 2, axis=0, weights=found.weight[kept])) + 1e-3
        self._scale = np.stack([mean, spread]).astype(np.float32)
        shown = self._scaled(code) if self.paper else x
        self._second = trained(shown[kept], found.weight[kept])
        self._graphs["error"] = denoising.to_onnx(self._second)
        return self

    def _kept(self, code: F32, weight: F64, seed: int) -> Bool:
        """Return which rows [r] the forest leaves: all but those of the shortest paths, `left_out` of the weight."""
        sample = max(1, min(SAMPLE, round(weight.sum())))
        path = forest(code.astype(np.float64), weight, sample, seed, ranges=False).values(code.astype(np.float64))
        order = np.argsort(path, kind="stable")
        kept = np.ones(len(code), np.bool_)
        kept[order[np.cumsum(weight[order]) <= self.left_out * weight.sum()]] = False
        return kept

    def _scaled(self, code: F32) -> F32:
        scaled: F32 = (code - self._scale[0]) / self._scale[1]
        return scaled

    def score(self, windows: Windows) -> Scores:
        """Return the norm of each window's error, and per event that of its type."""
        columns = self._standard.columns
        found = counts(windows, columns.k, columns=columns)
        window, entry = np.empty(len(found)), np.full(len(found.column), np.nan)
        step = max(1, BLOCK // columns.width)
        for start in range(0, len(found), step):
            stop = min(start + step, len(found))
            error = np.abs(self._error(found, start, stop).astype(np.float64))
            window[start:stop] = np.sqrt((error**2).sum(1))
            part = slice(found.indptr[start], found.indptr[stop])
            if not self.paper:
                entry[part] = error[found.row_of_entry[part] - start, found.column[part]]
        return Scores(window[found.inverse], found.to_events(entry, windows))

    def _error(self, found: Counts, start: int, stop: int) -> F32:
        x = self._standard.rows(found, start, stop).astype(np.float32)
        x = self._scaled(self._code(x)) if self.paper else x
        return np.asarray(self._sessions["error"].run(["error"], {"x": x})[0], np.float32)

    def _code(self, x: F32) -> F32:
        coder = self._sessions["code"] if "error" in self._graphs else session(self._graphs["code"])
        return np.asarray(coder.run(["code"], {"x": x})[0], np.float32)

    @cached_property
    def _sessions(self) -> dict[str, ort.InferenceSession]:
        return {name: session(graph) for name, graph in self._graphs.items()}

    def state(self) -> State:
        """Return the weights of both networks, and the graphs derived from them."""
        arrays: dict[str, Any] = {**self._standard.arrays(), "scale": self._scale}
        for name, weights in (("first", self._first), ("second", self._second)):
            arrays |= {f"{name}.{part}": array for part, array in weights.items()}
        meta = {"left_out": self.left_out, "paper": self.paper, "steps": self.steps, "seed": self.seed}
        return State(arrays, meta, self._graphs)

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        self = cls(**state.meta)
        self._standard, self._scale = Standard.from_arrays(state.arrays), state.arrays["scale"]
        self._first, self._second = (
            {part.removeprefix(f"{name}."): a for part, a in state.arrays.items() if part.startswith(f"{name}.")}
            for name in ("first", "second")
        )
        self._graphs = dict(state.graphs)
        return self
