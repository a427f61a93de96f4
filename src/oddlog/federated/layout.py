"""Weights by name as one vector, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.types import F32


@dataclass(frozen=True)
class Layout:
    """Where each weight stands in the vector.

    Attributes
    ----------
    names : tuple of str
        Sorted.
    shapes : tuple of tuple of int
        Of each.

    Examples
    --------
    >>> layout = Layout.of({"b": np.zeros(2, np.float32), "a": np.ones((1, 2), np.float32)})
    >>> layout.names, layout.size
    (('a', 'b'), 4)
    >>> layout.vector({"b": np.zeros(2, np.float32), "a": np.ones((1, 2), np.float32)}).tolist()
    [1.0, 1.0, 0.0, 0.0]

    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[Any]]) -> Self:
        """Return the layout of `weights`."""
        names = tuple(sorted(weights))
        return cls(names, tuple(weights[name].shape for name in names))

    @property
    def size(self) -> int:
        """Numbers in the vector (p)."""
        return sum(prod(shape) for shape in self.shapes)

    def vector(self, weights: Mapping[str, NDArray[Any]]) -> F32:
        """Return the weights one behind the other [p]."""
        parts = [np.asarray(weights[name], np.float32).ravel() for name in self.names]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def weights(self, vector: NDArray[Any]) -> dict[str, F32]:
        """Return the weights that stand in a vector [p]."""
        ends = np.cumsum([prod(shape) for shape in self.shapes])[:-1]
        parts = np.split(np.asarray(vector, np.float32), ends)
        named = zip(self.names, self.shapes, parts, strict=True)
        return {name: part.reshape(shape).copy() for name, shape, part in named}
