"""What the detectors that PyTorch trains share: who is learned from, how long, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oddlog.detectors.sequences import held_back
from oddlog.detectors.usual import usual_only
from oddlog.types import I8, Context, Windows

if TYPE_CHECKING:
    from oddlog.detectors.deep.training import Recipe

TRAINING = ("rate", "batch", "steps", "patience", "seed")
"""What of a network's options is about its training, kept in the model."""


class Trained:
    """Base of the networks: they are fitted once, stop early on a share of the time, and leave checkpoints."""

    needs: Literal["usual", "labels"] = "usual"
    calibrates: Literal["folds", "holdout"] = "holdout"
    requires: tuple[str, ...] = ("torch", "onnx")

    name: ClassVar[str]
    training: dict[str, Any]
    """How training went: steps taken, the best one, its loss, why it ended."""

    def _train_with(
        self,
        rate: float,
        batch: int,
        steps: int,
        patience: int,
        seed: int | None,
        checkpoints: str | Path,
        progress: Callable[[int, int, float], None] | None,
    ) -> None:
        """Keep the options that every network takes."""
        self.rate, self.batch, self.steps, self.patience = rate, batch, steps, patience
        self.seed = seed
        self.checkpoints = checkpoints
        self.progress = progress

    @staticmethod
    def _learned_and_judged(windows: Windows, labels: I8 | None, validation: Windows | None) -> tuple[Windows, Windows]:
        """Return the usual windows to learn from, and `validation`, or the last 15 % of the time, to stop by."""
        usual = usual_only(windows, labels)
        if validation is not None and len(validation):
            return usual, validation
        learned, judged = held_back(usual)
        return usual.take(learned), usual.take(judged)

    def _seed_in(self, context: Context) -> int:
        return context.seed if self.seed is None else self.seed

    def _recipe(self, seed: int) -> Recipe:
        from oddlog.detectors.deep.training import Recipe  # noqa: PLC0415 - of the extra

        return Recipe(rate=self.rate, batch=self.batch, steps=self.steps, patience=self.patience, seed=seed)

    @property
    def _folder(self) -> Path | None:
        """Where checkpoints are left, if anywhere."""
        return Path(self.checkpoints) / self.name if self.checkpoints else None

    def _options(self, *names: str) -> dict[str, Any]:
        """Return the options called `names` and those of training, as the model keeps them."""
        return {name: getattr(self, name) for name in (*names, *TRAINING)}
