"""Noise that nobody without the key can take off: AES-256 in counter mode, made into uniform and normal numbers.

A generator for simulations will not do. Its whole future follows from its seed, and a seed of 32 bits (what PyTorch's
keeps on a CPU) is found by trying: whoever sees an update and can guess the windows tries them all. Here the key has
256 bits, and numbers are drawn by NIST SP 800-38A, section 6.5 (counter mode), and by Box and Muller, "A note on the
generation of random normal deviates", Ann. Math. Stat. 29, 1958, in float64.

What it is not: noise on the grid of floating-point numbers is no real Gaussian, and its last bits can tell something of
a sum (Mironov, CCS 2012). The noise of a histogram or of scores is not rounded against that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlog.errors import MissingExtraError
from oddlog.types import F64

try:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
except ImportError as error:
    raise MissingExtraError("Differential privacy", "federated") from error

KEY_BYTES = 32
Shape = int | tuple[int, ...]


class Noise:
    """A stream of numbers that its key decides.

    Parameters
    ----------
    key : bytes
        32 of them; a key is for one stream.

    Examples
    --------
    >>> bool((Noise(bytes(32)).normal(3) == Noise(bytes(32)).normal(3)).all())
    True

    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes, not {KEY_BYTES}")
        self._stream: Any = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def uniform(self, shape: Shape) -> F64:
        """Return numbers in [0, 1), each a multiple of 2⁻⁵³."""
        return np.asarray(self._whole(shape) * 2.0**-53, np.float64)

    def normal(self, shape: Shape) -> F64:
        """Return standard normal numbers; the farthest that can come is 8.6."""
        n = int(np.prod(shape))
        half = (n + 1) // 2
        far = np.sqrt(-2 * np.log((self._whole(half) + 1) * 2.0**-53))  # of (0, 1]: the logarithm is finite
        angle = 2 * np.pi * self.uniform(half)
        both = np.concatenate([far * np.cos(angle), far * np.sin(angle)])
        return np.asarray(both[:n].reshape(shape), np.float64)

    def _whole(self, shape: Shape) -> NDArray[np.uint64]:
        """Return whole numbers below 2⁵³."""
        content = self._stream.update(bytes(8 * int(np.prod(shape))))
        return (np.frombuffer(content, "<u8") >> np.uint64(11)).reshape(shape)
