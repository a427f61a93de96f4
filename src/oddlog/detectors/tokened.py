"""What networks share that read a window as its types in order: what a token is, and which windows are alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from oddlog.detectors.sequences import Pieces, alike, distinct_pieces, ended
from oddlog.detectors.trained import Drawn, Trained
from oddlog.features.counts import Columns
from oddlog.types import I64, Context, Windows

if TYPE_CHECKING:
    import torch

MAX_TYPES = 1_024
"""Types a network tells apart; the rest, the rarest, share one slot."""
MAX_WINDOWS, MAX_VALIDATION = 20_000, 2_500
"""Distinct windows that are learned from, and that decide when to stop."""


@dataclass(kw_only=True, eq=False, repr=False)
class Tokened(Trained):
    """Base of networks whose tokens are types, one slot for the rarest and one for unseen ones, and marks behind them.

    Windows alike in their tokens and in whether they are over are learned from, and scored, once.
    """

    reads = frozenset({"template", "order"})
    cut: ClassVar[tuple[int, int]]
    """Events that a network sees at once, and those of them that a later piece of a longer window has seen before."""
    marks: ClassVar[int]
    """Steps of a sequence besides its events."""

    _columns: Columns = field(init=False)

    @abstractmethod
    def _tensors(self, windows: Windows, part: Pieces) -> tuple[Any, ...]:
        """Return the arrays that the loss takes of some pieces."""

    def _arrays(self) -> dict[str, Any]:
        return {"lookup": self._columns.lookup, "row": self._columns.row}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._columns = Columns(arrays["lookup"], arrays["row"])

    @property
    def _end(self) -> int:
        """The token of the end; behind it come other marks."""
        return self._columns.width

    def _alike(self, windows: Windows) -> tuple[I64, I64]:
        """Return the first of the windows alike in tokens and end, and each window's place among them."""
        return alike(self._columns.of(windows.template), windows.offsets, ended(windows).astype(np.int64))

    def _examples(self, windows: Windows, most: int, seed: int) -> Drawn:
        """Return lengths, weights and what loads the tensors of the distinct windows' pieces."""
        import torch  # noqa: PLC0415 - of the extra

        distinct, found, weight = distinct_pieces(windows, *self._alike(windows), most, seed, self.cut)

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            return tuple(torch.from_numpy(array) for array in self._tensors(distinct, found.take(index)))

        return found.length + self.marks, weight, load
