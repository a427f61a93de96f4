"""Convolutions on message types, by labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from oddlog.detectors.classifying import Classifier
from oddlog.features.counts import Columns, choose_columns
from oddlog.types import F32, I64, Context, Windows

if TYPE_CHECKING:
    from torch import nn

MAX_TYPES = 1_024


@dataclass(kw_only=True, eq=False, repr=False)
class KeyCnn(Classifier):
    """How alike a window's short runs of types are to those of windows labelled anomalous.

    See `classifying.Classifier` for what is learned from and how a window is scored.

    Parameters
    ----------
    embedding, width : int
        Sizes of the network: of a type's vector, and channels of each of the three convolutions.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Lu, Wei, Li and Wang, "Detecting anomaly in big data system logs using convolutional neural network", DASC 2018
    (doi 10.1109/DASC/PiCom/DataCom/CyberSciTec.2018.00037): a codebook of types ("logkey2vec"), kernels of
    3, 4 and 5 types side by side, leaky ReLU, the highest of each channel, dropout, one dense layer. Departures: one
    log odds in place of two softmax outputs (the same function), masks in place of zeros up to the longest session,
    32 wide in place of 128, both kinds weigh the same. Nothing else differs, so there is no ``paper`` form.

    """

    name = "key-cnn"
    embedding: int = 32
    width: int = 32

    _columns: Columns = field(init=False)

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

    def _arrays(self) -> dict[str, Any]:
        return {"lookup": self._columns.lookup, "row": self._columns.row}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._columns = Columns(arrays["lookup"], arrays["row"])
