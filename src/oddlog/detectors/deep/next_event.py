"""How the network that foretells the next event learns."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from oddlog.detectors.deep.recipes import Batch, Loss

UNSEEN_SHARE = 0.02
"""Of the events that are read, this share is taken for unseen while training: the network learns to go on after one."""


def loss_of(unseen: int | None) -> Loss:
    """Return the loss on tokens [b, t], targets [b, t], and the share of each step's loss [b, t].

    `unseen` is the token that some events are taken for; None: none are.
    """

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        tokens, targets, share = batch
        if noise is not None and unseen is not None:
            lost = torch.rand(tokens.shape, generator=noise) < UNSEEN_SHARE
            tokens = torch.where(lost, unseen, tokens)
        log_p = model(tokens).gather(2, targets.unsqueeze(2)).squeeze(2)
        return cast("Tensor", -(log_p * share).sum(1))

    return loss
