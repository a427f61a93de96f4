"""What the networks on sequences compute, one window and one event at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_mean(values: list[float], top: int) -> float:
    """Mean of the highest `top` values, NaN of none."""
    kept = sorted(values, reverse=True)[:top]
    return sum(kept) / len(kept) if kept else float("nan")


def cut(length: int, most: int, warm: int) -> list[tuple[int, int, int]]:
    """(start, first scored, stop) of each piece of a window of `length` events."""
    found = [(0, 0, min(length, most))]
    while found[-1][2] < length:
        fresh = found[-1][2]
        found.append((fresh - warm, fresh, min(fresh - warm + most, length)))
    return found


def lstm(x: NDArray[np.float64], weights: dict[str, NDArray[np.float32]], prefix: str) -> NDArray[np.float64]:
    """Every hidden state [t, h] of one sequence [t, d]: Hochreiter and Schmidhuber with a forget gate, as PyTorch."""

    def sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-value))

    w, r = (weights[f"{prefix}weight_{part}_l0"].astype(np.float64) for part in ("ih", "hh"))
    b = weights[f"{prefix}bias_ih_l0"].astype(np.float64) + weights[f"{prefix}bias_hh_l0"]
    h, c, states = np.zeros(r.shape[1]), np.zeros(r.shape[1]), []
    for row in x:
        i, f, g, o = np.split(w @ row + r @ h + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def next_probabilities(tokens: list[int], weights: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Probability of each token after each of `tokens` [t, v]."""
    x = weights["embedding.weight"].astype(np.float64)[tokens]
    logits = lstm(x, weights, "lstm.") @ weights["choice.weight"].astype(np.float64).T + weights["choice.bias"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)
