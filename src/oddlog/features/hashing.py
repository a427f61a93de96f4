"""Hashes by which windows are told alike: sums of mixed parts, the same on every machine.

Sums wrap around at 2^64, so that of a window is the difference of two running sums; two different windows out of w
meet with a chance of about w² / 2^65.
"""

from __future__ import annotations

import numpy as np

from oddlog.types import I64, U64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(value: U64, start: np.uint64 = GOLDEN) -> U64:
    """Return well-spread 64-bit values [x]: equal inputs, unlike bits.

    SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16
    (doi 10.1145/2660193.2660195). Another `start` gives other values.
    """
    with np.errstate(over="ignore"):
        value = value + start
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


def sums_of(part: U64, offsets: I64) -> U64:
    """Return the sum of the parts [e] of each window [w], whatever their order; 0 of none.

    >>> sums_of(np.array([1, 2, 3], np.uint64), np.array([0, 2, 2, 3])).tolist()
    [3, 0, 3]
    """
    running = np.zeros(len(part) + 1, np.uint64)
    np.cumsum(part, out=running[1:])
    with np.errstate(over="ignore"):
        return np.asarray(running[offsets[1:]] - running[offsets[:-1]], np.uint64)


def places(offsets: I64) -> U64:
    """Return how many events stand before each event [e] in its window.

    >>> places(np.array([0, 2, 2, 3])).tolist()
    [0, 1, 0]
    """
    return (np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))).astype(np.uint64)
