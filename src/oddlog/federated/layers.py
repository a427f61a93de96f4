"""Networks of all sites merged layer by layer, each where a site has something to say.

A mean of updates gives every site the same voice in everything: what two sites of ten have learned is in it with a
fifth, and what the others have unlearned meanwhile takes it away again. But a layer is a linear map, and a site knows
which of its inputs it has ever seen. So beside its update Δ_k a site sends G_k, the second moments of what goes into
each layer over its usual windows, and the merged layer is the one that does to each site's inputs what that site's
own does, as nearly as least squares can::

    Δ = (Σ_k w_k (G_k + λ))⁻¹ · Σ_k w_k (G_k + λ) Δ_k            with G_k shrunk towards its diagonal

Where only one site has inputs its layer holds; where all have the same it is their weighted mean; and so it is where
nobody has any, by λ. Both sums are over sites, so that secure sums do as well.

Jin et al., "Dataless knowledge fusion by merging weights of language models", ICLR 2023, eq. 2 (RegMean), with
the shrinking of section 3.2. There once, after training; here in each round, and by differences, with λ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlog.federated.layout import Layout
from oddlog.types import F32, F64

KEPT = 0.9
"""Of a second moment of two different inputs; the paper's range is .7 to 1."""
RIDGE = 0.01
"""λ: inputs are standardised, so a thousandth is next to nothing and 1 is what all sites together have."""
LARGEST = 32.0
"""Largest second moment of one input: with more a site's whole G counts by less, so that none can outvote all."""
BOUND = 64.0
"""Largest number in a secure sum of second moments and their products with an update."""


@dataclass(frozen=True)
class Layers:
    """The layers of a network: of each the names of weights [i, o] and bias [o]; the bias is one more input.

    Examples
    --------
    >>> layout = Layout.of({"w": np.zeros((2, 1), np.float32), "b": np.zeros(1, np.float32)})
    >>> layers = Layers(layout, (("w", "b"),))
    >>> left, right = (layers.packed([np.diag([one, other, 0.0])]) for one, other in ((1.0, 0.0), (0.0, 1.0)))
    >>> apart = [np.array(update, np.float32) for update in ([0, 8, 0], [0, 0, 4])]          # b, then w
    >>> product = layers.product(left, apart[0]) + layers.product(right, apart[1])
    >>> layers.merged(left + right, product, 2.0).round(1).tolist()
    [0.0, 7.9, 4.0]

    """

    layout: Layout
    names: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, layout: Layout, names: Sequence[Sequence[str]]) -> Layers | None:
        """Return the layers of these names, None where there are none, or they are not all that the network has."""
        pairs = tuple((str(weight), str(bias)) for weight, bias in names)
        named = sorted(name for pair in pairs for name in pair)
        if not pairs or tuple(named) != layout.names:
            return None
        shape = dict(zip(layout.names, layout.shapes, strict=True))
        fits = all(len(shape[w]) == 2 and shape[b] == shape[w][1:] for w, b in pairs)  # noqa: PLR2004 - a matrix
        return cls(layout, pairs) if fits else None

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Inputs of each layer, that of the bias among them."""
        shape = dict(zip(self.layout.names, self.layout.shapes, strict=True))
        return tuple(shape[weight][0] + 1 for weight, _ in self.names)

    @property
    def size(self) -> int:
        """Numbers that the second moments of all layers are packed into: their upper triangles."""
        return sum(width * (width + 1) // 2 for width in self.widths)

    def packed(self, moments: Sequence[NDArray[Any]]) -> F32:
        """Return second moments, of each layer [i + 1, i + 1], as they are sent; cut to `LARGEST`."""
        largest = max(float(np.diag(one).max(initial=0.0)) for one in moments)
        upper = [one[np.triu_indices(len(one))] for one in moments]
        return (np.concatenate(upper) * min(1.0, LARGEST / max(largest, 1e-12))).astype(np.float32)

    def believed(self, packed: NDArray[Any]) -> F32 | None:
        """Return second moments that a site has sent, None if they are none."""
        if packed.dtype.kind != "f" or packed.shape != (self.size,) or not np.isfinite(packed).all():
            return None
        found = list(self._whole(packed.astype(np.float64)))
        slack = 1e-2 * max(1.0, *(float(np.diag(one).max()) for one in found))
        if any(np.linalg.eigvalsh(one)[0] < -slack for one in found):
            return None
        return self.packed(found)

    def product(self, packed: F32, update: F32) -> F64:
        """Return (G + λ) Δ of one site [p], in the order of the layout."""
        delta = self.layout.weights(update)
        found: dict[str, F64] = {}
        for (weight, bias), moments in zip(self.names, self._shrunk(packed), strict=True):
            both = np.vstack([delta[weight], delta[bias][None]]).astype(np.float64)
            found[weight], (found[bias],) = np.vsplit((moments + RIDGE * np.eye(len(moments))) @ both, [-1])
        return np.concatenate([found[name].ravel() for name in self.layout.names])

    def merged(self, moments: NDArray[Any], product: F64, weight: float) -> F64:
        """Return the update [p] of all sites.

        Parameters
        ----------
        moments : array
            Σ w_k G_k, packed.
        product : F64 [p]
            Σ w_k (G_k + λ) Δ_k.
        weight : float
            Σ w_k.

        """
        right, at = {}, 0
        for name, shape in zip(self.layout.names, self.layout.shapes, strict=True):
            size = int(np.prod(shape))
            right[name] = product[at : at + size].reshape(shape)
            at += size
        found: dict[str, F64] = {}
        for (name, bias), total in zip(self.names, self._shrunk(moments), strict=True):
            value, vector = np.linalg.eigh(total)  # what a liar, or rounding, has made negative is nothing
            both = np.vstack([right[name], right[bias][None]])
            both = vector @ ((vector.T @ both) / (np.maximum(value, 0.0) + RIDGE * weight)[:, None])
            found[name], (found[bias],) = np.vsplit(both, [-1])
        return np.concatenate([found[name].ravel() for name in self.layout.names])

    def _whole(self, packed: NDArray[Any]) -> list[F64]:
        found, at = [], 0
        for width in self.widths:
            one, size = np.zeros((width, width)), width * (width + 1) // 2
            one[np.triu_indices(width)] = packed[at : at + size]
            found.append(one + one.T - np.diag(np.diag(one)))
            at += size
        return found

    def _shrunk(self, packed: NDArray[Any]) -> list[F64]:
        return [KEPT * one + (1 - KEPT) * np.diag(np.diag(one)) for one in self._whole(packed)]


def names_of(detector: Any) -> list[list[str]]:
    """Return the layers of a detector that can tell what goes into each (``layers``, ``get_inputs``); else none.

    >>> names_of(object())
    []
    """
    found: Mapping[str, str] = getattr(detector, "layers", {})
    return [[weight, bias] for weight, bias in found.items()]
