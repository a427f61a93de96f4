"""What a training is told: how long, from which examples, by which loss; and what it tells of itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from oddlog.types import F64, I64

Batch = tuple[Tensor, ...]
Say = Callable[[int, int, float], None]

FEWEST_STEPS = 300


@dataclass(frozen=True)
class Recipe:
    """How long and how a network learns.

    Attributes
    ----------
    rate : float
        Learning rate of the first step; it falls linearly to 1 % of it.
    batch : int
        Examples of a step at most.
    cells : int
        Of a step at most: its examples x the longest of them.
    steps : int
        Steps of Adam at most. With `cells` the budget of time, counted and not measured, so that the same training
        gives the same network on any machine.
    epochs : int
        Times that each example is looked at, at most (but `FEWEST_STEPS` are always taken).
    patience : int
        Validations without a better loss after which it ends.
    clip : float
        Norm that gradients are cut to.
    seed : int
        Of batches and noise.

    """

    rate: float = 3e-3
    batch: int = 128
    cells: int = 4_096
    steps: int = 2_000
    epochs: int = 200
    patience: int = 5
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """What is learned from.

    Attributes
    ----------
    length : I64 [x]
        Steps of each example.
    weight : F64 [x]
        How much each one's loss counts.
    load : callable
        Takes positions [b], returns the tensors that the loss takes.

    """

    length: I64
    weight: F64
    load: Callable[[I64], Batch]

    def __len__(self) -> int:
        return len(self.length)


Loss = Callable[[nn.Module, Batch, torch.Generator | None], Tensor]
"""Takes network, batch, and noise (None: without any), returns the loss of each example [b]."""


@dataclass
class History:
    """How a training went.

    Attributes
    ----------
    losses : list of (int, float)
        Step and loss on the validation share, the untrained network first.
    best_step : int
        The step whose weights were kept.
    stopped : str
        Why it ended.

    """

    losses: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    stopped: str = ""

    @property
    def best(self) -> float:
        """The lowest loss on the validation share."""
        return dict(self.losses)[self.best_step]

    def summary(self) -> dict[str, Any]:
        """Return what is told about it, as JSON."""
        loss = self.best if self.losses and math.isfinite(self.best) else None
        steps = self.losses[-1][0] if self.losses else 0
        return {"steps": steps, "best_step": self.best_step, "loss": loss, "stopped": self.stopped}
