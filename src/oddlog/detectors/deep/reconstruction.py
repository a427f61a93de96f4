"""How the networks that restore windows learn."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from oddlog.detectors.deep.recipes import Batch, Loss
from oddlog.types import F32


def loss_of(shares: F32) -> Loss:
    """Return the loss on sequences [b, t, f], their lengths [b], and the share of each step's loss [b, t].

    `shares` [f] is how much each feature counts.
    """
    counts = torch.from_numpy(shares)

    def loss(model: nn.Module, batch: Batch, _noise: torch.Generator | None) -> Tensor:
        x, lengths, share = batch
        error = ((model(x, lengths) - x) ** 2) @ counts
        return cast("Tensor", (error * share).sum(1))

    return loss


def plain_loss(model: nn.Module, batch: Batch, _noise: torch.Generator | None) -> Tensor:
    """Return the mean squared error [b] of sequences [b, t, f], all steps alike."""
    (x,) = batch
    return cast("Tensor", ((model(x) - x) ** 2).mean((1, 2)))


def dense_loss_of(shares: F32, divergence: float) -> Loss:
    """Return the loss on rows [b, f]; `divergence` weighs how far codes lie from a standard normal."""
    counts = torch.from_numpy(shares)

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        (x,) = batch
        restored, far = model(x, noise)
        return cast("Tensor", ((restored - x) ** 2) @ counts + divergence * far)

    return loss
