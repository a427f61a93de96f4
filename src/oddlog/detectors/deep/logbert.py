"""LogBERT's network: hidden message types told from those around them, and usual windows drawn to a centre."""

from __future__ import annotations

from typing import cast

import onnx
import torch
from torch import Tensor, nn

from oddlog.detectors.deep import attention
from oddlog.detectors.deep.export import Writer
from oddlog.detectors.deep.recipes import Batch, Loss
from oddlog.types import F32

HEADS = 4
PATTERN = 4
"""Without noise, every fourth step is hidden."""


class MaskedKeys(nn.Module):
    """Embedding, transformer, a choice among the types for each step, and the centre of the first step's vectors.

    Guo, Yuan and Wu, "LogBERT", IJCNN 2021 (arXiv 2103.04475). The centre is a weight: the gradient of the
    hypersphere's term leads it to the mean, which the paper takes.
    """

    def __init__(self, inputs: int, outputs: int, width: int, layers: int, longest: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(inputs, width)
        self.encoder = attention.Encoder(width, HEADS, layers, longest)
        self.choice = nn.Linear(width, outputs)
        self.centre = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities at each step [b, s, v] and squared distances to the centre [b]."""
        hidden = self.encoder(self.embedding(tokens), attention.padding(lengths, tokens.shape[1]))
        return torch.log_softmax(self.choice(hidden), dim=-1), ((hidden[:, 0] - self.centre) ** 2).mean(1)


def loss_of(mask: int, share: float, sphere: float) -> Loss:
    """Return the loss on tokens [b, s], lengths [b], and which steps may be hidden [b, s].

    `share` of them are, by the token `mask`; `sphere` weighs the squared distance to the centre.
    """

    def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
        tokens, lengths, steps = batch
        hidden = steps & (torch.arange(steps.shape[1]) % PATTERN == 1)
        if noise is not None:
            hidden = steps & (torch.rand(steps.shape, generator=noise) < share)
        log_p, far = model(torch.where(hidden, mask, tokens), lengths)
        target = torch.where(hidden, tokens, 0)
        missed = -log_p.gather(2, target.unsqueeze(2)).squeeze(2) * hidden
        return cast("Tensor", missed.sum(1) / hidden.sum(1).clamp(min=1) + sphere * far)

    return loss


def graph(weights: dict[str, F32], longest: int) -> bytes:
    """Return the graph ``tokens [b, s], lengths [b], targets [b, s] -> surprise, rank [b, s], far [b]``.

    A rank is how many types are as likely or likelier.
    """
    to = Writer("logbert")
    x = to.add("Gather", to.constant("embedding", weights["embedding.weight"]), "tokens")
    barred = attention.add_padding(to, attention.add_real(to, x, "lengths"))
    steps = attention.add_encoder(to, x, barred, weights, "encoder.", HEADS, longest)
    first = to.add("Squeeze", to.add("Slice", steps, to.axes(0), to.axes(1), to.axes(1)), to.axes(1))
    off = to.add("Sub", first, to.constant("centre", weights["centre"]))
    to.add("ReduceMean", to.add("Mul", off, off), axes=[1], keepdims=0, out="far")
    log_p = to.add("LogSoftmax", to.linear(steps, weights, "choice."), axis=-1)
    chosen = to.add("GatherElements", log_p, to.add("Unsqueeze", "targets", to.axes(2)), axis=2)
    to.add("Squeeze", to.add("Neg", chosen), to.axes(2), out="surprise")
    ahead = to.add("Cast", to.add("GreaterOrEqual", log_p, chosen), to=onnx.TensorProto.FLOAT)
    to.add("ReduceSum", ahead, to.axes(2), keepdims=0, out="rank")
    int64, float32, shape = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT, ["b", "s"]
    return to.model(
        [("tokens", int64, shape), ("lengths", int64, ["b"]), ("targets", int64, shape)],
        [("surprise", float32, shape), ("rank", float32, shape), ("far", float32, ["b"])],
    )
