"""The weights of a network as arrays, and torch made to repeat itself to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from oddlog.types import F32


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
