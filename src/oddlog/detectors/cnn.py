"""Convolutional autoencoder of sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from oddlog.detectors.reconstruction import Reconstruction


class ConvolutionalAutoencoder(Reconstruction):
    """Error with which convolutions along time restore a window's events from a summary a quarter as long.

    The same vectors, error, training and scores as those of `lstm.LstmAutoencoder`. Three convolutions of five
    steps (features - width - width - summary) halve the sequence twice, three more restore it; what lies behind a
    window's end is kept at zero.

    Parameters
    ----------
    width, summary : int
        Channels of the hidden layers, and of the summary.
    rate : float
        Learning rate of the first step (Adam, falling linearly).
    batch, steps : int
        Windows of a step, and steps at most.
    patience : int
        Validations without a better loss after which training ends.
    top : int
        How many of a window's worst steps make its score, the mean of their errors; 0: all.
    seed : int, optional
        Of weights and batches; without it that of the context.
    checkpoints : path, optional
        A folder in which training leaves checkpoints and goes on from them.
    progress : callable, optional
        Told (step, steps, loss on the validation share).

    Notes
    -----
    Masci, Meier, Ciresan and Schmidhuber, "Stacked convolutional auto-encoders for hierarchical feature
    extraction", ICANN 2011, section 3 (doi 10.1007/978-3-642-21735-7_7), in one dimension and untied.

    """

    name: ClassVar[Literal["lstm", "cnn"]] = "cnn"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (16, 24, 32, 48, 64),
        "summary": (4, 8, 16),
        "rate": (1e-3, 2e-3, 3e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    def __init__(
        self,
        *,
        width: int = 32,
        summary: int = 8,
        rate: float = 3e-3,
        batch: int = 128,
        steps: int = 1_500,
        patience: int = 5,
        top: int = 0,
        seed: int | None = None,
        checkpoints: str | Path = "",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.sizes = {"width": width, "summary": summary}
        self._train_with(rate, batch, steps, patience, seed, checkpoints, progress)
        self.top = top
