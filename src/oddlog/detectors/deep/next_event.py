"""Train the network that foretells the next event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from oddlog.detectors.deep.training import Batch, Examples, History, Recipe, Say, seeded, train, weights_of
from oddlog.types import F32

UNSEEN_SHARE = 0.02
"""Of the events that are read, this share is taken for unseen while training: the network learns to go on after one."""


def learn(
    network: Callable[[], nn.Module],
    unseen: int | None,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    folder: Path | None,
    say: Say | None,
) -> tuple[dict[str, F32], History]:
    """Return trained weights.

    Examples load tokens [b, t], targets [b, t], and the share of each step's loss [b, t]; `unseen` is the token that
    some events are taken for.
    """
    with seeded(recipe.seed):
        model = network()

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        tokens, targets, share = batch
        if noise is not None and unseen is not None:
            lost = torch.rand(tokens.shape, generator=noise) < UNSEEN_SHARE
            tokens = torch.where(lost, unseen, tokens)
        log_p = model(tokens).gather(2, targets.unsqueeze(2)).squeeze(2)
        return cast("Tensor", -(log_p * share).sum(1))

    history = train(model, loss, examples, validation, recipe, folder=folder, say=say)
    return weights_of(model), history
