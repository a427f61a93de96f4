"""Transformer encoder: in PyTorch, and the same as nodes of a graph.

Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3 (arXiv 1706.03762), with the normalisation before
each part instead of behind it (Xiong et al., ICML 2020, arXiv 2002.04745): it trains without a warm-up.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from oddlog.detectors.deep.export import Writer
from oddlog.types import F32

FAR = -1e9
"""Added to what must not be looked at, before the softmax."""
EPSILON = 1e-5
LONGEST = 10_000.0  # wave length of the slowest sine, as in the paper


class Block(nn.Module):
    """Attention among the steps, then two dense layers on each; both added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width, eps=EPSILON)
        self.look = nn.Linear(width, 3 * width)  # query, key, value
        self.seen = nn.Linear(width, width)
        self.between = nn.LayerNorm(width, eps=EPSILON)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, barred: Tensor) -> Tensor:
        """Return steps [b, t, d]; `barred` [.., t, t] is added to what each step makes of each other."""
        b, t, d = x.shape
        parts = self.look(self.before(x)).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]  # [b, heads, t, d / heads]
        weight = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(d // self.heads) + barred, dim=-1)
        x = x + self.seen((weight @ value).transpose(1, 2).reshape(b, t, d))
        return cast("Tensor", x + self.down(torch.relu(self.up(self.between(x)))))


class Encoder(nn.Module):
    """Blocks one after the other, on steps to which sines tell their places."""

    def __init__(self, width: int, heads: int, layers: int, longest: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.end = nn.LayerNorm(width, eps=EPSILON)
        self.sines: Tensor
        self.register_buffer("sines", torch.from_numpy(sines(longest, width)))

    def forward(self, x: Tensor, barred: Tensor) -> Tensor:
        """Return steps [b, t, d] of steps [b, t, d]."""
        x = x + self.sines[: x.shape[1]]
        for block in self.blocks:
            x = block(x, barred)
        return cast("Tensor", self.end(x))


def causal(steps: int) -> Tensor:
    """Return what keeps each step from looking at later ones [t, t]."""
    return torch.full((steps, steps), FAR).triu(1)


def padding(lengths: Tensor, steps: int) -> Tensor:
    """Return what keeps all steps from looking behind the end of a sequence [b, 1, 1, t]."""
    return torch.where(torch.arange(steps) < lengths.unsqueeze(1), 0.0, FAR)[:, None, None, :]


def sines(longest: int, width: int) -> F32:
    """Return the sines and cosines that tell the places of steps [longest, d] (section 3.5)."""
    rate = LONGEST ** (-np.arange(0, width, 2) / width)
    angle = np.arange(longest)[:, None] * rate
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(longest, -1)[:, :width].astype(np.float32)


def add_encoder(to: Writer, x: str, barred: str, weights: dict[str, F32], prefix: str, heads: int, longest: int) -> str:
    """Add the nodes of an `Encoder` on `x` [b, t, d]; return the name of its steps [b, t, d]."""
    width = len(weights[f"{prefix}end.weight"])
    steps = to.add("Shape", x, start=1, end=2)
    places = to.constant(f"{prefix}sines", sines(longest, width))
    x = to.add("Add", x, to.add("Slice", places, to.axes(0), steps, to.axes(0)))
    layers = sum(name.startswith(f"{prefix}blocks.") and name.endswith("look.bias") for name in weights)
    for layer in range(layers):
        x = _add_block(to, x, barred, weights, f"{prefix}blocks.{layer}.", heads)
    return _add_norm(to, x, weights, f"{prefix}end.")


def add_causal(to: Writer, x: str) -> str:
    """Add what `causal` returns for the steps of `x` [b, t, d]."""
    steps = to.add("Shape", x, start=1, end=2)
    full = to.add("Expand", to.constant("barring", np.array(FAR, np.float32)), to.add("Concat", steps, steps, axis=0))
    return to.add("Trilu", full, to.constant("above", np.array(1, np.int64)), upper=1)


def add_real(to: Writer, x: str, lengths: str) -> str:
    """Add which steps of `x` [b, t, d] are none of the padding [b, t]."""
    zero, one = to.constant("zero", np.array(0, np.int64)), to.constant("one", np.array(1, np.int64))
    steps = to.add("Squeeze", to.add("Shape", x, start=1, end=2), to.axes(0))
    return to.add("Less", to.add("Range", zero, steps, one), to.add("Unsqueeze", lengths, to.axes(1)))


def add_padding(to: Writer, real: str) -> str:
    """Add what `padding` returns, of what `add_real` has added."""
    zero, far = to.constant("none", np.zeros(1, np.float32)), to.constant("barring", np.array(FAR, np.float32))
    return to.add("Unsqueeze", to.add("Where", real, zero, far), to.axes(1, 2))


def add_mean(to: Writer, x: str, real: str) -> str:
    """Add the mean of the real steps of `x` [b, t, d] -> [b, d]."""
    counts = to.add("Unsqueeze", to.add("Cast", real, to=onnx.TensorProto.FLOAT), to.axes(2))
    total = to.add("ReduceSum", to.add("Mul", x, counts), to.axes(1), keepdims=0)
    return to.add("Div", total, to.add("ReduceSum", counts, to.axes(1), keepdims=0))


def _add_block(to: Writer, x: str, barred: str, weights: dict[str, F32], prefix: str, heads: int) -> str:
    width = len(weights[f"{prefix}seen.bias"])
    split = to.constant("split", np.array([0, 0, 3, heads, width // heads], np.int64))
    parts = to.add(
        "Reshape", to.linear(_add_norm(to, x, weights, f"{prefix}before."), weights, f"{prefix}look."), split
    )
    parts = to.add("Transpose", parts, perm=[2, 0, 3, 1, 4])
    query, key, value = (to.add("Squeeze", to.add("Gather", parts, to.axes(i), axis=0), to.axes(0)) for i in range(3))
    like = to.add("MatMul", query, to.add("Transpose", key, perm=[0, 1, 3, 2]))
    scale = to.constant("scale", np.array(1 / math.sqrt(width // heads), np.float32))
    weight = to.add("Softmax", to.add("Add", to.add("Mul", like, scale), barred), axis=-1)
    seen = to.add("Transpose", to.add("MatMul", weight, value), perm=[0, 2, 1, 3])
    seen = to.add("Reshape", seen, to.constant("merged", np.array([0, 0, width], np.int64)))
    x = to.add("Add", x, to.linear(seen, weights, f"{prefix}seen."))
    inner = to.add("Relu", to.linear(_add_norm(to, x, weights, f"{prefix}between."), weights, f"{prefix}up."))
    return to.add("Add", x, to.linear(inner, weights, f"{prefix}down."))


def _add_norm(to: Writer, x: str, weights: dict[str, F32], prefix: str) -> str:
    scale = to.constant(f"{prefix}weight", weights[f"{prefix}weight"])
    shift = to.constant(f"{prefix}bias", weights[f"{prefix}bias"])
    return to.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON)
