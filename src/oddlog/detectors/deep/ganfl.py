"""GANFL's local network: fused event vectors in, the next and the hidden event out, told in embedding space.

Neither head has a row for each message type. A head gives a vector; how likely each type is follows from that vector
and one made, by a layer that all types share, of the type's own columns::

    x [b, s, f] ── into ── encoder ──┬── next   [b, s, d] ──┐
                                     ├── masked [b, s, d] ──┴── · types(table [v, f']) [v, d]  and the end [d]
                                     └── mean   [b, d] ──────── squared distance to the centre

so that sites with other message types can share all weights: only `table` is their own, and it is not learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from oddlog.detectors.deep import attention
from oddlog.detectors.deep.export import Value, Writer
from oddlog.detectors.deep.recipes import Batch, Examples, Loss, Recipe
from oddlog.detectors.deep.training import take_steps
from oddlog.detectors.deep.weights import set_weights, weights_of
from oddlog.types import F32

HEADS = 4
HIDDEN = 0.3
"""Share of the events that are hidden while training."""
PATTERN = 4
"""Without noise, every fourth event is hidden."""
UNSEEN_SHARE = 0.02
"""Of the events that are read, this share is taken for unseen while training: the network learns to go on after one."""


class FusedEncoder(nn.Module):
    """See the drawing above."""

    def __init__(self, features: int, types: int, width: int, layers: int, longest: int) -> None:
        super().__init__()
        self.into = nn.Linear(features, width)
        self.encoder = attention.Encoder(width, HEADS, layers, longest)
        self.next = nn.Linear(width, width)
        self.masked = nn.Linear(width, width)
        self.types = nn.Linear(types, width)
        self.end = nn.Parameter(torch.randn(1, width) / width**0.5)
        self.centre = nn.Parameter(torch.zeros(width))

    def foretold(self, x: Tensor, table: Tensor) -> Tensor:
        """Return log-probabilities of what follows each step [b, s, v + 1], of what stands up to it."""
        hidden = self.encoder(self.into(x), attention.causal(x.shape[1]))
        return self._choice(self.next(hidden), table)

    def restored(self, x: Tensor, lengths: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of what stands at each step [b, s, v + 1], and squared distances [b]."""
        real = (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).to(x.dtype).unsqueeze(2)
        hidden = self.encoder(self.into(x), attention.padding(lengths, x.shape[1]))
        mean = (hidden * real).sum(1) / real.sum(1)
        return self._choice(self.masked(hidden), table), ((mean - self.centre) ** 2).mean(1)

    def _choice(self, meant: Tensor, table: Tensor) -> Tensor:
        known = torch.cat([self.types(table), self.end])
        return torch.log_softmax(meant @ known.T / meant.shape[-1] ** 0.5, dim=-1)


def loss_of(table: F32, sphere: float) -> Loss:
    """Return the loss at a site whose message types are `table` [v, f'], the last of them the unseen one.

    Examples load x [b, s, f], lengths [b], targets [b, s] (of the step before), which steps are events [b, s], and
    the share of each step's loss [b, s]. `f`' columns of x, the first ones, are those of the type; the last one marks
    what is hidden.
    """
    types = torch.from_numpy(table)

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        x, lengths, targets, events, share = batch
        network = cast("FusedEncoder", model)
        hidden = _hidden(events, noise)
        if noise is not None:
            lost = (torch.rand(events.shape, generator=noise) < UNSEEN_SHARE) & events
            x = torch.where(
                lost.unsqueeze(2), torch.cat([types[-1].expand(*x.shape[:2], -1), x[..., len(types[0]) :]], 2), x
            )
        after = -network.foretold(x, types).gather(2, targets.unsqueeze(2)).squeeze(2)
        blank = torch.zeros(x.shape[-1])
        blank[-1] = 1
        restored, far = network.restored(torch.where(hidden.unsqueeze(2), blank, x), lengths, types)
        here = torch.cat([targets[:, :1], targets[:, :-1]], dim=1)
        missed = -restored.gather(2, here.unsqueeze(2)).squeeze(2) * hidden
        return (after * share).sum(1) + missed.sum(1) / hidden.sum(1).clamp(min=1) + sphere * far

    return loss


