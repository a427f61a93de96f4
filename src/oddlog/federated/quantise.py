"""Updates in few bytes: whole numbers of few bits, what is lost carried over to the next round.

::

    block of 256 numbers:   largest magnitude m (float32)   then each number as round(x / m · (2^(bits-1) - 1))

8 bits a number are a quarter of float32, 4 bits an eighth, 2 bits (-1, 0, 1) a sixteenth. A site keeps what rounding
took away and adds it to its next update, so nothing is lost for good: Seide et al., "1-bit stochastic gradient
descent", Interspeech 2014, section 2.2; Karimireddy et al., "Error feedback fixes SignSGD", ICML 2019, algorithm 2.

Only what the server may see is quantised: secure sums need all sites on one scale, see `secagg.ring`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from oddlog.errors import ConfigError
from oddlog.types import F32, U8

Bits = Literal[2, 4, 8]
BLOCK = 256
_BYTE = 8


class DamagedError(ValueError):
    """Bytes that are no quantised update of this size."""


def quantised(update: F32, bits: Bits = 8) -> bytes:
    """Return an update [p] in few bytes.

    Raises
    ------
    ConfigError
        If `bits` is not 2, 4 or 8.

    Examples
    --------
    >>> content = quantised(np.linspace(-1, 1, 512, dtype=np.float32))
    >>> len(content), float(abs(restored(content, 512) - np.linspace(-1, 1, 512)).max().round(3))
    (520, 0.004)

    """
    if bits not in get_args(Bits):
        raise ConfigError(f"Updates are not written in {bits} bits.", "Write 8, 4 or 2.")
    size, most = len(update), 2 ** (bits - 1) - 1
    blocks = np.zeros((-(-size // BLOCK), BLOCK), np.float32)
    blocks.ravel()[:size] = update
    largest = np.abs(blocks).max(1, initial=0)
    scale = np.where(largest > 0, largest, 1)[:, None]
    steps = (np.rint(blocks / scale * most) + most).astype(np.uint8).ravel()[:size]
    head: bytes = largest.astype("<f4").tobytes()
    return head + _packed(steps, bits).tobytes()


def restored(content: bytes, size: int, bits: Bits = 8) -> F32:
    """Return the update [size] that was quantised.

    Raises
    ------
    DamagedError
        If the bytes are too few or too many, or hold what `quantised` never writes.

    """
    blocks, most = -(-size // BLOCK), 2 ** (bits - 1) - 1
    if len(content) != n_bytes(size, bits):
        raise DamagedError(f"{len(content)} bytes, and {n_bytes(size, bits)} make an update of {size} numbers")
    largest = np.frombuffer(content, "<f4", blocks)
    steps = _unpacked(np.frombuffer(content, np.uint8, offset=4 * blocks), bits)[:size]
    if not np.isfinite(largest).all() or (largest < 0).any() or (steps > 2 * most).any():
        raise DamagedError("bytes that no quantised update has")
    values = (steps.astype(np.float32) - most) / np.float32(most)
    return np.asarray(values * np.repeat(largest, BLOCK)[:size], np.float32)


def n_bytes(size: int, bits: Bits = 8) -> int:
    """Return how many bytes an update of `size` numbers takes.

    >>> n_bytes(28_000), n_bytes(28_000, 4)
    (28440, 14440)
    """
    return -(-size // BLOCK) * 4 + -(-size * bits // _BYTE)


@dataclass
class Feedback:
    """What a site still owes: the part of its updates that rounding took away.

    Attributes
    ----------
    owed : F32 [p]
        Added to the next update.

    """

    bits: Bits = 8
    owed: F32 = field(default_factory=lambda: np.zeros(0, np.float32))

    def sent(self, update: F32) -> bytes:
        """Return an update [p] with what is owed, quantised; what that loses is owed from now on."""
        whole = update + self.owed if len(self.owed) == len(update) else update
        content = quantised(whole, self.bits)
        self.owed = whole - restored(content, len(update), self.bits)
        return content


def _packed(steps: U8, bits: int) -> U8:
    """Return numbers below 2^bits [x], several to a byte."""
    to_a_byte = _BYTE // bits
    padded = np.zeros(-(-len(steps) // to_a_byte) * to_a_byte, np.uint8)
    padded[: len(steps)] = steps
    shifts = (np.arange(to_a_byte) * bits).astype(np.uint8)
    packed: U8 = np.bitwise_or.reduce(padded.reshape(-1, to_a_byte) << shifts, axis=1)
    return packed


def _unpacked(packed: U8, bits: int) -> U8:
    shifts = (np.arange(_BYTE // bits) * bits).astype(np.uint8)
    parts: U8 = ((packed[:, None] >> shifts) & np.uint8(2**bits - 1)).ravel()
    return parts
