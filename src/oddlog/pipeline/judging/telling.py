"""What members say of a window that they find odd, voting or not: what was expected instead, which value is out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oddlog.explain import drifted, out_of_range, shorten, unexpected
from oddlog.types import F64, Context, Detector, Reason, Windows

UNSEEN = "a line never seen before"
END = "the end"
SHORT_EXPECTED = 60  # characters of a template where three of them stand in one reason


@dataclass(frozen=True)
class Remark:
    """One thing that a member says of a window.

    Attributes
    ----------
    kind : str
        "unexpected_event", "out_of_range" or "drift" (a window's values together).
    event : int
        Place of the event in its window; -1 if it is the window's end that came.
    template : int
        Row of the event, -1 if there is none.
    line : int
        Number of the event's line, 0 if there is none.
    facts : mapping
        What the reason is made of.

    """

    kind: str
    event: int
    template: int
    line: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def remarks_of(
    members: Sequence[Detector], p_value: Mapping[str, F64], rate: float, windows: Windows
) -> list[list[Remark]]:
    """Return what members say of each window [w] that has, by themselves, at most a p-value of `rate`.

    A member says what was expected if it has a method ``expectations``, what is out of range if it has
    ``excursions`` and ``drifts``: see `detectors.next_event` and `detectors.values`.
    """
    found: list[list[Remark]] = [[] for _ in range(len(windows))]
    for member in members:
        odd = np.flatnonzero(p_value[member.name] <= rate)  # no opinion (NaN) is no oddity
        if not len(odd):
            continue
        some = windows.take(odd)
        for method, make in _METHODS:
            if hasattr(member, method):
                for window, remark in make(some, getattr(member, method)(some)):
                    found[int(odd[window])].append(remark)
    return found


def _remark(kind: str, windows: Windows, event: int, window: int, facts: Mapping[str, Any]) -> tuple[int, Remark]:
    if event < 0:
        return window, Remark(kind, -1, -1, 0, facts)
    place = event - int(windows.offsets[window])
    return window, Remark(kind, place, int(windows.template[event]), int(windows.line[event]), facts)


def _expected(windows: Windows, told: Any) -> list[tuple[int, Remark]]:
    rows = zip(
        told.event.tolist(),
        told.window.tolist(),
        told.expected.tolist(),
        told.probability.tolist(),
        told.seen.tolist(),
        strict=True,
    )
    return [
        _remark("unexpected_event", windows, event, window, {"expected": expected, "probability": p, "seen": seen})
        for event, window, expected, p, seen in rows
    ]


def _out_of_range(windows: Windows, told: Any) -> list[tuple[int, Remark]]:
    return _with_facts("out_of_range", windows, told, ("number", "value", "low", "high"))


def _drifted(windows: Windows, told: Any) -> list[tuple[int, Remark]]:
    return _with_facts("drift", windows, told, ("number", "n", "median", "usual"))


def _with_facts(kind: str, windows: Windows, told: Any, names: tuple[str, ...]) -> list[tuple[int, Remark]]:
    columns = [getattr(told, name).tolist() for name in names]
    rows = zip(told.event.tolist(), told.window.tolist(), *columns, strict=True)
    return [
        _remark(kind, windows, event, window, dict(zip(names, facts, strict=True))) for event, window, *facts in rows
    ]


_METHODS: tuple[tuple[str, Callable[[Windows, Any], list[tuple[int, Remark]]]], ...] = (
    ("expectations", _expected),
    ("excursions", _out_of_range),
    ("drifts", _drifted),
)


def reason_of(remark: Remark, context: Context, text_of: Callable[[int], str]) -> Reason:
    """Return the reason in words; `text_of` gives the text of a template's row."""
    k, facts = len(context.templates), remark.facts
    if remark.kind == "unexpected_event":
        words = {k: UNSEEN, k + 1: END}  # what may be expected; what came, and is unseen, has a row and a text
        names = [words.get(row) or shorten(text_of(row), SHORT_EXPECTED) for row in facts["expected"]]
        seen = END if remark.template < 0 else shorten(text_of(remark.template), SHORT_EXPECTED)
        return unexpected(list(zip(names, facts["probability"], strict=True)), seen, facts["seen"], remark.line)
    number, text = context.numbers[facts["number"]], text_of(remark.template)
    if remark.kind == "drift":
        return drifted(number, text, facts["n"], facts["median"], facts["usual"])
    return out_of_range(number, text, facts["value"], facts["low"], facts["high"], remark.line)
