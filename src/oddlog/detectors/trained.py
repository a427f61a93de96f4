"""What the detectors that PyTorch trains share: who is learned from, how long, what is told of it, what is kept.

::

    fit ──► usual, validation ──► _learn: what the features are, then _train ──► weights ──► graphs (ONNX)
    score ◄── _run ◄───────────────────────────────────────────────────────────────────────┘
    state = _arrays + weights, options + training + _meta, graphs
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import onnxruntime as ort

from oddlog.detectors import runtime
from oddlog.detectors.sequences import held_back
from oddlog.detectors.usual import usual_only
from oddlog.errors import needing
from oddlog.types import F32, F64, I8, I64, Context, State, Windows

if TYPE_CHECKING:
    from torch import nn

    from oddlog.detectors.deep.recipes import History, Loss, Recipe

TRAINING = ("rate", "batch", "steps", "patience", "seed")
"""What of a network's options is about its training, kept in the model."""

Drawn = tuple[I64, F64, Callable[[I64], Any]]
"""Of examples: how many steps each has [x], how much it counts [x], and what loads the tensors of some."""


@dataclass(kw_only=True, eq=False, repr=False)
class Trained:
    """Base of the networks: they are fitted once, stop early on a share of the time, and leave checkpoints.

    Parameters
    ----------
    rate : float
        Learning rate of the first step (Adam, falling linearly).
    batch, steps : int
        Windows (histories, texts) of a step, and steps at most.
    patience : int
        Validations without a better loss after which training ends.
    seed : int, optional
        Of weights, batches and noise; without it that of the context.
    checkpoints : path, optional
        A folder in which training leaves checkpoints and goes on from them.
    progress : callable, optional
        Told (step, steps, loss on the validation share).

    """

    name: ClassVar[str]
    reads: ClassVar[frozenset[str]]
    needs: ClassVar[Literal["usual", "labels"]] = "usual"
    calibrates: ClassVar[Literal["folds", "holdout"]] = "holdout"
    requires: ClassVar[tuple[str, ...]] = ("torch", "onnx")
    prefix: ClassVar[str] = "weights."
    """What weights are called by in the model; the first networks have none."""

    rate: float = 3e-3
    batch: int = 128
    steps: int = 1_000
    patience: int = 5
    seed: int | None = None
    checkpoints: str | Path = ""
    progress: Callable[[int, int, float], None] | None = None

    training: dict[str, Any] = field(init=False)
    """How training went: steps taken, the best one, its loss, why it ended."""
    _weights: dict[str, F32] = field(init=False)
    _graphs: dict[str, bytes] = field(init=False)

    def fit(
        self, windows: Windows, context: Context, labels: I8 | None = None, *, validation: Windows | None = None
    ) -> Self:
        """Train on usual windows; `validation`, or the last 15 % of the time, decides when to stop.

        Raises
        ------
        MissingExtraError
            Without PyTorch or onnx.
        TooLittleDataError
            Without a usual window.

        """
        self._require_extra()
        usual = usual_only(windows, labels)
        if validation is None or not len(validation):
            learned, judged = held_back(usual)
            usual, validation = usual.take(learned), usual.take(judged)
        self._learn(usual, validation, context, self._seed_in(context))
        return self

    @abstractmethod
    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        """Learn what the features are, `_train`, and draw the graphs."""

    def _arrays(self) -> dict[str, Any]:
        """Return what is kept besides weights."""
        return {}

    def _meta(self) -> dict[str, Any]:
        """Return what is told besides options."""
        return {}

    @abstractmethod
    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:
        """Take over what `_arrays` and `_meta` returned; other arrays are weights."""

    def state(self) -> State:
        """Return the weights, what the features are, and the graphs derived from the weights."""
        weights = {f"{self.prefix}{name}": value for name, value in self._weights.items()}
        meta = {**self._options(), "training": self.training, **self._meta()}
        return State({**self._arrays(), **weights}, meta, dict(self._graphs))

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:
        """Rebuild a fitted detector; needs neither PyTorch nor onnx."""
        known = {one.name for one in fields(cls) if one.init}
        self = cls(**{name: value for name, value in state.meta.items() if name in known})
        self._take(state.arrays, state.meta, context)
        own = self._arrays()
        self._weights = {name.removeprefix(cls.prefix): a for name, a in state.arrays.items() if name not in own}
        self.training = state.meta["training"]
        self._graphs = dict(state.graphs)
        return self

    def _require_extra(self) -> None:
        with needing(f"The detector {self.name}", "train"):
            for module in ("export", "training"):
                import_module(f"oddlog.detectors.deep.{module}")

    def _train(self, network: Callable[[], nn.Module], loss: Loss, usual: Drawn, validation: Drawn, seed: int) -> None:
        """Train what `network` makes on examples, and keep its weights and how it went."""
        from oddlog.detectors.deep import recipes, training  # noqa: PLC0415 - of the extra

        taught, judged = recipes.Examples(*usual), recipes.Examples(*validation)
        recipe, folder = self._recipe(seed), self._folder
        self._weights, history = training.learn(network, loss, taught, judged, recipe, folder=folder, say=self.progress)
        self._told(history)

    def _told(self, history: History) -> None:
        self.training = history.summary()

    def _draw(self, graphs: Mapping[str, bytes]) -> None:
        """Take these graphs in place of those of an earlier fit."""
        self._graphs = dict(graphs)
        self.__dict__.pop("_sessions", None)

    def _run(self, graph: str, feed: Mapping[str, Any]) -> list[Any]:
        """Return what a graph makes of its inputs."""
        if graph not in self._sessions:
            self._sessions[graph] = runtime.session(self._graphs[graph])
        found: list[Any] = self._sessions[graph].run(None, dict(feed))
        return found

    @cached_property
    def _sessions(self) -> dict[str, ort.InferenceSession]:
        return {}

    def _seed_in(self, context: Context) -> int:
        return context.seed if self.seed is None else self.seed

    def _recipe(self, seed: int) -> Recipe:
        from oddlog.detectors.deep.recipes import Recipe  # noqa: PLC0415 - of the extra

        return Recipe(rate=self.rate, batch=self.batch, steps=self.steps, patience=self.patience, seed=seed)

    @property
    def _folder(self) -> Path | None:
        """Where checkpoints are left, if anywhere."""
        return Path(self.checkpoints) / self.name if self.checkpoints else None

    def _options(self) -> dict[str, Any]:
        """Return the options as the model keeps them: its own, then those of training."""
        common = {one.name for one in fields(Trained)}
        own = (one.name for one in fields(self) if one.init and one.name not in common)
        return {name: getattr(self, name) for name in (*own, *TRAINING)}
