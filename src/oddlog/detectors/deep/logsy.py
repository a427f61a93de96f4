"""Logsy's network: the words of one text in, its distance from the centre of a system's own texts out."""

from __future__ import annotations

from typing import cast

import onnx
import torch
from torch import Tensor, nn

from oddlog.detectors.deep import attention
from oddlog.detectors.deep.export import Writer
from oddlog.detectors.deep.recipes import Batch
from oddlog.types import F32

HEADS = 2
LEFT_OUT = 0.1
"""Share of the words that are left out while training (word 0, which also stands for what is beyond the end)."""
TINY = 1e-6


class TextDistance(nn.Module):
    """Embedding of words, transformer, squared length of what it makes of the step before the first word.

    Nedelkoski, Bogatinovski, Acker, Cardoso and Kao, "Self-attentive classification-based anomaly detection in
    unstructured logs" (Logsy), ICDM 2020 (arXiv 2008.09340).
    """

    def __init__(self, words: int, width: int, layers: int, longest: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.encoder = attention.Encoder(width, HEADS, layers, longest)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return distances [b] of tokens [b, s] with `lengths` [b] real steps."""
        hidden = self.encoder(self.embedding(tokens), attention.padding(lengths, tokens.shape[1]))
        return cast("Tensor", (self.out(hidden[:, 0]) ** 2).sum(1))


def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
    """Return the loss of tokens [b, s], lengths [b], and which texts are of other systems [b] (1 or 0).

    The system's own texts are drawn to the centre, others cost -ln(1 - exp(-distance)).
    """
    tokens, lengths, other = batch
    if noise is not None:
        kept = torch.rand(tokens.shape, generator=noise) >= LEFT_OUT
        tokens = torch.where(kept | (torch.arange(tokens.shape[1]) == 0), tokens, 0)
    far = model(tokens, lengths)
    return cast("Tensor", (1 - other) * far - other * torch.log(-torch.expm1(-far) + TINY))


def graph(weights: dict[str, F32], longest: int) -> bytes:
    """Return the graph ``tokens [b, s], lengths [b] -> far [b]``."""
    to = Writer("logsy")
    x = to.add("Gather", to.constant("embedding", weights["embedding.weight"]), "tokens")
    barred = attention.add_padding(to, attention.add_real(to, x, "lengths"))
    steps = attention.add_encoder(to, x, barred, weights, "encoder.", HEADS, longest)
    first = to.add("Squeeze", to.add("Slice", steps, to.axes(0), to.axes(1), to.axes(1)), to.axes(1))
    out = to.add("MatMul", first, to.constant("out", weights["out.weight"].T))
    to.add("ReduceSum", to.add("Mul", out, out), to.axes(1), keepdims=0, out="far")
    int64 = onnx.TensorProto.INT64
    return to.model(
        [("tokens", int64, ["b", "s"]), ("lengths", int64, ["b"])], [("far", onnx.TensorProto.FLOAT, ["b"])]
    )
