"""Convolutional autoencoder of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oddlog.detectors.reconstruction import Reconstruction
from oddlog.types import F32

if TYPE_CHECKING:
    from torch import nn


@dataclass(kw_only=True, eq=False, repr=False)
class ConvolutionalAutoencoder(Reconstruction):
    """Error with which convolutions along time restore a window's events from a summary a quarter as long.

    The same vectors, error, training and scores as those of `lstm.LstmAutoencoder`. Three convolutions of five
    steps (features - width - width - summary) halve the sequence twice, three more restore it; what lies behind a
    window's end is kept at zero.

    Parameters
    ----------
    width, summary : int
        Channels of the hidden layers, and of the summary.
    top, rate, batch, steps, patience, seed, checkpoints, progress
        As of `reconstruction.Reconstruction`.

    Notes
    -----
    Masci, Meier, Ciresan and Schmidhuber, "Stacked convolutional auto-encoders for hierarchical feature
    extraction", ICANN 2011, section 3 (doi 10.1007/978-3-642-21735-7_7), in one dimension and untied.

    """

    name = "cnn"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (16, 24, 32, 48, 64),
        "summary": (4, 8, 16),
        "rate": (1e-3, 2e-3, 3e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    width: int = 32
    summary: int = 8

    def _network(self, features: int) -> nn.Module:
        from oddlog.detectors.deep.networks import ConvolutionalAutoencoder as Network  # noqa: PLC0415 - of the extra

        return Network(features, self.width, self.summary)

    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        from oddlog.detectors.deep import export  # noqa: PLC0415 - of the extra

        return export.convolution_error(weights, self._shares)
