"""LSTM autoencoder of sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from oddlog.detectors.reconstruction import Reconstruction


class LstmAutoencoder(Reconstruction):
    """Error with which an LSTM restores a window's events from a narrow summary of it.

    Each event is a vector of text, level, service, numbers and times (`features.fused`), with one more step for the
    end of a window that is over. An LSTM reads the window, its last state is narrowed to a summary, and a second
    LSTM restores each event from the summary and the events before it. Trained on usual windows (mean squared
    error, Adam, early stopping). An event's score is its mean squared error, features weighted by group; a window's
    is the mean over its steps, its end included.

    Parameters
    ----------
    width, summary, layers : int
        Sizes of the network.
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
    Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", 2016, section 2
    (arXiv 1607.00148). Windows longer than 64 events are restored piece by piece, each from its own summary.

    """

    name: ClassVar[Literal["lstm", "cnn"]] = "lstm"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (16, 24, 32, 48, 64),
        "summary": (8, 16, 32),
        "layers": (1, 2),
        "rate": (1e-3, 2e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    def __init__(
        self,
        *,
        width: int = 32,
        summary: int = 16,
        layers: int = 1,
        rate: float = 5e-3,
        batch: int = 128,
        steps: int = 1_500,
        patience: int = 5,
        top: int = 0,
        seed: int | None = None,
        checkpoints: str | Path = "",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.sizes = {"width": width, "summary": summary, "layers": layers}
        self._train_with(rate, batch, steps, patience, seed, checkpoints, progress)
        self.top = top