def go_on(
    model: FusedEncoder, weights: dict[str, F32], loss: Loss, examples: Examples, recipe: Recipe, proximal: float
) -> tuple[dict[str, F32], int]:
    """Return the weights after some steps from `weights`, and how many were taken.

    They are held near to those they began with by ``proximal / 2 * squared distance``.
    """
    set_weights(model, weights)
    taken = take_steps(model, loss, examples, recipe, held=_near(model, proximal) if proximal else None)
    return weights_of(model), taken


def _near(model: nn.Module, proximal: float) -> Callable[[], Tensor]:
    begun = [value.detach().clone() for value in model.parameters()]

    def held() -> Tensor:
        pairs = zip(model.parameters(), begun, strict=True)
        return proximal / 2 * torch.stack([((now - then) ** 2).sum() for now, then in pairs]).sum()

    return held


def _hidden(events: Tensor, noise: torch.Generator | None) -> Tensor:
    """Return which events are hidden [b, s]."""
    if noise is None:
        return events & (torch.arange(events.shape[1]) % PATTERN == 1)
    return events & (torch.rand(events.shape, generator=noise) < HIDDEN)


def foretold(weights: dict[str, F32], longest: int) -> bytes:
    """Return the graph ``x [b, s, f], table [v, f'], targets [b, s] -> surprise [b, s]``."""
    to = Writer("ganfl-next")
    steps = attention.add_encoder(
        to, to.linear("x", weights, "into."), attention.add_causal(to, "x"), weights, "encoder.", HEADS, longest
    )
    _add_surprise(to, to.linear(steps, weights, "next."), weights)
    return to.model(_inputs(weights), [("surprise", onnx.TensorProto.FLOAT, ["b", "s"])])


def restored(weights: dict[str, F32], longest: int) -> bytes:
    """Return the graph ``x, table, targets, lengths [b] -> surprise [b, s], far [b]``."""
    to = Writer("ganfl-masked")
    real = attention.add_real(to, "x", "lengths")
    barred = attention.add_padding(to, real)
    steps = attention.add_encoder(to, to.linear("x", weights, "into."), barred, weights, "encoder.", HEADS, longest)
    off = to.add("Sub", attention.add_mean(to, steps, real), to.constant("centre", weights["centre"]))
    to.add("ReduceMean", to.add("Mul", off, off), axes=[1], keepdims=0, out="far")
    _add_surprise(to, to.linear(steps, weights, "masked."), weights)
    float32 = onnx.TensorProto.FLOAT
    inputs: list[Value] = [*_inputs(weights), ("lengths", onnx.TensorProto.INT64, ["b"])]
    return to.model(inputs, [("surprise", float32, ["b", "s"]), ("far", float32, ["b"])])


def _inputs(weights: dict[str, F32]) -> list[Value]:
    float32 = onnx.TensorProto.FLOAT
    return [
        ("x", float32, ["b", "s", weights["into.weight"].shape[1]]),
        ("table", float32, ["v", weights["types.weight"].shape[1]]),
        ("targets", onnx.TensorProto.INT64, ["b", "s"]),
    ]


def _add_surprise(to: Writer, meant: str, weights: dict[str, F32]) -> None:
    known = to.add("Concat", to.linear("table", weights, "types."), to.constant("end", weights["end"]), axis=0)
    unit = to.constant("unit", np.array(weights["end"].shape[1] ** -0.5, np.float32))
    logits = to.add("Mul", to.add("MatMul", meant, to.add("Transpose", known, perm=[1, 0])), unit)
    targets = to.add("Unsqueeze", "targets", to.axes(2))
    chosen = to.add("GatherElements", to.add("LogSoftmax", logits, axis=-1), targets, axis=2)
    to.add("Squeeze", to.add("Neg", chosen), to.axes(2), out="surprise")
