"""Convolutions on message types, by labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from oddlog.detectors.classifying import Classifier
from oddlog.features.counts import Columns, choose_columns
from oddlog.types import F32, I64, Context, Windows

if TYPE_CHECKING:
    from torch import nn

MAX_TYPES = 1_024


class KeyCnn(Classifier):
    """How alike a window's short runs of types are to those of windows labelled anomalous.

    See `classifying.Classifier` for what is learned from and how a window is scored.

    Parameters
    ----------
    embedding, width : int
        Sizes of the network: of a type's vector, and channels of each of the three convolutions.
    rate : float
        Learning rate of the first step (Adam, falling linearly).
    batch, steps : int
        Windows of a step, and steps at most.
    patience : int
        Validations without a better loss after which training ends.
    seed : int, optional
        Of weights, batches and what is left out; without it that of the context.
    checkpoints : path, optional
        A folder in which training leaves checkpoints and goes on from them.
    progress : callable, optional
        Told (step, steps, loss on the validation share).

    Notes
    -----
    Lu, Wei, Li and Wang, "Detecting anomaly in big data system logs using convolutional neural network", DASC 2018,
    section III (doi 10.1109/DASC/PiCom/DataCom/CyberSciTec.2018.00037): a codebook of types ("logkey2vec"), kernels of
    3, 4 and 5 types side by side, leaky ReLU, the highest of each channel, dropout, one dense layer. Departures: one
    log odds in place of two softmax outputs (the same function), masks in place of zeros up to the longest session,
    32 wide in place of 128, both kinds weigh the same. Nothing else differs, so there is no ``paper`` form.

    """

    name = "key-cnn"
    OPTIONS: ClassVar[tuple[str, ...]] = ("embedding", "width")

    def __init__(
        self,
        *,
        embedding: int = 32,
        width: int = 32,
        rate: float = 3e-3,
        batch: int = 64,
        steps: int = 1_000,
        patience: int = 5,
        seed: int | None = None,
        checkpoints: str | Path = "",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.embedding, self.width = embedding, width
        self._train_with(rate, batch, steps, patience, seed, checkpoints, progress)

    def _prepare(self, windows: Windows, context: Context) -> None:
        self._columns = choose_columns(windows, len(context.templates), MAX_TYPES)

    def _tokens(self, windows: Windows) -> I64:
        return self._columns.of(windows.template)

    def _network(self, context: Context) -> Callable[[], nn.Module]:  # noqa: ARG002 - for who reads texts
        from oddlog.detectors.deep.classifiers import KeyCnn as Network  # noqa: PLC0415 - of the extra

        return partial(Network, self._columns.width, self.embedding, self.width)

    def _graph_of(self, weights: dict[str, F32]) -> bytes:
        from oddlog.detectors.deep.classifiers import key_cnn  # noqa: PLC0415 - of the extra

        return key_cnn(weights)

    def _own(self) -> dict[str, Any]:
        return {"lookup": self._columns.lookup, "row": self._columns.row}

    def _take(self, arrays: dict[str, Any]) -> None:
        self._columns = Columns(arrays["lookup"], arrays["row"])
