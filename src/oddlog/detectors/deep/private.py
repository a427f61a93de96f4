"""Train the denoising autoencoder so that no single window can be told from its weights (DP-SGD).

Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1 (doi 10.1145/2976749.2978318): each step
draws windows independently of each other, cuts the gradient of each to one length, sums them and adds Gaussian noise.

The gradient of a linear layer for one window is the product of what goes in and of the slope behind it, so its length
is known without it (Goodfellow, "Efficient per-example gradient computations", arXiv 1510.01799, section 4), and a step
costs what one without privacy costs; a test holds it against Opacus' gradients per sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import gelu

from oddlog.detectors.deep.denoising import Recipe, one_thread
from oddlog.types import F32, F64


class Draws(Protocol):
    """A stream of numbers that nobody else can draw; a generator for simulations is none."""

    def uniform(self, shape: int) -> F64:
        """Return numbers in [0, 1)."""
        ...

    def normal(self, shape: tuple[int, ...]) -> F64:
        """Return standard normal numbers."""
        ...


@dataclass(frozen=True)
class Guard:
    """How windows are hidden.

    Attributes
    ----------
    rate : float
        Chance of each window to be in a step.
    clip : float
        Length that each window's gradient is cut to.
    noise : float
        Standard deviation of the noise, in `clip`.
    expected : float
        Windows in a step, on average; public, as `rate` is.
    draw : Draws
        Of windows and noise; a secret of the site, or the noise could be taken off.

    """

    rate: float
    clip: float
    noise: float
    expected: float
    draw: Draws


def train(x: F32, recipe: Recipe, guard: Guard, begin: dict[str, F32]) -> dict[str, F32]:
    """Return weights after `recipe.steps` steps on windows [w, f], from `begin`; see `denoising.train` for both."""
    draw, names = guard.draw, sorted(begin)
    weights = {name: torch.from_numpy(begin[name].copy()).requires_grad_() for name in names}
    adam = torch.optim.Adam(list(weights.values()), lr=recipe.rate)
    rows = torch.from_numpy(x)
    with one_thread():
        for step in range(recipe.steps):
            done = step / max(1, recipe.steps - 1)
            adam.param_groups[0]["lr"] = recipe.rate + (recipe.final_rate - recipe.rate) * done
            clean = rows[torch.from_numpy(draw.uniform(len(rows)) < guard.rate)]
            noisy = clean + recipe.noise * torch.from_numpy(draw.normal(tuple(clean.shape))).float()
            summed, _ = clipped_sum(weights, noisy, clean, guard.clip)
            for name, hidden in noised({name: summed[name] for name in names}, guard).items():
                weights[name].grad = (hidden / max(guard.expected, 1.0)).float()
            adam.step()
    return {name: value.detach().numpy().copy() for name, value in weights.items()}


def noised(summed: dict[str, Tensor], guard: Guard) -> dict[str, Tensor]:
    """Return sums of cut gradients with noise, in float64."""
    spread = guard.noise * guard.clip
    return {
        name: one.double() + spread * torch.from_numpy(guard.draw.normal(tuple(one.shape)))
        for name, one in summed.items()
    }


def clipped_sum(
    weights: dict[str, Tensor], noisy: Tensor, clean: Tensor, clip: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the sum of the windows' gradients, each cut to the length `clip`, and their lengths before [b]."""
    into, out = [], noisy
    behind: list[Tensor] = []
    n = len(weights) // 2
    for i in range(n):
        into.append(out)
        behind.append(out @ weights[f"w{i}"] + weights[f"b{i}"])
        out = behind[-1] if i == n - 1 else gelu(behind[-1])
    loss = ((out - clean) ** 2).mean(1).sum()
    slope = torch.autograd.grad(loss, behind)
    square = sum(((a.detach() ** 2).sum(1) + 1) * (d**2).sum(1) for a, d in zip(into, slope, strict=True))
    length = torch.as_tensor(square).sqrt()
    share = (clip / length.clamp(min=1e-12)).clamp(max=1.0).unsqueeze(1)
    summed = {}
    for i, (a, d) in enumerate(zip(into, slope, strict=True)):
        summed[f"w{i}"], summed[f"b{i}"] = a.detach().T @ (share * d), (share * d).sum(0)
    return summed, length
