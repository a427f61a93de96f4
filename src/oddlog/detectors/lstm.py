"""LSTM autoencoder of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oddlog.detectors.reconstruction import Reconstruction
from oddlog.types import F32

if TYPE_CHECKING:
    from torch import nn


@dataclass(kw_only=True, eq=False, repr=False)
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
    top, rate, batch, steps, patience, seed, checkpoints, progress
        As of `reconstruction.Reconstruction`.

    Notes
    -----
    Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", 2016, section 2
    (arXiv 1607.00148). Windows longer than 64 events are restored piece by piece, each from its own summary.

    """

    name = "lstm"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (16, 24, 32, 48, 64),
        "summary": (8, 16, 32),
        "layers": (1, 2),
        "rate": (1e-3, 2e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    width: int = 32
    summary: int = 16
    layers: int = 1
    rate: float = 5e-3

    def _network(self, features: int) -> nn.Module:
        from oddlog.detectors.deep.networks import SequenceAutoencoder  # noqa: PLC0415 - of the extra

        return SequenceAutoencoder(features, self.width, self.summary, self.layers)

    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        from oddlog.detectors.deep import export  # noqa: PLC0415 - of the extra

        return export.sequence_error(weights, self._shares)
