"""Real numbers as whole ones in a ring, and masks over it.

::

    x  in [-bound, bound]  →  round(x · scale)  mod 2^bits        scale = (2^(bits-1) - 1 - sites) / (bound · sites)

so that the sum of all sites never leaves the ring. Each value is off by at most half a step, the sum of c sites by
c / (2 · scale): with 10 sites, bound 4 and 32 bits by 1e-7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from oddlog.errors import ConfigError
from oddlog.types import F64

Whole = NDArray[Any]
"""uint32 or uint64."""


@dataclass(frozen=True)
class Ring:
    """Fixed-point numbers modulo a power of two.

    Attributes
    ----------
    sites : int
        At most so many are summed.
    bound : float
        Largest magnitude of a value; what is beyond is cut, and the site is told how much of it there was.
    bits : 32 or 64
        Width. 32 is the size of float32, so masking costs no bytes.

    Examples
    --------
    >>> ring = Ring(sites=3, bound=4.0)
    >>> whole = [ring.whole(np.array([x, -x])) for x in (1.5, 2.5, -0.25)]
    >>> ring.real(whole[0] + whole[1] + whole[2]).round(6).tolist()
    [3.75, -3.75]

    """

    sites: int
    bound: float
    bits: Literal[32, 64] = 32

    def __post_init__(self) -> None:
        if self.bits not in (32, 64) or self.sites < 1 or not (np.isfinite(self.bound) and self.bound > 0):
            raise ConfigError(
                f"No ring of {self.bits} bits holds {self.sites} sites with values up to {self.bound}.",
                "Write 32 or 64 bits, a site at least, and a positive bound.",
            )

    @property
    def type(self) -> type[np.uint32] | type[np.uint64]:
        """The type of its numbers."""
        return np.uint32 if self.bits == 32 else np.uint64  # noqa: PLR2004 - the width

    @property
    def scale(self) -> float:
        """Steps to one."""
        return float((2.0 ** (self.bits - 1) - 1 - self.sites) / (self.bound * self.sites))

    @property
    def error(self) -> float:
        """Most that the sum of all sites is off by."""
        return self.sites / (2 * self.scale)

    def whole(self, values: NDArray[Any]) -> Whole:
        """Return real values [p] in the ring.

        Raises
        ------
        ValueError
            If one is no number.

        """
        if not np.isfinite(values).all():
            raise ValueError("a value is no number")
        steps = np.rint(np.clip(values.astype(np.float64), -self.bound, self.bound) * self.scale).astype(np.int64)
        return steps.astype(np.uint64).astype(self.type)

    def real(self, sums: Whole) -> F64:
        """Return what a sum in the ring stands for [p]."""
        signed = sums.astype(self.type).view(np.int32 if self.bits == 32 else np.int64)  # noqa: PLR2004 - the width
        return np.asarray(signed.astype(np.float64) / self.scale, np.float64)

    def mask(self, key: bytes, n: int) -> Whole:
        """Return `n` numbers that whoever has the key can make again: AES-256 in counter mode.

        A key serves one mask only, so the counter may begin at zero.
        """
        stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        size = self.bits // 8
        return np.frombuffer(stream.update(bytes(n * size)), np.dtype(f"<u{size}"))
