"""The networks as ONNX graphs, written node by node from their weights.

No tracer: the same weights give the same bytes, batch and time stay open, and no version of an exporter decides
what a stored model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from oddlog.types import F32

OPSET = 17
"""The newest operator set that every supported ONNX Runtime (1.19 and later) reads without a warning."""
TOP = 3
"""Types that an explanation names as expected."""

Value = tuple[str, int, Sequence[str | int]]
"""Name, element type and shape of what goes in or comes out."""


class Writer:
    """Takes nodes and constants one after the other, and makes a graph of them.

    Each value is called by the name of its node's output; `add` invents one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._stored: dict[str, NDArray[np.generic]] = {}

    def add(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node, return the name of its output."""
        out = out or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [out], **attributes))
        return out

    def add_many(self, operator: str, inputs: Sequence[str], outs: Sequence[str], **attributes: Any) -> None:
        """Add a node with several outputs; an empty name leaves one out."""
        self._nodes.append(helper.make_node(operator, list(inputs), list(outs), **attributes))

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Store an array, return its name."""
        self._stored[name] = np.ascontiguousarray(value)
        return name

    def axes(self, *axes: int) -> str:
        """Store a list of axes, return its name."""
        return self.constant("axes" + "_".join(map(str, axes)), np.array(axes, np.int64))

    def lstm(self, x: str, weights: dict[str, F32], prefix: str) -> str:
        """Add the layers of an LSTM on `x` [t, b, d], return every step of the last layer [t, b, h]."""
        for layer in range(layers_of(weights, prefix)):
            y = self._layer(x, weights, prefix, layer, last_only=False)
            x = self.add("Squeeze", y, self.axes(1))
        return x

    def lstm_end(self, x: str, weights: dict[str, F32], prefix: str, lengths: str) -> str:
        """Add the layers of an LSTM on `x` [t, b, d], return the last layer where each sequence ends [b, h]."""
        last = layers_of(weights, prefix) - 1
        for layer in range(last):
            x = self.add("Squeeze", self._layer(x, weights, prefix, layer, last_only=False), self.axes(1))
        return self.add("Squeeze", self._layer(x, weights, prefix, last, last_only=True, lengths=lengths), self.axes(0))

    def _layer(
        self, x: str, weights: dict[str, F32], prefix: str, layer: int, *, last_only: bool, lengths: str = ""
    ) -> str:
        w, r, b = (self.constant(f"{prefix}{part}{layer}", a) for part, a in gates(weights, prefix, layer).items())
        out, width = f"{prefix}y{layer}", weights[f"{prefix}weight_hh_l{layer}"].shape[1]
        outs = ["", out] if last_only else [out]
        self.add_many("LSTM", [x, w, r, b, *([lengths] if lengths else [])], outs, hidden_size=width)
        return out

    def linear(self, x: str, weights: dict[str, F32], prefix: str, out: str = "") -> str:
        """Add ``x @ w + b`` on the last axis of `x`, of any rank."""
        w = self.constant(f"{prefix}weight", weights[f"{prefix}weight"].T)
        b = self.constant(f"{prefix}bias", weights[f"{prefix}bias"])
        return self.add("Add", self.add("MatMul", x, w), b, out=out)

    def model(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
        """Return the checked graph."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            [numpy_helper.from_array(array, name) for name, array in self._stored.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))


def layers_of(weights: dict[str, F32], prefix: str) -> int:
    """Return how many layers the LSTM called `prefix` has."""
    return sum(name.startswith(f"{prefix}weight_ih_l") for name in weights)


def gates(weights: dict[str, F32], prefix: str, layer: int) -> dict[str, F32]:
    """Return W [1, 4h, d], R [1, 4h, h] and B [1, 8h] of a layer.

    PyTorch stores the gates as input, forget, cell, output; ONNX as input, output, forget, cell.
    """

    def ordered(name: str) -> F32:
        i, f, c, o = np.split(weights[f"{prefix}{name}_l{layer}"], 4)
        return np.concatenate([i, o, f, c])

    bias = np.concatenate([ordered("bias_ih"), ordered("bias_hh")])
    return {"w": ordered("weight_ih")[None], "r": ordered("weight_hh")[None], "b": bias[None]}


def surprise(weights: dict[str, F32], counted: int = 0) -> bytes:
    """Return the graph ``tokens [b, t], targets [b, t] -> surprise [b, t]``, negative log-likelihoods."""
    to = Writer("next-event-surprise")
    hidden = _hidden(to, weights, counted)
    log_p = to.add("LogSoftmax", to.linear(hidden, weights, "choice."), axis=-1)
    targets = to.add("Unsqueeze", to.add("Transpose", "targets", perm=[1, 0]), to.axes(2))
    chosen = to.add("Squeeze", to.add("GatherElements", log_p, targets, axis=2), to.axes(2))
    to.add("Transpose", to.add("Neg", chosen), perm=[1, 0], out="surprise")
    int64, shape = onnx.TensorProto.INT64, ["b", "t"]
    return to.model(
        [("tokens", int64, shape), ("targets", int64, shape)], [("surprise", onnx.TensorProto.FLOAT, shape)]
    )


def rank(weights: dict[str, F32], counted: int = 0) -> bytes:
    """Return the graph ``tokens [b, t], targets [b, t] -> rank [b, t]``: how many types are as likely or likelier."""
    to = Writer("next-event-rank")
    logits = to.linear(_hidden(to, weights, counted), weights, "choice.")
    targets = to.add("Unsqueeze", to.add("Transpose", "targets", perm=[1, 0]), to.axes(2))
    ahead = to.add("GreaterOrEqual", logits, to.add("GatherElements", logits, targets, axis=2))
    count = to.add("ReduceSum", to.add("Cast", ahead, to=onnx.TensorProto.FLOAT), to.axes(2), keepdims=0)
    to.add("Transpose", count, perm=[1, 0], out="rank")
    int64, shape = onnx.TensorProto.INT64, ["b", "t"]
    return to.model([("tokens", int64, shape), ("targets", int64, shape)], [("rank", onnx.TensorProto.FLOAT, shape)])


def expected(weights: dict[str, F32], counted: int = 0) -> bytes:
    """Return the graph ``tokens [b, t], at [b], target [b] -> probability [b, 3], expected [b, 3], seen [b]``.

    `at` is the step after which something was expected, `target` what came.
    """
    to = Writer("next-event-expected")
    steps = to.add("Transpose", _hidden(to, weights, counted), perm=[1, 0, 2])  # [b, t, h]
    width = weights["choice.weight"].shape[1]
    place = to.add("Unsqueeze", "at", to.axes(1, 2))
    place = to.add("Expand", place, to.constant("width", np.array([1, 1, width], np.int64)))
    hidden = to.add("Squeeze", to.add("GatherElements", steps, place, axis=1), to.axes(1))
    p = to.add("Softmax", to.linear(hidden, weights, "choice."), axis=-1)
    top = min(TOP, weights["choice.bias"].shape[0])
    to.add_many("TopK", [p, to.constant("top", np.array([top], np.int64))], ["probability", "expected"], axis=-1)
    seen = to.add("GatherElements", p, to.add("Unsqueeze", "target", to.axes(1)), axis=1)
    to.add("Squeeze", seen, to.axes(1), out="seen")
    int64, float32 = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    return to.model(
        [("tokens", int64, ["b", "t"]), ("at", int64, ["b"]), ("target", int64, ["b"])],
        [("probability", float32, ["b", top]), ("expected", int64, ["b", top]), ("seen", float32, ["b"])],
    )


def sequence_error(weights: dict[str, F32], shares: F32) -> bytes:
    """Return the graph ``x [b, t, f], lengths [b] -> error [b, t]`` of a `networks.SequenceAutoencoder`.

    `shares` [f] is how much each feature's squared error counts.
    """
    to = Writer("sequence-autoencoder")
    steps = to.add("Transpose", "x", perm=[1, 0, 2])  # [t, b, f]
    lengths = to.add("Cast", "lengths", to=onnx.TensorProto.INT32)
    end = to.lstm_end(steps, weights, "encoder.", lengths)
    summary = to.add("Unsqueeze", to.add("Tanh", to.linear(end, weights, "summary.")), to.axes(0))
    shape = to.add("Concat", to.add("Shape", steps, end=1), to.constant("ones", np.ones(2, np.int64)), axis=0)
    before = to.add("Pad", steps, to.constant("shift", np.array([1, 0, 0, -1, 0, 0], np.int64)))
    hidden = to.lstm(to.add("Concat", to.add("Expand", summary, shape), before, axis=2), weights, "decoder.")
    return _error_graph(to, steps, to.linear(hidden, weights, "restored."), shares, ["t", "b"])


def repeating_error(weights: dict[str, F32]) -> bytes:
    """Return the graph ``x [b, t, f] -> error [b]`` of a `networks.RepeatingAutoencoder`: the mean of all steps."""
    to = Writer("repeating-autoencoder")
    steps = to.add("Transpose", "x", perm=[1, 0, 2])  # [t, b, f]
    hidden = to.lstm(steps, weights, "encoder.")
    end = to.add("Slice", hidden, to.axes(-1), to.axes(2**31 - 1), to.axes(0))  # [1, b, h]
    shape = to.add("Concat", to.add("Shape", steps, end=1), to.constant("ones", np.ones(2, np.int64)), axis=0)
    restored = to.linear(to.lstm(to.add("Expand", end, shape), weights, "decoder."), weights, "restored.")
    off = to.add("Sub", restored, steps)
    to.add("ReduceMean", to.add("Mul", off, off), axes=[0, 2], keepdims=0, out="error")
    float32 = onnx.TensorProto.FLOAT
    shape_in = ["b", "t", weights["restored.bias"].shape[0]]
    return to.model([("x", float32, shape_in)], [("error", float32, ["b"])])


def convolution_error(weights: dict[str, F32], shares: F32) -> bytes:
    """Return the graph ``x [b, t, f], lengths [b] -> error [b, t]`` of a `networks.ConvolutionalAutoencoder`."""
    to = Writer("convolutional-autoencoder")
    steps = to.add("Transpose", "x", perm=[0, 2, 1])  # [b, f, t]
    zero, one = to.constant("zero", np.array(0, np.int64)), to.constant("one", np.array(1, np.int64))
    width = to.add("Squeeze", to.add("Shape", "x", start=1, end=2), to.axes(0))
    real = to.add("Less", to.add("Range", zero, width, one), to.add("Unsqueeze", "lengths", to.axes(1)))
    real = to.add("Unsqueeze", to.add("Cast", real, to=onnx.TensorProto.FLOAT), to.axes(1))  # [b, 1, t]
    half, quarter = (
        to.add("Slice", real, to.axes(0), to.axes(2**31 - 1), to.axes(2), to.constant(f"every{n}", np.array([n])))
        for n in (2, 4)
    )

    def layer(x: str, name: str, mask: str, operator: str = "Relu", stride: int = 1) -> str:
        return to.add("Mul", to.add(operator, _convolution(to, x, weights, name, stride)), mask)

    hidden = layer(layer(steps, "into", real), "to_half", half, stride=2)
    summary = layer(hidden, "to_quarter", quarter, operator="Tanh", stride=2)
    hidden = layer(_twice(to, summary), "back", half)
    hidden = layer(_twice(to, hidden), "whole", real)
    restored = to.add("Transpose", _convolution(to, hidden, weights, "restored"), perm=[0, 2, 1])
    return _error_graph(to, "x", restored, shares, ["b", "t"])


def dense(weights: dict[str, F32]) -> bytes:
    """Return the graph ``x [b, f] -> restored [b, f]`` of a `networks.DenseAutoencoder`, without noise."""
    to, value = Writer("dense-autoencoder"), "x"
    for name in ("into.", "code.", "back."):
        value = to.linear(value, weights, name)
        value = value if name == "code." else to.add("Relu", value)
    to.linear(value, weights, "restored.", out="restored")
    shape = ["b", weights["restored.bias"].shape[0]]
    float32 = onnx.TensorProto.FLOAT
    return to.model([("x", float32, shape)], [("restored", float32, shape)])


def _error_graph(to: Writer, x: str, restored: str, shares: F32, order: list[str]) -> bytes:
    """Finish a graph whose `x` and `restored` are [*order, f]."""
    off = to.add("Sub", restored, x)
    weighted = to.add("MatMul", to.add("Mul", off, off), to.constant("shares", shares[:, None]))
    error = to.add("Squeeze", weighted, to.axes(2), out="" if order[0] == "t" else "error")
    if order[0] == "t":
        to.add("Transpose", error, perm=[1, 0], out="error")
    int64, float32 = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    return to.model(
        [("x", float32, ["b", "t", len(shares)]), ("lengths", int64, ["b"])], [("error", float32, ["b", "t"])]
    )


def _convolution(to: Writer, x: str, weights: dict[str, F32], name: str, stride: int = 1) -> str:
    w = to.constant(f"{name}.weight", weights[f"{name}.weight"])
    b = to.constant(f"{name}.bias", weights[f"{name}.bias"])
    pad = weights[f"{name}.weight"].shape[2] // 2
    return to.add("Conv", x, w, b, pads=[pad, pad], strides=[stride])


def _twice(to: Writer, x: str) -> str:
    """Add what repeats each step [b, c, t] -> [b, c, 2t]."""
    apart = to.add("Unsqueeze", x, to.axes(3))
    return to.add("Reshape", to.add("Concat", apart, apart, axis=3), to.constant("joined", np.array([0, 0, -1])))


def _hidden(to: Writer, weights: dict[str, F32], counted: int) -> str:
    tokens = to.add("Transpose", "tokens", perm=[1, 0])
    embedded = to.add("Gather", to.constant("embedding", weights["embedding.weight"]), tokens)
    hidden = to.lstm(embedded, weights, "lstm.")
    if not counted:
        return hidden
    counts = to.lstm(_counts(to, tokens, len(weights["embedding.weight"]), counted), weights, "counts.")
    return to.add("Concat", hidden, counts, axis=2)


def _counts(to: Writer, tokens: str, inputs: int, counted: int) -> str:
    """Add how often each token stands among the last `counted` [t, b, v], of tokens [t, b]."""
    pair = to.constant("pair", np.array([0, 1], np.float32))
    each = to.add("OneHot", tokens, to.constant("inputs", np.array([inputs], np.int64)), pair)
    running = to.add("CumSum", each, to.axes(0))
    lead = to.add("Concat", to.axes(counted), to.add("Shape", each, start=1), axis=0)
    nothing = to.add("Expand", to.constant("nothing", np.zeros(1, np.float32)), lead)
    behind = to.add("Concat", nothing, running, axis=0)
    return to.add("Sub", running, to.add("Slice", behind, to.axes(0), to.axes(-counted), to.axes(0)))
