"""The one loop that trains every network: seeded, stoppable at any moment, resumed to the same bits.

Whatever is drawn is drawn from (seed, epoch) or (seed, step), never from a generator that runs on, so the step alone
says where the training stands, and a checkpoint needs no state of a generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oddlog.detectors.deep.checkpoints import Checkpoint, fingerprint
from oddlog.detectors.deep.recipes import FEWEST_STEPS, Examples, History, Loss, Recipe, Say
from oddlog.detectors.deep.weights import deterministic, seeded, set_weights, weights_of
from oddlog.detectors.sequences import batches
from oddlog.types import F32, I64

FINAL_SHARE = 0.01  # of the learning rate, with which the last step is taken
SCORED_AT_ONCE = 1_024  # examples of the validation share


def learn(
    network: Callable[[], nn.Module],
    loss: Loss,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    folder: Path | None,
    say: Say | None,
) -> tuple[dict[str, F32], History]:
    """Return the trained weights of a network drawn from the recipe's seed, and how it went; see `train`."""
    with seeded(recipe.seed):
        model = network()
    history = train(model, loss, examples, validation, recipe, folder=folder, say=say)
    return weights_of(model), history


def train(
    model: nn.Module,
    loss: Loss,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    say: Say | None = None,
) -> History:
    """Train `model` in place; it ends with the weights that did best on the validation share.

    Parameters
    ----------
    model : Module
        Holds the weights to begin with.
    loss : callable
        See `Loss`.
    examples, validation : Examples
        What is learned from, and what decides when to stop.
    recipe : Recipe
        How long and how.
    folder : Path, optional
        Where a checkpoint is kept after each validation. One that is there already, of the same recipe and
        examples, is gone on from; one of others is written over.
    say : callable, optional
        Told (step, steps, loss on the validation share).

    Notes
    -----
    A loss that is not a number ends the training; `History.stopped` says so, and the last good weights are kept.

    """
    with deterministic():
        return Training(model, loss, examples, validation, recipe, folder, say).run()


def take_steps(
    model: nn.Module, loss: Loss, examples: Examples, recipe: Recipe, *, held: Callable[[], Tensor] | None = None
) -> int:
    """Take `recipe.steps` steps, no matter how often each example is met, and judge none: a site's part in a round.

    Returns how many were taken.

    Parameters
    ----------
    model : Module
        Trained in place.
    loss : callable
        See `Loss`.
    examples : Examples
        What is learned from.
    recipe : Recipe
        How long and how; a step whose loss is not a number changes nothing and ends it.
    held : callable, optional
        Returns what is added to the loss of each step: what holds the weights to something.

    """
    with deterministic():
        run = Training(model, loss, examples, examples, recipe, None, None)
        run.steps, run.held = recipe.steps, held
        for index in run._ahead():  # noqa: SLF001 - of this file
            if not run._learned(index):  # noqa: SLF001
                break
            run.step += 1
    return run.step


class Training:
    """One run: where it stands, and the way on."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        examples: Examples,
        validation: Examples,
        recipe: Recipe,
        folder: Path | None,
        say: Say | None,
    ) -> None:
        self.model, self.loss, self.examples, self.validation = model, loss, examples, validation
        self.recipe, self.say = recipe, say or (lambda _step, _steps, _loss: None)
        self.adam = torch.optim.Adam(model.parameters(), lr=recipe.rate, fused=True)
        per_epoch = list(_epoch(examples, recipe, 0))
        self.steps = min(recipe.steps, max(FEWEST_STEPS, recipe.epochs * len(per_epoch)))
        self.every = min(max(len(per_epoch), 50), max(1, self.steps // 10))  # steps from validation to validation
        self.step, self.history = 0, History()
        self.kept = weights_of(model)
        self.held: Callable[[], Tensor] | None = None
        self.checkpoint = None if folder is None else Checkpoint(folder, fingerprint(model, examples, recipe))

    def run(self) -> History:
        """Train to the end, from the checkpoint if there is one."""
        if not self._resumed():
            self._judge()
        for index in self._ahead():
            if not self._learned(index):
                self.history.stopped = (
                    f"the loss was not a number in step {self.step + 1}; the weights of step "
                    f"{self.history.best_step} are kept"
                )
                break
            self.step += 1
            if (self.step % self.every == 0 or self.step == self.steps) and not self._judge():
                break
        else:
            self.history.stopped = self.history.stopped or f"all {self.steps} steps were taken"
        set_weights(self.model, self.kept)
        return self.history

    def _ahead(self) -> Iterator[I64]:
        """Return the batches that are still to be learned from."""
        passed, epoch = 0, 0
        while passed < self.steps and not self.history.stopped:
            for index in _epoch(self.examples, self.recipe, epoch):
                passed += 1
                if self.step < passed <= self.steps:
                    yield index
            epoch += 1

    def _learned(self, index: I64) -> bool:
        """Take one step; False where the loss or its gradient is not a number, and nothing is changed."""
        done = self.step / max(1, self.steps - 1)
        self.adam.param_groups[0]["lr"] = self.recipe.rate * (1 - (1 - FINAL_SHARE) * done)
        self.adam.zero_grad()
        weight = torch.from_numpy(self.examples.weight[index].astype(np.float32))
        noise = torch.Generator().manual_seed((self.recipe.seed << 32) + self.step)
        value = (self.loss(self.model, self.examples.load(index), noise) * weight).sum() / weight.sum()
        if self.held is not None:
            value = value + self.held()
        if not math.isfinite(value.item()):
            return False
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        if not math.isfinite(norm.item()):
            return False
        self.adam.step()
        return True

    def _judge(self) -> bool:
        """Weigh the network on the validation share; keep it if it is the best; False when patience is at its end."""
        value = average_loss(self.model, self.loss, self.validation)
        self.say(self.step, self.steps, value)
        history = self.history
        if not history.losses or value < history.best:
            history.losses.append((self.step, value))
            history.best_step, self.kept = self.step, weights_of(self.model)
        else:
            history.losses.append((self.step, value))
        since = sum(step > history.best_step for step, _ in history.losses)
        if not math.isfinite(value):
            history.stopped = (
                f"the loss on the validation share was not a number after step {self.step}; the weights of step "
                f"{history.best_step} are kept"
            )
        elif since >= self.recipe.patience:
            history.stopped = f"{since} validations in a row were no better than step {history.best_step}"
        if self.checkpoint is not None:
            self.checkpoint.write(self)
        return not history.stopped

    def _resumed(self) -> bool:
        return self.checkpoint is not None and self.checkpoint.read(self)


def average_loss(model: nn.Module, loss: Loss, examples: Examples) -> float:
    """Return the weighted mean of the losses, without noise."""
    total = 0.0
    with torch.no_grad():
        for index in batches(examples.length, SCORED_AT_ONCE):
            values = loss(model, examples.load(index), None).double().numpy()
            total += float((values * examples.weight[index]).sum())
    return total / float(examples.weight.sum())


def _epoch(examples: Examples, recipe: Recipe, epoch: int) -> Iterator[I64]:
    """Return the batches of one epoch: of like length, mixed anew within and among each other."""
    draw = np.random.default_rng([recipe.seed, epoch])
    mixed = draw.permutation(len(examples))
    found = [mixed[index] for index in batches(examples.length[mixed], recipe.batch, recipe.cells)]
    for i in draw.permutation(len(found)):
        yield found[i]
