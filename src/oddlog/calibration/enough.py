"""Which false-alarm rates so many usual windows can hold."""

from __future__ import annotations

PER_RATE = 2.5
"""Usual windows needed per expected false alarm: 2,500 hold 1 in 1,000, below which extreme quantiles swing."""


def lowest_rate(n_usual: float) -> float:
    """Return the lowest false-alarm rate that so many usual windows can hold.

    >>> lowest_rate(2_500)
    0.001
    """
    return min(1.0, PER_RATE / n_usual) if n_usual > 0 else 1.0


def too_few(rate: float, n_usual: float) -> str:
    """Say that there are too few usual windows for a false-alarm rate, and which one they hold; "" if enough.

    >>> too_few(0.0001, 5_000)
    'too few usual windows for this false-alarm rate: 5,000 hold 1 in 2,000, 1 in 10,000 takes 25,000'
    """
    lowest = lowest_rate(n_usual)
    if rate >= lowest:
        return ""
    return (
        f"too few usual windows for this false-alarm rate: {n_usual:,.0f} hold 1 in {1 / lowest:,.0f}, "
        f"1 in {1 / rate:,.0f} takes {PER_RATE / rate:,.0f}"
    )
