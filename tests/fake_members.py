"""Small members that learn in no time, to stand in for deep ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pytest

from oddlog import plugins
from oddlog.types import I8, Context, Scores, State, Windows


class Fake:
    """Remembers what it was fitted to; learns which pairs of neighbours there are."""

    name = "pairs"
    reads = frozenset({"template", "order", "time"})
    needs: Literal["usual", "labels"] = "usual"
    calibrates = "holdout"
    fitted: ClassVar[list[tuple[str, list[str], list[str]]]] = []

    def __init__(self) -> None:
        self.pairs: dict[int, float] = {}
        self.total = 0.0

    def fit(
        self,
        windows: Windows,
        context: Context,  # noqa: ARG002 - of the contract
        labels: I8 | None = None,  # noqa: ARG002 - of the contract
        *,
        validation: Windows | None = None,
    ) -> Self:
        stopped_by = [] if validation is None else validation.key.to_list()
        self.fitted.append((self.name, windows.key.to_list(), stopped_by))
        pair, of = self.pairs_of(windows)
        for value, weight in zip(pair.tolist(), windows.weight[of].tolist(), strict=True):
            self.pairs[value] = self.pairs.get(value, 0.0) + weight
        self.total = float(windows.weight.sum())
        return self

    @staticmethod
    def pairs_of(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        of_event = windows.window_of_event
        inside = np.flatnonzero(of_event[1:] == of_event[:-1])
        return windows.template[inside].astype(np.int64) * 1000 + windows.template[inside + 1], of_event[inside]

    def score(self, windows: Windows) -> Scores:
        pair, of = self.pairs_of(windows)
        surprise = np.array([-np.log10((self.pairs.get(p, 0.0) + 0.5) / (self.total + 1)) for p in pair.tolist()])
        window = np.zeros(len(windows))
        np.maximum.at(window, of, surprise)
        return Scores(window, np.zeros(len(windows.template), np.float32))

    def state(self) -> State:
        return State({"pair": np.array(list(self.pairs)), "n": np.array(list(self.pairs.values()))}, {"n": self.total})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        made = cls()
        made.pairs = dict(zip(state.arrays["pair"].tolist(), state.arrays["n"].tolist(), strict=True))
        made.total = state.meta["n"]
        return made


class Chance(Fake):
    """Scores that mean nothing: a draw for each window, by its lines."""

    name = "chance"

    def score(self, windows: Windows) -> Scores:
        first = np.append(windows.line, 0)[windows.offsets[:-1]].astype(np.float64)
        return Scores(
            np.modf(np.abs(np.sin(first * 78.233 + 1) * 43758.5453))[0], np.zeros(len(windows.template), np.float32)
        )


class Ageing(Fake):
    """Finds everything odder the later it is, and every new pair odder still."""

    name = "ageing"

    def score(self, windows: Windows) -> Scores:
        found = super().score(windows)
        return Scores(found.window + np.maximum(windows.start - 3_800, 0) / 100, found.event)


class Expectations(NamedTuple):
    event: np.ndarray
    window: np.ndarray
    expected: np.ndarray
    probability: np.ndarray
    seen: np.ndarray


class Telling(Fake):
    """Says of each window what it expected in place of the second event of its rarest pair."""

    name = "telling"
    reads = frozenset({"template", "order"})

    def expectations(self, windows: Windows) -> Expectations:
        pair, of = self.pairs_of(windows)
        inside = np.flatnonzero(windows.window_of_event[1:] == windows.window_of_event[:-1])
        event, window, expected, probability, seen = [], [], [], [], []
        for w in np.unique(of).tolist():
            here = np.flatnonzero(of == w)
            at = int(here[np.argmin([self.pairs.get(p, 0.0) for p in pair[here].tolist()])])
            first = int(pair[at]) // 1000
            after = {p % 1000: n for p, n in self.pairs.items() if p // 1000 == first}
            total = sum(after.values()) + 1
            ranked = [*sorted(after, key=lambda row, after=after: (-after[row], row)), first, first, first][:3]
            event.append(int(inside[at]) + 1)
            window.append(w)
            expected.append(ranked)
            probability.append([after.get(row, 0.0) / total for row in ranked])
            seen.append((after.get(int(pair[at]) % 1000, 0.0) + 0.01) / total)
        return Expectations(
            np.array(event, np.int64),
            np.array(window, np.int64),
            np.array(expected, np.uint32).reshape(-1, 3),
            np.array(probability, np.float32).reshape(-1, 3),
            np.array(seen, np.float32),
        )


class _Entry:
    value = "tests"

    def __init__(self, cls: type) -> None:
        self.load: Callable[[], Any] = lambda: cls


def register(monkeypatch: pytest.MonkeyPatch, *classes: type[Fake]) -> None:
    """Let the fakes come in through the door that all detectors come in through."""
    real = plugins.found
    fakes = {cls.name: _Entry(cls) for cls in classes}
    monkeypatch.setattr(plugins, "found", lambda group: real(group) | (fakes if group == "oddlog.detectors" else {}))
    Fake.fitted.clear()
