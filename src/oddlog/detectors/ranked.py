"""What DeepLog, LogAnomaly and semantic clusters share: the next event foretold, our way or as their papers do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from oddlog.detectors.histories import histories
from oddlog.detectors.next_event import MAX_LOGITS, Expectations, NextEvent
from oddlog.detectors.sequences import MAX_CELLS, batches, mean_of_top, sampled
from oddlog.detectors.trained import Drawn
from oddlog.types import F32, I64, Scores, Windows

if TYPE_CHECKING:
    import torch

MOST_HISTORIES = 20_000
"""Distinct histories that are learned from."""


@dataclass(kw_only=True, eq=False, repr=False)
class Ranked(NextEvent):
    """Base of the rivals that foretell the next event.

    As it stands it scores as `next_event.NextEvent` does: marks of begin and end, whole windows, negative
    log-likelihoods. With `paper` it scores as the papers do: no marks, at most `history` events looked at, an
    event's score is its rank among what was likelier, divided by `g`; above 1 it is none of the g likeliest, which
    is the papers' verdict. A window's score is its highest, its first event is not foretold (a window of one event
    has no score), and an unseen type ranks behind all.

    Parameters
    ----------
    paper : bool
        Score as the paper does.
    g : int
        How many of the likeliest events pass for usual (`paper` only).
    history : int
        Events that are looked at (`paper`, and counted by LogAnomaly).
    width, layers : int
        Sizes of the network; an embedding is as wide.
    top : int
        How many of a window's most surprising steps make its score (not with `paper`).
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    """

    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (32, 64, 96, 128),
        "layers": (1, 2),
        "rate": (1e-3, 3e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    paper: bool = False
    g: int = 9
    history: int = 10
    width: int = 64
    layers: int = 2
    steps: int = 1_000
    embedding: int = field(init=False)

    def __post_init__(self) -> None:
        """Let an embedding be as wide as the network."""
        self.embedding = self.width

    @property
    def verdict_above(self) -> float | None:
        """The score above which the paper calls a window odd; without `paper` it has none."""
        return 1.0 if self.paper else None

    def score(self, windows: Windows) -> Scores:
        """Return negative log-likelihoods, or with `paper` ranks divided by g, of windows and events."""
        return self._ranks(windows) if self.paper else super().score(windows)

    def expectations(self, windows: Windows) -> Expectations:
        """Return what was expected in place of each window's most surprising step; a rank names nothing."""
        return super().expectations(windows if not self.paper else windows.take(np.empty(0, np.int64)))

    @property
    def _dropped(self) -> int | None:
        return None if self.paper else super()._dropped

    def _graphs_of(self, weights: dict[str, F32]) -> dict[str, bytes]:
        from oddlog.detectors.deep import export  # noqa: PLC0415 - of the extra

        return {"rank": export.rank(weights, self._counted)} if self.paper else super()._graphs_of(weights)

    def _examples(self, windows: Windows, most: int, seed: int) -> Drawn:
        """Return lengths, weights and what loads the tensors of the distinct windows' pieces, or of histories."""
        if not self.paper:
            return super()._examples(windows, most, seed)
        import torch  # noqa: PLC0415 - of the extra

        found = histories(self._columns.of(windows.template), windows.offsets, windows.weight, self.history)
        kept = sampled(found.weight, MOST_HISTORIES, seed)
        if not len(kept):  # no window has a second event: one history that teaches nothing
            single = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32)
            return np.ones(1, np.int64), np.ones(1), lambda index: tuple(torch.from_numpy(a[index]) for a in single)

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            rows = kept[index]
            steps = int(found.length[rows].max())
            last = np.arange(steps) == found.length[rows][:, None] - 1
            targets = np.where(last, found.target[rows][:, None], 0)
            tokens = np.ascontiguousarray(found.token[rows, :steps])
            return torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(last.astype(np.float32))

        return found.length[kept], found.weight[kept], load

    def _ranks(self, windows: Windows) -> Scores:
        """Return each event's rank among what was likelier, and each window's highest, divided by g."""
        found = histories(self._columns.of(windows.template), windows.offsets, windows.weight, self.history)
        rank = np.empty(len(found), np.float32)
        cells = max(self.history, min(MAX_CELLS, MAX_LOGITS // self._begin))
        for index in batches(found.length, cells=cells):
            steps, length = int(found.length[index].max()), found.length[index]
            targets = np.broadcast_to(found.target[index][:, None], (len(index), steps))
            feed = {"tokens": found.token[index, :steps], "targets": np.ascontiguousarray(targets)}
            rank[index] = self._run("rank", feed)[0][np.arange(len(index)), length - 1]
        unseen = found.target == self._columns.width - 1
        rank[unseen] = max(self._end, self.g) + 1
        event = np.full(len(windows.template), np.nan, np.float32)
        event[found.event] = rank[found.place] / self.g
        rest = np.bincount(windows.window_of_event[found.event], minlength=len(windows))
        offsets = np.concatenate([[0], np.cumsum(rest)])
        return Scores(mean_of_top(event[found.event].astype(np.float64), offsets, 1), event)
