"""Share of errors: how many of a service's lines in ten minutes are errors or warnings, of its answers 4xx or 5xx.

A surge of traffic brings more errors without anything being wrong; their share tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import CANDIDATES, LEAST_SCORE, frame, joined, share_deviate
from oddlog.rates.series import MINUTES_PER_DAY, Counted, Series, dense, trailing
from oddlog.types import F64, I64, State

SPAN = 10  # minutes
LEAST_LINES = 5  # errors in ten minutes
LEAST_TIMES = 2.0  # the usual share
TRIMMED = 0.02  # share of the training time that is furthest off and does not count: it may hold incidents
PRIOR_DISPERSION, PRIOR_DAYS = 2.0, 2.0
FAILED_CLASSES = ("4", "5")


def pairs(series: Series) -> I64:
    """Return the pairs of series of which the first is part of the second [x, 2]; of a class of status, -1 = all."""
    where = {(k, s, n): i for i, (k, s, n) in enumerate(zip(series.kind, series.service, series.name, strict=True))}
    found = []
    for (kind, service, name), part in where.items():
        if kind in ("errors", "warnings") and ("lines", service, "") in where:
            found.append((part, where["lines", service, ""]))
        elif kind == "status" and name in FAILED_CLASSES:
            found.append((part, -1))
    return np.array(found, np.int64).reshape(-1, 2)


class ErrorShare:
    """Shares of errors far above what they usually are; over-dispersed, as errors come in clusters."""

    name = "error-share"

    def __init__(self) -> None:
        self._usual = np.empty(0)  # [x] share in training
        self._spread = np.empty(0)  # [x] how much more they vary than the binomial law has it

    def learn(self, counted: Counted) -> pl.DataFrame:
        """Learn; return the candidates of the training time."""
        every = pairs(counted.series)
        self._usual, self._spread = np.zeros(len(every)), np.ones(len(every))
        parts = [pl.DataFrame(schema=CANDIDATES)]
        for x, (part, whole) in self._trailing(every, counted):
            self._usual[x], far = trimmed_share(part, whole)
            days = len(far) / MINUTES_PER_DAY
            own = float(far.mean()) if len(far) else 1.0
            self._spread[x] = max((days * own + PRIOR_DAYS * PRIOR_DISPERSION) / (days + PRIOR_DAYS), 1.0)
            parts.append(self._far(x, part, whole, counted))
        return joined(parts)

    def judge(self, counted: Counted) -> pl.DataFrame:
        """Return where shares are far above usual."""
        every = pairs(counted.series)
        return joined([self._far(x, part, whole, counted) for x, (part, whole) in self._trailing(every, counted)])

    @staticmethod
    def _trailing(every: I64, counted: Counted) -> Iterator[tuple[int, tuple[F64, F64]]]:
        """Yield each pair's number, and its lines in ten minutes [t]: of the part and of the whole."""
        statuses = counted.series.of_kind("status")
        service = np.array(counted.series.service, dtype=np.str_)
        for x, (part, whole) in enumerate(every.tolist()):
            rows = np.array([whole]) if whole >= 0 else statuses[service[statuses] == service[part]]
            both = [dense(counted.counts, counted.span, np.array([part])), dense(counted.counts, counted.span, rows)]
            one, all_ = (trailing(matrix.sum(0, keepdims=True), SPAN)[0] for matrix in both)
            yield x, (one, all_)

    def _far(self, x: int, part: F64, whole: F64, counted: Counted) -> pl.DataFrame:
        usual = float(self._usual[x])
        t = np.flatnonzero((part - whole * usual >= LEAST_LINES) & (part >= LEAST_TIMES * usual * whole))
        score = share_deviate(part[t], whole[t], usual) / np.sqrt(self._spread[x])
        columns = {
            "subject": np.full(len(t), x),
            "minute": counted.span.first + t,
            "span": np.full(len(t), SPAN),
            "score": score,
            "seen": part[t] / np.maximum(whole[t], 1.0),
            "usual": np.full(len(t), usual),
        }
        return frame(columns).filter(pl.col("score") >= LEAST_SCORE)

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({"usual": self._usual, "spread": self._spread})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._usual, self._spread = state.arrays["usual"], state.arrays["spread"]
        return self


def trimmed_share(part: F64, whole: F64) -> tuple[float, F64]:
    """Return the usual share, and how far off it is [x] (1 on average if binomial), without what is furthest off."""
    there = whole > 0
    part, whole = part[there], whole[there]
    usual, far = 0.0, np.empty(0)
    for _ in range(2):  # the first share tells what is furthest off, the second is learned from the rest
        usual = (part.sum() + 0.5) / (whole.sum() + 1)
        far = (part - whole * usual) ** 2 / np.maximum(whole * usual * (1 - usual), 1e-9)
        near = far <= np.quantile(far, 1 - TRIMMED) if len(far) else np.zeros(0, np.bool_)
        part, whole, far = part[near], whole[near], far[near]
    return float(usual), far
