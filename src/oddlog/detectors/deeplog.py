"""DeepLog: the next message type foretold, and numbers out of range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from oddlog.detectors.ranked import Ranked
from oddlog.detectors.usual import usual_only
from oddlog.detectors.values import ParameterValues
from oddlog.types import I8, Context, Scores, State, Windows

if TYPE_CHECKING:
    from torch import nn

NATS = float(np.log(10))
"""-log10 p x this is -ln p: ranges and the network then speak of the same thing."""
CONFIDENCE = 3.0
"""-log10 p beyond which a value is odd to the paper: outside of the 99.9 % interval, the widest that it tries."""


@dataclass(kw_only=True, eq=False, repr=False)
class DeepLog(Ranked):
    """DeepLog: how little what comes next was expected, or how far a number is out of range, whichever is more.

    See `ranked.Ranked` for the parameters.

    Notes
    -----
    Du, Li, Zheng and Srikumar, "DeepLog: Anomaly detection and diagnosis from system logs through deep learning",
    CCS 2017 (doi 10.1145/3133956.3134015). Its two models:

    - Message types: LSTM of 2 layers of 64, the last h = 10 types in, the next one out, usual if it is one of the g = 9
      likeliest. Ours differs: a learned embedding in place of one-hot, whole windows in place of the last h, marks of
      begin and end, the likelihood in place of the rank (without the end, a session that was cut off looks usual).
      ``paper=True`` keeps all four as published. Where the paper is silent, on the first h events of a session: their
      shorter history is looked at.
    - Parameter values: there an LSTM for each message type foretells its next vector of values, and an error outside of
      a high confidence interval of validation errors (taken as normal) is odd. Here, also with ``paper=True``, ranges
      for each type and number (`values.ParameterValues`) stand in for these networks: their history runs on from
      session to session, so that the score of a window would hang on what was scored before it, and most types have
      too few values to train one. -ln p of a value is compared with that of a type, and with ``paper=True`` a value's
      score is above 1 outside of the 99.9 % interval. Only where logs hold numbers.
    - Workflows and updates by answers are the whole tool's (`explain`, `feedback`).

    """

    name = "deeplog"
    reads = frozenset({"template", "order", "numbers"})

    _values: ParameterValues | None = field(init=False, default=None)

    def fit(
        self, windows: Windows, context: Context, labels: I8 | None = None, *, validation: Windows | None = None
    ) -> Self:
        """Train the network on usual windows, see `trained.Trained`, and learn the usual ranges of numbers."""
        super().fit(windows, context, labels, validation=validation)
        usual = usual_only(windows, labels)
        held = bool(context.numbers) and bool(np.isfinite(usual.numbers).any())
        self._values = ParameterValues().fit(usual, context) if held else None
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the higher one of the surprise at types and at numbers, of windows and events."""
        types = super().score(windows)
        if self._values is None:
            return types
        numbers, unit = self._values.score(windows), 1 / CONFIDENCE if self.paper else NATS
        return Scores(
            np.fmax(types.window, numbers.window * unit), np.fmax(types.event, numbers.event * np.float32(unit))
        )

    def _arrays(self) -> dict[str, Any]:
        values = {} if self._values is None else self._values.state().arrays
        return {**super()._arrays(), **{f"values.{name}": array for name, array in values.items()}}

    def _meta(self) -> dict[str, Any]:
        return {} if self._values is None else {"values": dict(self._values.state().meta)}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:
        super()._take(arrays, meta, context)
        if "values" in meta:
            mine = {name[7:]: array for name, array in arrays.items() if name.startswith("values.")}
            self._values = ParameterValues.from_state(State(mine, meta["values"]), context)

    def _network(self, context: Context) -> Callable[[], nn.Module]:
        if not self.paper:
            return super()._network(context)
        from oddlog.detectors.deep.networks import NextEvent  # noqa: PLC0415 - of the extra

        one_hot: Any = np.eye(self._begin + 1, dtype=np.float32)
        return partial(NextEvent, self._begin + 1, self._begin, 0, self.width, self.layers, vectors=one_hot)
