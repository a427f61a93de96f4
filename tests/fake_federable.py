"""A small detector that sites can train together: which word buckets follow which, by counting steps of descent.

It needs no torch. Every event is one of eight buckets by the signs of its template's text embedding, so nothing in it
is sized by a site's vocabulary; the score is the negative log-likelihood of a softmax of transitions.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from oddlog.federated.local import buckets
from oddlog.types import F32, Context, Scores, State, Windows

N = 9  # eight buckets and the unseen


class Transitions:
    name: ClassVar[str] = "transitions"
    reads = frozenset({"template", "order"})
    needs: Literal["usual", "labels"] = "usual"
    calibrates = "holdout"

    def __init__(self, *, seed: int | None = None) -> None:
        self.seed = seed
        self.head = np.zeros((N, N), np.float32)
        self.bias = np.zeros(N, np.float32)

    def prepare(self, _windows: Windows, context: Context) -> None:
        self.of_type = np.append(buckets(context.templates.embedding) % 8, 8).astype(np.int64)

    def fit(self, windows: Windows, context: Context, _labels: Any = None, **_: Any) -> Transitions:
        self.prepare(windows, context)
        self.train(windows, 50, context.seed)
        return self

    def get_weights(self) -> dict[str, F32]:
        return {"bias": self.bias.copy(), "head": self.head.copy()}

    def set_weights(self, weights: dict[str, F32]) -> None:
        self.bias, self.head = weights["bias"].copy(), weights["head"].copy()

    def train(self, windows: Windows, steps: int, seed: int) -> int:
        before, after, weight, _ = self._pairs(windows)
        draw = np.random.default_rng(seed)
        for _ in range(steps):
            some = draw.integers(0, len(before), 64)
            share = self._share()
            gradient = share[before[some]]
            gradient[np.arange(64), after[some]] -= 1
            gradient *= (weight[some] / weight[some].sum())[:, None]
            np.subtract.at(self.head, before[some], gradient.astype(np.float32))
            self.bias -= gradient.sum(0).astype(np.float32)
        return steps

    def score(self, windows: Windows) -> Scores:
        before, after, _, window = self._pairs(windows)
        loss = -np.log(self._share()[before, after] + 1e-9)
        score = np.zeros(len(windows))
        np.maximum.at(score, window, loss)
        return Scores(score, np.zeros(len(windows.template), np.float32))

    def state(self) -> State:
        return State({"head": self.head, "bias": self.bias, "of_type": self.of_type}, {"seed": self.seed})

    @classmethod
    def from_state(cls, state: State, _context: Context) -> Transitions:
        made = cls(seed=state.meta["seed"])
        made.head, made.bias, made.of_type = (state.arrays[name] for name in ("head", "bias", "of_type"))
        return made

    def _share(self) -> Any:
        value = np.exp(self.head + self.bias - (self.head + self.bias).max(1, keepdims=True))
        return value / value.sum(1, keepdims=True)

    def _pairs(self, windows: Windows) -> tuple[Any, Any, Any, Any]:
        """Begin → first event, event → next, last → end; begin and end are the unseen bucket."""
        event = self.of_type[np.minimum(windows.template, len(self.of_type) - 1)]
        window, first = windows.window_of_event, np.zeros(len(event), np.bool_)
        first[windows.offsets[:-1][windows.lengths > 0]] = True
        before = np.where(first, 8, np.roll(event, 1))
        last = np.flatnonzero(np.roll(first, -1))
        return (
            np.concatenate([before, event[last]]),
            np.concatenate([event, np.full(len(last), 8)]),
            windows.weight[np.concatenate([window, window[last]])],
            np.concatenate([window, window[last]]),
        )


class Layer(Transitions):
    """The same, which is one linear layer of what came before, and tells what goes into it."""

    layers: ClassVar[dict[str, str]] = {"head": "bias"}

    def get_inputs(self, windows: Windows, _seed: int) -> list[Any]:
        before, _, weight, _ = self._pairs(windows)
        rows = np.column_stack([np.eye(N)[before], np.ones(len(before))])
        return [(rows * (weight / weight.sum())[:, None]).T @ rows]
