"""What the last day was like, in figures; whether anything has drifted is for `oddlog.drift` to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A share of the last day, and what was asked for where something was."""

    name: str
    value: float
    asked: float | None = None


def figures(minutes: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]], rate: float) -> list[Figure]:
    """Return the figures of a day: shares of unseen types, of errors, and of odd windows.

    Parameters
    ----------
    minutes, scores : sequence of mapping
        As `Store.minutes` and `Store.scores` return them.
    rate : float
        The share of usual windows that may be called odd.

    """
    lines = sum(row["lines"] for row in minutes)
    windows = sum(row["windows"] for row in scores)
    found = []
    if lines:
        found.append(Figure("lines of types never seen in training", sum(row["unseen"] for row in minutes) / lines))
        found.append(Figure("lines of level ERROR or worse", sum(row["errors"] for row in minutes) / lines))
    if windows:
        found.append(Figure("windows that are odd", sum(row["odd"] for row in scores) / windows, rate))
    return found
