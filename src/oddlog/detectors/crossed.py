"""Several networks in place of one: each has not seen a share of the usual windows, and tells of it how they score.

::

    blocks of time   0 1 2 0 1 2 0 1 2 …        folds = 3
    network 0        . # # . # # . # #          learns from #, scores .
    network 1        # . # # . # # . #
    network 2        # # . # # . # # .

    out of fold: every usual window, scored by the network that has not seen it      a new window: the mean of all three
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from oddlog import plugins
from oddlog.detectors.trained import Trained
from oddlog.detectors.usual import usual_only
from oddlog.errors import ConfigError
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows

BLOCKS = 10
"""Blocks of time in each fold: with fewer, a fold is a time of its own, and types that only it holds are unknown to the
network that scores it; with very many, its neighbours have been seen."""


class Crossed:
    """Mean score of networks of one kind, each learned from all usual windows but its share of blocks of time.

    A network that is fitted once is calibrated on the last 15 % of the usual windows, often too few for the rate of
    false alarms that is asked for. Here every usual window has a score of a network that has not seen it
    (`out_of_fold`), at the price of `folds` networks to train and to ask.

    Parameters
    ----------
    of : str
        Which network: one that learns without labels and is otherwise calibrated on a share held out.
    folds : int
        How many, 2 at least.
    options : mapping, optional
        Go to each network.
    steps : int, optional
        The same for this one.
    seed : int, optional
        Of all; without it that of the context.
    checkpoints : path, optional
        A folder in which training leaves checkpoints and goes on from them.
    progress : callable, optional
        Told (step, steps, loss on the validation share) of each network.

    Notes
    -----
    After the cross-conformal predictors of Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
    Intelligence 74, 2015 (doi 10.1007/s10472-013-9368-4), with a fitted tail in place of ranks. The mean of several
    networks swings less than one, so that fewer usual windows are odd than asked for; blocks stand near each other in
    time, so that more are. What that comes to is measured in docs/detectors.md.

    """

    name = "crossed"
    reads = frozenset({"template", "order", "time", "level", "service", "numbers", "text"})
    needs: Literal["usual", "labels"] = "usual"
    calibrates = "crossed"
    requires: tuple[str, ...] = ("torch", "onnx")

    training: dict[str, Any]
    out_of_fold: F64  # [w] scores of the windows that were learned from, by networks that had not seen them
    _parts: list[Any]

    def __init__(
        self,
        *,
        of: str = "next-event",
        folds: int = 3,
        options: Mapping[str, Any] | None = None,
        steps: int | None = None,
        seed: int | None = None,
        checkpoints: str | Path = "",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        if folds < 2:  # noqa: PLR2004 - of one nothing is held out
            raise ConfigError(f"'crossed' takes 2 folds or more, not {folds}.", "Try: folds = 3")
        kind = plugins.load("oddlog.detectors", of)
        if not (isinstance(kind, type) and issubclass(kind, Trained)) or kind.needs != "usual":
            raise ConfigError(
                f"'{of}' is no network that learns without labels.", "Try: of = 'next-event', lstm, vae, logbert"
            )
        self.of, self.folds, self.steps, self.seed = of, folds, steps, seed
        self.options = {**(options or {}), **({} if steps is None else {"steps": steps})}
        self.checkpoints, self.progress = checkpoints, progress

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,
    ) -> Self:
        """Train the networks; `validation`, or the last 15 % of what each learns from, decides when it stops.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.
        TooLittleDataError
            Without a usual window.

        """
        usual = usual_only(windows, labels)
        fold = interleaved(usual, self.folds)
        self.out_of_fold = np.full(len(usual), np.nan)
        self._parts = []
        for i in range(self.folds):
            held = fold == i
            learned = usual.take(~held) if not held.all() else usual
            part = self._new(i, context).fit(learned, context, validation=validation)
            self._parts.append(part)
            if held.any() and not held.all():
                self.out_of_fold[held] = part.score(usual.take(held)).window
        self.training = self._parts[0].training
        return self

    def _new(self, i: int, context: Context) -> Any:
        told = {"seed": context.seed if self.seed is None else self.seed, "progress": self.progress}
        folder = str(Path(self.checkpoints) / f"{self.of}-{i}") if self.checkpoints else ""
        return plugins.load("oddlog.detectors", self.of)(**{**told, "checkpoints": folder, **self.options})

    def score(self, windows: Windows) -> Scores:
        """Return the mean of what the networks say of windows and events."""
        said = [part.score(windows) for part in self._parts]
        window, event = np.stack([one.window for one in said]), np.stack([one.event for one in said])
        return Scores(window.mean(0), event.mean(0))

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that also knows the texts of types unseen by the model, where the networks read any."""
        told = copy.copy(self)
        told._parts = [  # noqa: SLF001 - of the same class
            part.with_texts(texts) if hasattr(part, "with_texts") else part for part in self._parts
        ]
        return told

    def state(self) -> State:
        """Return the networks, each under its number."""
        states = [part.state() for part in self._parts]
        arrays = {f"{i}.{name}": array for i, one in enumerate(states) for name, array in one.arrays.items()}
        graphs = {f"{i}.{name}": graph for i, one in enumerate(states) for name, graph in one.graphs.items()}
        options = json.loads(json.dumps(self.options))
        meta = {"of": self.of, "folds": self.folds, "options": options, "steps": self.steps, "seed": self.seed}
        return State(arrays, {**meta, "parts": [dict(one.meta) for one in states]}, graphs)

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        meta = dict(state.meta)
        parts = meta.pop("parts")
        self = cls(**meta)
        kind = plugins.load("oddlog.detectors", self.of)
        self._parts = [
            kind.from_state(State(_under(f"{i}.", state.arrays), part, _under(f"{i}.", state.graphs)), context)
            for i, part in enumerate(parts)
        ]
        self.training = self._parts[0].training
        self.out_of_fold = np.empty(0)
        return self


def interleaved(windows: Windows, folds: int) -> I64:
    """Return the fold of each window [w]: blocks of time, each fold's scattered over all of it."""
    order = np.lexsort((windows.end, windows.start))
    block = np.arange(len(order)) * min(folds * BLOCKS, max(len(order), 1)) // max(len(order), 1)
    fold = np.empty(len(order), np.int64)
    fold[order] = block % folds
    return fold


def _under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): one for name, one in named.items() if name.startswith(prefix)}
