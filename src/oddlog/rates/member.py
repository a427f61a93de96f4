"""What the members of the rates view have in common: what they are given, what they return, how far off is far.

A member looks at *subjects* (series, shares of two series, types of line), and returns where these are odd as
*candidates*, a row each:

========= =====================================================================
`subject` number of the subject, the member's own
`minute`  the last minute of the stretch
`span`    minutes of the stretch
`score`   how far from usual: about a standard normal deviate, higher is odder
`seen`    what was there: lines, a mean, a share, silent minutes
`usual`   what is expected there
`who`     number of the entity that causes it, -1 where that is not the question
========= =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import polars as pl

from oddlog.rates.series import Block, Counted, Series
from oddlog.types import F64, Bool, State

CANDIDATES = pl.Schema(
    {
        "subject": pl.Int32(),
        "minute": pl.Int32(),
        "span": pl.Int32(),
        "score": pl.Float64(),
        "seen": pl.Float64(),
        "usual": pl.Float64(),
        "who": pl.Int32(),
    }
)
LEAST_SCORE = 3.0  # what is nearer to usual is not even a candidate


@dataclass(frozen=True)
class Expected:
    """What is usual of the series of a block: the least and the most, by minute [x, t]."""

    low: F64
    high: F64

    @property
    def middle(self) -> F64:
        """Between both [x, t]."""
        return (self.low + self.high) / 2


class BlockMember(Protocol):
    """Looks at each series by itself, a block of them at a time."""

    name: str

    def prepare(self, series: Series) -> None:
        """Make room for so many series, before anything is learned."""
        ...

    def learn(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Learn some series; return the candidates of the training time. `expected` is out of fold."""
        ...

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return where the series of a block are odd; changes nothing."""
        ...

    def state(self) -> State:
        """Return what `from_state` needs."""
        ...

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        ...


class WholeMember(Protocol):
    """Looks at several series, or at entities, together."""

    name: str

    def learn(self, counted: Counted) -> pl.DataFrame:
        """Learn; return the candidates of the training time."""
        ...

    def judge(self, counted: Counted) -> pl.DataFrame:
        """Return where something is odd; changes nothing."""
        ...

    def state(self) -> State:
        """Return what `from_state` needs."""
        ...

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        ...


def frame(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Return candidates."""
    there = {"who": np.full(len(columns["minute"]), -1), **columns}
    return pl.DataFrame({name: np.asarray(there[name]) for name in CANDIDATES}).cast(CANDIDATES)


def joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the candidates of all parts, only the strongest of each subject and minute."""
    every = pl.concat([pl.DataFrame(schema=CANDIDATES), *parts])
    ranked = every.sort("subject", "who", "minute", "score", "span", descending=[False, False, False, True, False])
    return ranked.unique(["subject", "who", "minute"], keep="first", maintain_order=True)


def count_deviate(seen: F64, expected: F64, alpha: F64 | float) -> F64:
    """Return how far counts are above (> 0) or below (< 0) what is expected, as a normal deviate.

    The signed root of the deviance of the negative binomial distribution with variance μ + α μ² (McCullagh and
    Nelder, Generalized Linear Models, 1989, section 2.4 and 11.2), half a line nearer to μ as it is a count:

        d² / 2 = y ln(y / μ) - (y + 1/α) ln((1 + α y) / (1 + α μ))

    >>> count_deviate(np.array([100.0, 10.0]), np.array([100.0, 100.0]), 1e-9).round(1).tolist()
    [0.0, -12.0]
    """
    mu = np.maximum(expected, 1e-9)
    y = np.where(seen > mu, np.maximum(seen - 0.5, mu), np.minimum(seen + 0.5, mu))
    log_ratio = np.log(y / mu)
    half = y * log_ratio - (y + 1 / alpha) * np.log1p(alpha * (y - mu) / (1 + alpha * mu))
    result: F64 = np.sign(y - mu) * np.sqrt(np.maximum(2 * half, 0.0))
    return result


def share_deviate(part: F64, whole: F64, usual: F64 | float) -> F64:
    """Return how far a share is above (> 0) or below what is usual, as a normal deviate.

    The signed root of the binomial deviance, half a line nearer to what is expected:

        d² / 2 = y ln(y / (N p)) + (N - y) ln((N - y) / (N (1 - p)))

    >>> share_deviate(np.array([5.0, 60.0]), np.array([100.0, 100.0]), 0.05).round(1).tolist()
    [0.0, 15.7]
    """
    p = np.clip(usual, 1e-6, 1 - 1e-6)
    expected = whole * p
    y = np.where(part > expected, np.maximum(part - 0.5, expected), np.minimum(part + 0.5, expected))
    rest = np.maximum(whole - y, 1e-9)
    y = np.maximum(y, 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = y * np.log(y / expected) + rest * np.log(rest / (whole - expected))
    result: F64 = np.where(whole > 0, np.sign(part - expected) * np.sqrt(np.maximum(2 * half, 0.0)), 0.0)
    return result


def runs(flags: Bool) -> tuple[np.ndarray, np.ndarray]:
    """Return where the stretches of True begin, and where they end (one behind).

    >>> [edge.tolist() for edge in runs(np.array([True, False, True, True]))]
    [[0, 2], [1, 4]]
    """
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    edge = np.diff(padded)
    return np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
