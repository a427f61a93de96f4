"""How far what comes now has gone from what was learned: figures by hour, and what is usual for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOURS = 24
TOO_MANY = 5.0  # times as many odd windows as were asked for
MANY_UNSEEN = 0.02  # of the lines


@dataclass(frozen=True)
class Drift:
    """A figure of the last day: what it is, what was expected, whether that is worth a look, and why."""

    name: str
    value: float
    expected: float | None
    is_off: bool
    says: str


def drift(minutes: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]], rate: float) -> list[Drift]:
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
        unseen = sum(row["unseen"] for row in minutes) / lines
        says = "Types that were never learned: a release, a new service. Learn on with: oddlog update"
        found.append(Drift("lines of types never seen in training", unseen, 0.0, unseen > MANY_UNSEEN, says))
        errors = sum(row["errors"] for row in minutes) / lines
        found.append(Drift("lines of level ERROR or worse", errors, None, is_off=False, says=""))
    if windows:
        odd = sum(row["odd"] for row in scores) / windows
        says = "More windows are odd than asked for: an incident, or the model is of another time. See oddlog update"
        found.append(Drift("windows that are odd", odd, rate, odd > TOO_MANY * rate, says))
    return found
