"""The one loop that trains every network: seeded, stoppable at any moment, resumed to the same bits.

Whatever is drawn is drawn from (seed, epoch) or (seed, step), never from a generator that runs on, so the step alone
says where the training stands, and a checkpoint needs no state of a generator.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from oddlog.detectors.sequences import batches
from oddlog.types import F32, F64, I64

Batch = tuple[Tensor, ...]
Say = Callable[[int, int, float], None]

CHECKPOINT = "checkpoint.safetensors"
FINAL_SHARE = 0.01  # of the learning rate, with which the last step is taken
FEWEST_STEPS = 300
SCORED_AT_ONCE = 1_024  # examples of the validation share


@dataclass(frozen=True)
class Recipe:
    """How long and how a network learns.

    Attributes
    ----------
    rate : float
        Learning rate of the first step; it falls linearly to 1 % of it.
    batch : int
        Examples of a step at most.
    cells : int
        Of a step at most: its examples x the longest of them.
    steps : int
        Steps of Adam at most. With `cells` the budget of time, counted and not measured, so that the same training
        gives the same network on any machine.
    epochs : int
        Times that each example is looked at, at most (but `FEWEST_STEPS` are always taken).
    patience : int
        Validations without a better loss after which it ends.
    clip : float
        Norm that gradients are cut to.
    seed : int
        Of batches and noise.

    """

    rate: float = 3e-3
    batch: int = 128
    cells: int = 4_096
    steps: int = 2_000
    epochs: int = 200
    patience: int = 5
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """What is learned from.

    Attributes
    ----------
    length : I64 [x]
        Steps of each example.
    weight : F64 [x]
        How much each one's loss counts.
    load : callable
        Takes positions [b], returns the tensors that the loss takes.

    """

    length: I64
    weight: F64
    load: Callable[[I64], Batch]

    def __len__(self) -> int:
        return len(self.length)


Loss = Callable[[nn.Module, Batch, torch.Generator | None], Tensor]
"""Takes network, batch, and noise (None: without any), returns the loss of each example [b]."""


@dataclass
class History:
    """How a training went.

    Attributes
    ----------
    losses : list of (int, float)
        Step and loss on the validation share, the untrained network first.
    best_step : int
        The step whose weights were kept.
    stopped : str
        Why it ended.

    """

    losses: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    stopped: str = ""

    @property
    def best(self) -> float:
        """The lowest loss on the validation share."""
        return dict(self.losses)[self.best_step]

    def summary(self) -> dict[str, Any]:
        """Return what is told about it, as JSON."""
        loss = self.best if self.losses and math.isfinite(self.best) else None
        steps = self.losses[-1][0] if self.losses else 0
        return {"steps": steps, "best_step": self.best_step, "loss": loss, "stopped": self.stopped}


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
        return _Training(model, loss, examples, validation, recipe, folder, say).run()


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
        run = _Training(model, loss, examples, examples, recipe, None, None)
        run.steps, run.held = recipe.steps, held
        for index in run._ahead():  # noqa: SLF001 - of this file
            if not run._learned(index):  # noqa: SLF001
                break
            run.step += 1
    return run.step


class _Training:
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
        self.checkpoint = None if folder is None else Checkpoint(folder, _fingerprint(model, examples, recipe))

    def run(self) -> History:
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


class Checkpoint:
    """Where a training stands, on disk: written aside and renamed, so that it is whole at any moment."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = folder / CHECKPOINT
        self.fingerprint = fingerprint

    def write(self, run: _Training) -> None:
        """Store weights, best weights, what Adam remembers, and the history."""
        arrays: dict[str, Any] = {f"now/{name}": value for name, value in weights_of(run.model).items()}
        arrays |= {f"kept/{name}": value for name, value in run.kept.items()}
        for i, state in run.adam.state_dict()["state"].items():
            arrays |= {f"adam/{i}/{name}": value.numpy() for name, value in state.items()}
        history = {"losses": run.history.losses, "best_step": run.history.best_step, "stopped": run.history.stopped}
        meta = {"fingerprint": self.fingerprint, "step": str(run.step), "history": json.dumps(history)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".aside")
        with aside.open("wb") as file:
            file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, meta))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)

    def read(self, run: _Training) -> bool:
        """Put `run` where the checkpoint stands; False if there is none of this training."""
        if not self.path.is_file():
            return False
        with safe_open(str(self.path), framework="numpy") as file:
            meta = file.metadata() or {}
            if meta.get("fingerprint") != self.fingerprint:
                return False
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        set_weights(run.model, _under("now/", arrays))
        run.kept = _under("kept/", arrays)
        remembered: dict[int, dict[str, Tensor]] = {}
        for name, array in _under("adam/", arrays).items():
            i, part = name.split("/")
            remembered.setdefault(int(i), {})[part] = torch.from_numpy(array.copy())
        run.adam.load_state_dict({"state": remembered, "param_groups": run.adam.state_dict()["param_groups"]})
        history = json.loads(meta["history"])
        run.step = int(meta["step"])
        losses = [(int(step), float(value)) for step, value in history["losses"]]
        run.history = History(losses, history["best_step"], history["stopped"])
        return True


def average_loss(model: nn.Module, loss: Loss, examples: Examples) -> float:
    """Return the weighted mean of the losses, without noise."""
    total = 0.0
    with torch.no_grad():
        for index in batches(examples.length, SCORED_AT_ONCE):
            values = loss(model, examples.load(index), None).double().numpy()
            total += float((values * examples.weight[index]).sum())
    return total / float(examples.weight.sum())


def weights_of(model: nn.Module) -> dict[str, F32]:
    """Return a copy of the weights, by name."""
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters()}


def set_weights(model: nn.Module, weights: dict[str, F32]) -> None:
    """Write weights into a network."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(np.array(weights[name])))


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread (steps this small lose more by waiting than they gain) and only operators that repeat to the bit."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's signature
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw initial weights from `seed`, and leave its own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _epoch(examples: Examples, recipe: Recipe, epoch: int) -> Iterator[I64]:
    """Return the batches of one epoch: of like length, mixed anew within and among each other."""
    draw = np.random.default_rng([recipe.seed, epoch])
    mixed = draw.permutation(len(examples))
    found = [mixed[index] for index in batches(examples.length[mixed], recipe.batch, recipe.cells)]
    for i in draw.permutation(len(found)):
        yield found[i]


def _fingerprint(model: nn.Module, examples: Examples, recipe: Recipe) -> str:
    """Return what makes one training another: recipe, initial weights, and the examples (a sample of their content)."""
    digest = sha256(repr(recipe).encode())
    for name, value in weights_of(model).items():
        digest.update(name.encode() + value.tobytes())
    digest.update(examples.length.tobytes() + examples.weight.tobytes())
    some = np.unique(np.linspace(0, len(examples) - 1, 64).astype(np.int64))
    for tensor in (part for index in batches(examples.length[some]) for part in examples.load(some[index])):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
