"""Train the networks that restore sequences of event vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from oddlog.detectors.deep import export
from oddlog.detectors.deep.networks import ConvolutionalAutoencoder, DenseAutoencoder, SequenceAutoencoder
from oddlog.detectors.deep.training import Batch, Examples, History, Recipe, Say, seeded, train, weights_of
from oddlog.types import F32

Kind = Literal["lstm", "cnn"]


def network(kind: Kind, features: int, sizes: Mapping[str, int]) -> nn.Module:
    """Return a network with weights as torch draws them."""
    if kind == "lstm":
        return SequenceAutoencoder(features, sizes["width"], sizes["summary"], sizes["layers"])
    return ConvolutionalAutoencoder(features, sizes["width"], sizes["summary"])


def learn(
    kind: Kind,
    sizes: Mapping[str, int],
    shares: F32,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    folder: Path | None,
    say: Say | None,
) -> tuple[dict[str, F32], History]:
    """Return trained weights.

    Examples load sequences [b, t, f], their lengths [b], and the share of each step's loss [b, t]; `shares` [f] is
    how much each feature counts.
    """
    counts = torch.from_numpy(shares)

    def loss(model: nn.Module, batch: Batch, _noise: torch.Generator | None) -> Tensor:
        x, lengths, share = batch
        error = ((model(x, lengths) - x) ** 2) @ counts
        return cast("Tensor", (error * share).sum(1))

    with seeded(recipe.seed):
        model = network(kind, len(shares), sizes)
    history = train(model, loss, examples, validation, recipe, folder=folder, say=say)
    return weights_of(model), history


def graph(kind: Kind, weights: dict[str, F32], shares: F32) -> bytes:
    """Return the graph that gives the error of each step."""
    return export.sequence_error(weights, shares) if kind == "lstm" else export.convolution_error(weights, shares)


def learn_dense(
    width: int,
    code: int,
    divergence: float,
    shares: F32,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    folder: Path | None,
    say: Say | None,
) -> tuple[dict[str, F32], History]:
    """Return trained weights; examples load rows [b, f]. A `divergence` of 0 makes a plain autoencoder."""
    counts = torch.from_numpy(shares)

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        (x,) = batch
        restored, far = model(x, noise)
        return cast("Tensor", ((restored - x) ** 2) @ counts + divergence * far)

    with seeded(recipe.seed):
        model = DenseAutoencoder(len(shares), width, code, variational=divergence > 0)
    history = train(model, loss, examples, validation, recipe, folder=folder, say=say)
    return weights_of(model), history
