"""Random draws that are the same bits on every machine and with every numpy.

`numpy.random.Generator` may change how it turns bits into numbers from one release to the next (NEP 19), and
``exp`` differs between processors in its last bit. So only the bit stream of PCG64 is used, which is promised
to stay, and everything after it is integer arithmetic.
"""

from __future__ import annotations

from math import exp
from statistics import NormalDist

import numpy as np

from oddlog.types import I64, U64, Bool

SPREAD = 0.5
"""Standard deviation of the logarithm of a latency: one request in 40 takes more than 2.7 times the median."""
_STEPS = 4096
_UNIT = 1 << 12


def latency_factors() -> tuple[float, ...]:
    """Return the quantiles of a log-normal with median 1, in units of 1/4096, before rounding."""
    normal = NormalDist()
    return tuple(_UNIT * exp(SPREAD * normal.inv_cdf((i + 0.5) / _STEPS)) for i in range(_STEPS))


_FACTOR: I64 = np.rint(np.array(latency_factors())).astype(np.int64)


class Draws:
    """A stream of random integers.

    Parameters
    ----------
    seed : int
        The same seed gives the same stream everywhere. Not negative.

    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def raw(self, n: int) -> U64:
        """Return 64 random bits each [n]."""
        return np.asarray(self._bits.random_raw(n), np.uint64).reshape(n)

    def below(self, bound: int, n: int) -> I64:
        """Return integers from 0 to `bound` - 1 [n]; `bound` at most 2**32.

        The high half times the bound, shifted back (Lemire 2019, without the rejection: the bias is
        below bound / 2**32).
        """
        return (((self.raw(n) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def chance(self, percent: float, n: int) -> Bool:
        """Return true in `percent` of the cases [n]; resolution 0.01 percent."""
        return self.below(10_000, n) < round(percent * 100)

    def latency(self, median_us: int, n: int) -> I64:
        """Return log-normal times in microseconds [n]."""
        return (_FACTOR[self.below(_STEPS, n)] * median_us) // _UNIT

    def spread(self, weights: I64, n: int) -> I64:
        """Return positions in `weights` [n], each drawn as often as its weight says."""
        edges = np.cumsum(weights)
        return np.searchsorted(edges, self.below(int(edges[-1]), n), side="right").astype(np.int64)
