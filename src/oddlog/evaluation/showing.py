"""What a person sees of a bench's verdicts: patterns a day, and misses and false alarms in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oddlog.evaluation.cells import DEFAULT
from oddlog.evaluation.scoring import PATTERNS_A_DAY_AT, pattern_figures
from oddlog.evaluation.tables import Result, Table, grouped, title_of

if TYPE_CHECKING:
    from oddlog.evaluation.plots import Curve

FOUR = "snn+dae+ocsvm+new-event"
"""The voters of the default by name, as they are run without candidates."""


def pattern_table(asked: Sequence[str], curves: Sequence[Curve]) -> Table | None:
    """Return how many patterns a day each detector shows, and the recall of the most pressing ones of each day."""
    found = [(one.name, pattern_figures(one.cases)) for one in curves]
    found = [(name, figures) for name, figures in found if figures]
    if not found:
        return None
    names = [f"recall_at_{n}_patterns_a_day" for n in PATTERNS_A_DAY_AT]
    rows = tuple(
        (f"`{name}`", f"{figures['patterns_a_day']:,.1f}", *(f"{figures[each]:.2f}" for each in names))
        for name, figures in found
    )
    days = found[0][1]["days"]
    says = (
        f"A pattern is shown once, on the day (of {days}) that it is first odd; recall of who looks at the most "
        "pressing ones of each day and at no other. First seed."
    )
    head = ("detector", "patterns a day", *(f"recall at {n} a day" for n in PATTERNS_A_DAY_AT))
    return Table(f"{title_of(asked)}: patterns a day", says, head, rows)


def word_table(asked: Sequence[str], of: Sequence[Result]) -> Table | None:
    """Return what the best detector that saw no label, and the default, missed and falsely told; of the first seed."""
    rows = []
    for one in _told_of(of):
        for what, name in (("missed", "missed"), ("false", "false alarm")):
            for each in one["told"].get(what, []):
                says = str(each["says"])
                shown = f"`{one['cell']['detector']}`"
                rows.append((shown, name, f"{each['cases']:,}", f"{each['patterns']:,}", says))
    if not rows:
        return None
    says = (
        "In words, by what was learned from: *new* is a type never seen there, *rare* one of less than 1 in 100 usual "
        "cases, *too often* more than 99 % of those that hold it, *lacks* a type of nine in ten."
    )
    head = ("detector", "what", "cases", "patterns", "why")
    return Table(f"{title_of(asked)}: misses and false alarms", says, head, tuple(rows))


def _told_of(of: Sequence[Result]) -> list[Result]:
    known = [one for one in of if one.get("told") is not None and not _is_nan(one["figures"].get("f1"))]
    unseen = [one for one in known if not one.get("learned_from_labels")]
    if not unseen:
        return []
    best = max(unseen, key=lambda one: float(one["figures"]["f1"]))["cell"]["detector"]
    names = dict.fromkeys([*(name for name in (DEFAULT, FOUR) if any(_is(one, name) for one in unseen)), best])
    by_name = grouped(unseen, "detector")
    return [min(by_name[(name,)], key=lambda one: int(one["cell"]["seed"])) for name in names]


def _is(one: Result, name: str) -> bool:
    return bool(one["cell"]["detector"] == name)


def _is_nan(value: object) -> bool:
    return not isinstance(value, (int, float)) or math.isnan(value)
