"""Where a training stands, on disk: whoever was killed goes on to the same bits."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from oddlog.detectors.deep.recipes import Examples, History, Recipe
from oddlog.detectors.deep.weights import set_weights, weights_of
from oddlog.detectors.sequences import batches

if TYPE_CHECKING:
    from oddlog.detectors.deep.training import Training

CHECKPOINT = "checkpoint.safetensors"


class Checkpoint:
    """Where a training stands, on disk: written aside and renamed, so that it is whole at any moment."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = folder / CHECKPOINT
        self.fingerprint = fingerprint

    def write(self, run: Training) -> None:
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

    def read(self, run: Training) -> bool:
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


def fingerprint(model: nn.Module, examples: Examples, recipe: Recipe) -> str:
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
