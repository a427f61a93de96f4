"""Networks that tell anomalous sequences of message types from usual ones, by labels."""

from __future__ import annotations

from typing import cast

import onnx
import torch
from torch import Tensor, nn

from oddlog.detectors.deep import attention
from oddlog.detectors.deep.export import Writer
from oddlog.detectors.deep.recipes import Batch
from oddlog.types import F32

KERNELS = (3, 4, 5)
DROPPED = 0.5
"""Share of the pooled features that is left out while training."""
LEAK = 0.01


class KeyCnn(nn.Module):
    """Embedding, three convolutions side by side, the highest of each channel, one dense layer.

    Lu et al., "Detecting anomaly in big data system logs using convolutional neural network", DASC 2018
    (doi 10.1109/DASC/PiCom/DataCom/CyberSciTec.2018.00037).
    """

    def __init__(self, inputs: int, embedding: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(inputs, embedding)
        self.side = nn.ModuleList([nn.Conv1d(embedding, width, size, padding=size // 2) for size in KERNELS])
        self.choice = nn.Linear(len(KERNELS) * width, 1)

    def forward(self, tokens: Tensor, lengths: Tensor, noise: torch.Generator | None) -> Tensor:
        """Return log odds [b] of tokens [b, s] with `lengths` [b] real steps."""
        real = (torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)).to(torch.float32)
        x = (self.embedding(tokens) * real.unsqueeze(2)).transpose(1, 2)
        barred = torch.where(real > 0, 0.0, attention.FAR).unsqueeze(1)
        steps = tokens.shape[1]
        found = [nn.functional.leaky_relu(one(x)[:, :, :steps], LEAK) + barred for one in self.side]
        pooled = torch.cat([one.amax(2) for one in found], dim=1)
        if noise is not None:
            pooled = pooled * (torch.rand(pooled.shape, generator=noise) >= DROPPED) / (1 - DROPPED)
        return cast("Tensor", self.choice(pooled).squeeze(1))


class AttentiveLstm(nn.Module):
    """LSTMs forth and back on vectors of texts, a weight for each step, one dense layer on the weighted sum.

    Zhang et al., "Robust log-based anomaly detection on unstable log data" (LogRobust), ESEC/FSE 2019
    (doi 10.1145/3338906.3338931).
    """

    def __init__(self, vectors: F32, width: int) -> None:
        super().__init__()
        self.embedding = cast("nn.Embedding", nn.Embedding.from_pretrained(torch.from_numpy(vectors)))  # type: ignore[no-untyped-call]
        self.forth = nn.LSTM(vectors.shape[1], width, batch_first=True)
        self.back = nn.LSTM(vectors.shape[1], width, batch_first=True)
        self.weight = nn.Linear(2 * width, 1)
        self.choice = nn.Linear(2 * width, 1)

    def forward(self, tokens: Tensor, lengths: Tensor, _noise: torch.Generator | None) -> Tensor:
        """Return log odds [b] of tokens [b, s] with `lengths` [b] real steps."""
        x, step = self.embedding(tokens), torch.arange(tokens.shape[1])
        real = step < lengths.unsqueeze(1)
        turned = torch.where(real, lengths.unsqueeze(1) - 1 - step, step).unsqueeze(2)  # the padding stays behind
        forth, _ = self.forth(x)
        back, _ = self.back(x.gather(1, turned.expand_as(x)))
        hidden = torch.cat([forth, back.gather(1, turned.expand_as(back))], dim=2)
        weighted = torch.tanh(self.weight(hidden)) * hidden * real.unsqueeze(2)
        return cast("Tensor", self.choice(weighted.sum(1)).squeeze(1))


def loss(model: nn.Module, batch: Batch, noise: torch.Generator | None) -> Tensor:
    """Return the cross entropy [b] of tokens [b, s], lengths [b], and labels [b], 1 for anomalous."""
    tokens, lengths, label = batch
    odds = model(tokens, lengths, noise)
    return nn.functional.binary_cross_entropy_with_logits(odds, label, reduction="none")


def key_cnn(weights: dict[str, F32]) -> bytes:
    """Return the graph ``tokens [b, s], lengths [b] -> odds [b]`` of a `KeyCnn`."""
    to = Writer("key-cnn")
    x = to.add("Gather", to.constant("embedding", weights["embedding.weight"]), "tokens")
    real = attention.add_real(to, x, "lengths")
    x = to.add("Mul", x, to.add("Unsqueeze", to.add("Cast", real, to=onnx.TensorProto.FLOAT), to.axes(2)))
    x = to.add("Transpose", x, perm=[0, 2, 1])
    barred = to.add("Squeeze", attention.add_padding(to, real), to.axes(1))  # [b, 1, s]
    pooled = []
    for i, size in enumerate(KERNELS):
        w, b = (to.constant(f"side{i}.{part}", weights[f"side.{i}.{part}"]) for part in ("weight", "bias"))
        # as many steps out as in: a kernel of four looks two back and one ahead
        found = to.add("Conv", x, w, b, pads=[size // 2, (size - 1) // 2])
        found = to.add("Add", to.add("LeakyRelu", found, alpha=LEAK), barred)
        pooled.append(to.add("ReduceMax", found, axes=[2], keepdims=0))
    return _finished(to, to.add("Concat", *pooled, axis=1), weights)


def attentive_lstm(weights: dict[str, F32]) -> bytes:
    """Return the graph ``tokens [b, s], lengths [b] -> odds [b]`` of an `AttentiveLstm`."""
    to = Writer("logrobust")
    x = to.add("Gather", to.constant("embedding", weights["embedding.weight"]), "tokens")
    real = to.add("Cast", attention.add_real(to, x, "lengths"), to=onnx.TensorProto.FLOAT)
    x = to.add("Transpose", x, perm=[1, 0, 2])
    back = to.lstm(_turned(to, x), weights, "back.")
    hidden = to.add("Concat", to.lstm(x, weights, "forth."), _turned(to, back), axis=2)
    weighted = to.add("Mul", to.add("Tanh", to.linear(hidden, weights, "weight.")), hidden)
    real = to.add("Unsqueeze", to.add("Transpose", real, perm=[1, 0]), to.axes(2))
    return _finished(to, to.add("ReduceSum", to.add("Mul", weighted, real), to.axes(0), keepdims=0), weights)


def _turned(to: Writer, x: str) -> str:
    """Add the real steps of `x` [s, b, d] in reverse."""
    return to.add("ReverseSequence", x, "lengths", time_axis=0, batch_axis=1)


def _finished(to: Writer, pooled: str, weights: dict[str, F32]) -> bytes:
    to.add("Squeeze", to.linear(pooled, weights, "choice."), to.axes(1), out="odds")
    int64 = onnx.TensorProto.INT64
    return to.model(
        [("tokens", int64, ["b", "s"]), ("lengths", int64, ["b"])], [("odds", onnx.TensorProto.FLOAT, ["b"])]
    )
