"""Train the denoising autoencoder and write its graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils import skip_init

from oddlog.types import F32, F64

OPSET = 17
"""The newest operator set that every supported ONNX Runtime (1.19 and later) reads without a warning."""


@dataclass(frozen=True)
class Recipe:
    """How long and how the network learns."""

    hidden: tuple[int, ...]
    steps: int
    rate: float
    final_rate: float
    noise: float
    batch: int
    seed: int
    epsilon: float = 1e-8  # of Adam


def train(x: F32, weight: F64, recipe: Recipe, begin: dict[str, F32] | None = None) -> dict[str, F32]:
    """Learn to undo noise.

    Parameters
    ----------
    x : F32 [r, f]
        Standardised features of the distinct rows.
    weight : F64 [r]
        How much each row's error counts.
    recipe : Recipe
        Widths, steps, rates, noise, rows per step, seed.
    begin : dict of F32, optional
        Weights to learn on from; without them they are drawn.

    Returns
    -------
    dict of F32
        ``w0 [f, h] b0 [h] w1 ...``: layer i computes ``x @ w + b``, with GELU behind every layer but the last.

    """
    model = network(initial(x.shape[1], recipe) if begin is None else begin)
    rows, weights = torch.from_numpy(x), torch.from_numpy(weight.astype(np.float32))
    adam = torch.optim.Adam(model.parameters(), lr=recipe.rate, eps=recipe.epsilon, fused=True)
    with one_thread():
        _steps(model, rows, weights, recipe, adam)
    return {name: value.detach().numpy().copy() for name, value in _named(model)}


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: steps this small lose more by waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _steps(model: nn.Sequential, rows: Tensor, weights: Tensor, recipe: Recipe, adam: torch.optim.Adam) -> None:
    noise = torch.Generator().manual_seed(recipe.seed)
    choose = np.random.default_rng(recipe.seed)
    for step in range(recipe.steps):
        done = step / max(1, recipe.steps - 1)
        adam.param_groups[0]["lr"] = recipe.rate + (recipe.final_rate - recipe.rate) * done
        clean, share = rows, weights
        if len(rows) > recipe.batch:
            pick = torch.from_numpy(choose.choice(len(rows), recipe.batch, replace=False))
            clean, share = rows[pick], weights[pick]
        noisy = clean + recipe.noise * torch.randn(clean.shape, generator=noise)
        adam.zero_grad()
        loss = (((model(noisy) - clean) ** 2).mean(1) * share).sum() / share.sum()
        loss.backward()
        adam.step()


def initial(features: int, recipe: Recipe) -> dict[str, F32]:
    """Return weights drawn as torch draws them (uniform within 1 / sqrt(inputs)), from a generator of our own."""
    draw = np.random.default_rng(recipe.seed)
    widths = [features, *recipe.hidden, features]
    weights: dict[str, F32] = {}
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        reach = 1 / np.sqrt(n_in)
        weights[f"w{i}"] = draw.uniform(-reach, reach, (n_in, n_out)).astype(np.float32)
        weights[f"b{i}"] = draw.uniform(-reach, reach, n_out).astype(np.float32)
    return weights


def network(weights: dict[str, F32]) -> nn.Sequential:
    """Return the torch network with these weights."""
    layers: list[nn.Module] = []
    for i in range(len(weights) // 2):
        w, b = weights[f"w{i}"], weights[f"b{i}"]
        # as it stands nn.Linear would draw from the generator of the whole process
        linear: nn.Linear = skip_init(nn.Linear, *w.shape)  # type: ignore[no-untyped-call]  # torch's own
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _named(model: nn.Sequential) -> list[tuple[str, Tensor]]:
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    return [pair for i, layer in enumerate(linear) for pair in ((f"w{i}", layer.weight.T), (f"b{i}", layer.bias))]


def inputs(x: F32, weight: F64, weights: dict[str, F32], noise: float, seed: int) -> list[F64]:
    """Return second moments of what goes into each layer and a 1 for its bias [i + 1, i + 1], as the network learns.

    Parameters
    ----------
    x : F32 [r, f]
        Standardised features of the distinct rows.
    weight : F64 [r]
        How much each row's error counts.
    weights : dict of F32
        Of the network.
    noise, seed : float, int
        Of the noise that the rows have in training.

    """
    draw = np.random.default_rng(seed)
    value = torch.from_numpy(x + (noise * draw.normal(size=x.shape)).astype(np.float32))
    share, found, last = torch.from_numpy(weight / weight.sum()), [], len(weights) // 2 - 1
    with one_thread(), torch.no_grad():
        for i in range(last + 1):
            both = torch.cat([value, torch.ones(len(value), 1)], 1).double()
            found.append(((both * share[:, None]).T @ both).numpy())
            value = value @ torch.from_numpy(weights[f"w{i}"]) + torch.from_numpy(weights[f"b{i}"])
            value = nn.functional.gelu(value) if i < last else value
    return found


def to_onnx(weights: dict[str, F32]) -> bytes:
    """Return the graph ``x [b, f] -> error [b, f]``, the reconstruction less the input.

    Written node by node: twelve nodes need no tracer, and the same weights give the same bytes. GELU is
    spelled out (Hendrycks and Gimpel, arXiv 1606.08415: x / 2 * (1 + erf(x / sqrt 2))) because its operator
    came with set 20.
    """
    nodes, value = _forward(weights, len(weights) // 2)
    nodes.append(helper.make_node("Sub", [value, "x"], ["error"]))
    return _graph(nodes, weights, "error", weights["w0"].shape[0])


def code_to_onnx(weights: dict[str, F32], layers: int) -> bytes:
    """Return the graph ``x [b, f] -> code [b, h]``: what the first `layers` layers make of the features."""
    nodes, value = _forward(weights, layers)
    nodes.append(helper.make_node("Identity", [value], ["code"]))
    first = {f"{kind}{i}": weights[f"{kind}{i}"] for i in range(layers) for kind in "wb"}
    return _graph(nodes, first, "code", weights[f"w{layers - 1}"].shape[1])


def _forward(weights: dict[str, F32], layers: int) -> tuple[list[onnx.NodeProto], str]:
    """Return the nodes of the first layers, GELU behind all but the network's last, and what they are called."""
    nodes, value, last = [], "x", len(weights) // 2 - 1
    for i in range(layers):
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"h{i}"]))
        value = f"h{i}"
        if i < last:
            nodes += [
                helper.make_node("Mul", [value, "root_half"], [f"scaled{i}"]),
                helper.make_node("Erf", [f"scaled{i}"], [f"erf{i}"]),
                helper.make_node("Add", [f"erf{i}", "one"], [f"gate{i}"]),
                helper.make_node("Mul", [value, f"gate{i}"], [f"twice{i}"]),
                helper.make_node("Mul", [f"twice{i}", "half"], [f"g{i}"]),
            ]
            value = f"g{i}"
    return nodes, value


def _graph(nodes: list[onnx.NodeProto], weights: dict[str, F32], out: str, width: int) -> bytes:
    constants = {"root_half": np.sqrt(0.5), "one": 1.0, "half": 0.5}
    stored = {**weights, **{name: np.array(c, np.float32) for name, c in constants.items()}}
    features = weights["w0"].shape[0]
    graph = helper.make_graph(
        nodes,
        "denoising-autoencoder",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", features])],
        [helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, ["b", width])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
