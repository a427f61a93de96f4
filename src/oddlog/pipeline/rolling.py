"""What a threshold would say that rolls with the stream: the quantile of the last scores, beside the learned one.

One fold over blocks of time: the threshold of a block comes from the scores before it, so that any batching gives the
same. It is shown and judges nothing: a threshold that rolls grows used to whatever lasts, an incident too. Its
parameters are fixed here, before anything is seen: the last `SIZE` scores, at the rate that the view was learned for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddlog.types import F64, I64

SIZE = 10_000  # scores that are remembered: of as many usual ones 1 in 1,000 holds ten
KEPT = 24  # blocks that it is told of


@dataclass(frozen=True)
class Rolled:
    """What the two thresholds of a view say of the windows of the last blocks: how many are odd.

    Attributes
    ----------
    view : str
        Which view.
    windows : int
        Judged in the last `KEPT` blocks.
    odd, odd_rolling : int
        Beyond the threshold that was learned, and beyond the one that rolls.
    threshold, rolling : float
        These thresholds, now.

    """

    view: str
    windows: int
    odd: int
    odd_rolling: int
    threshold: float
    rolling: float


class Rolling:
    """Rolls the threshold of one view.

    Parameters
    ----------
    view : str
        Its name.
    threshold, rate : float
        What was learned, and for which share of usual windows.
    usual : F64 [x]
        Scores of usual windows, to begin with.

    """

    def __init__(self, view: str, threshold: float, rate: float, usual: F64) -> None:
        self._view, self._threshold, self._rate = view, threshold, rate
        self._last = np.sort(usual.astype(np.float32))[-SIZE:]  # in the order they came
        self._waiting: dict[int, list[float]] = {}  # scores by block
        self._told: list[tuple[int, int, int]] = []  # of the last blocks: windows, odd, odd by rolling

    def add(self, block: I64, scores: F64) -> None:
        """Take in scores [w] of windows that ended in blocks [w]."""
        known = ~np.isnan(scores)
        for one, score in zip(block[known].tolist(), scores[known].astype(np.float32).tolist(), strict=True):
            self._waiting.setdefault(one, []).append(score)

    def settle(self, end: int) -> None:
        """Judge the blocks before one."""
        for block in sorted(one for one in self._waiting if one < end):
            scores = np.sort(np.array(self._waiting.pop(block), np.float32))  # in whichever order they came
            odd = int((scores > self._threshold).sum()), int((scores > self.rolling).sum())
            self._told = [*self._told, (len(scores), *odd)][-KEPT:]
            self._last = np.concatenate([self._last, scores])[-SIZE:]

    @property
    def rolling(self) -> float:
        """The threshold of the next block."""
        return float(np.quantile(self._last, 1 - self._rate, method="inverted_cdf"))

    def told(self) -> Rolled:
        """Return what both thresholds say of the last blocks."""
        windows, odd, rolled = (sum(column) for column in zip((0, 0, 0), *self._told, strict=True))
        return Rolled(self._view, windows, odd, rolled, self._threshold, self.rolling)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arrays and the rest of what `restore` needs."""
        return {"last": self._last}, {"waiting": [[k, v] for k, v in self._waiting.items()], "told": self._told}

    def restore(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._last = np.array(arrays["last"], np.float32)
        self._waiting = {int(block): list(scores) for block, scores in meta["waiting"]}
        self._told = [(int(n), int(odd), int(rolled)) for n, odd, rolled in meta["told"]]
