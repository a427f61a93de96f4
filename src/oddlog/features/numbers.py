"""Which numbers of a log are worth watching: measured quantities and codes, not identifiers.

A masked template hides its numbers: ``HTTP <*>`` is the same for 200 and 500. The few that tell something are kept
beside the template, as at most 16 columns of each event. Candidates are the numeric fields that a format found
(``duration_ms``) and the parameter slots of frequent templates (``took <*> ms``). Chosen are those that lie on enough
lines, are numbers nearly always, vary, and do not look like an identifier: a whole number of many digits that never
comes back, or one that only counts up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from oddlog.types import F64, Number

MOST_NUMBERS = 16
LEAST_VALUES = 50
LEAST_NUMERIC = 0.95  # share of a slot's values that must be numbers
FEW_VALUES = 20  # up to so many distinct ones are codes, states or sizes of a batch
OWN_VALUE = 0.9  # share of distinct values from which on whole numbers may be identifiers …
LONG_ID = 10_000  # … if they are as large as this: ports, processes, requests; milliseconds come back
COUNTING = 0.999  # share of steps upwards from which on a number is a counter or a clock
SKEWED = 8.0  # 99 % quantile over the median: from here on ratios tell more than differences
WATCHED_SHARE = 0.0005  # of the lines, at least

_UNITS: dict[str, tuple[str, float]] = {
    "ns": ("ms", 1e-6),
    "us": ("ms", 1e-3),
    "µs": ("ms", 1e-3),
    "ms": ("ms", 1.0),
    "msec": ("ms", 1.0),
    "msecs": ("ms", 1.0),
    "millis": ("ms", 1.0),
    "milliseconds": ("ms", 1.0),
    "s": ("ms", 1e3),
    "sec": ("ms", 1e3),
    "secs": ("ms", 1e3),
    "second": ("ms", 1e3),
    "seconds": ("ms", 1e3),
    "min": ("ms", 6e4),
    "b": ("bytes", 1.0),
    "byte": ("bytes", 1.0),
    "bytes": ("bytes", 1.0),
    "kb": ("bytes", 1e3),
    "kib": ("bytes", 1024.0),
    "mb": ("bytes", 1e6),
    "mib": ("bytes", 1024.0**2),
    "gb": ("bytes", 1e9),
    "gib": ("bytes", 1024.0**3),
    "%": ("%", 1.0),
    "percent": ("%", 1.0),
    "pct": ("%", 1.0),
}
"""Unit as written → unit that is kept, and what to multiply by: durations in ms, sizes in bytes."""

_NAMED = {
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "micros", "microseconds"), "µs"),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), "ns"),
    **dict.fromkeys(("sec", "secs", "seconds"), "s"),
    **dict.fromkeys(("percent", "pct", "%"), "%"),
    "bytes": "bytes",
    "kb": "kB",
    "mb": "MB",
    "gb": "GB",
}
_LASTING = {"duration", "elapsed", "latency", "time", "took", "wait"}  # beside an "s" they say that it is a second
VALUE = r"^([+-]?[0-9]{1,15}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)[ ]?([A-Za-zµ%]{0,12})$"


@dataclass(frozen=True)
class Candidate:
    """A numeric field or parameter slot, as seen in a sample.

    Attributes
    ----------
    name : str
        Field, or ``<key as 16 hex digits>:<slot>``.
    unit : str
        Of the values as kept; "" if nothing tells.
    lines : int
        Lines of the sample that have it.
    distinct : int
        Different values.
    low, median, high : float
        1 %, 50 % and 99 % quantile.
    scale : "linear" or "log"
        How detectors look at it.
    why_not : str
        Why it is not watched; "" if it is.
    where : str
        Where it stands, for people: the field, or the template with the slot marked.

    """

    name: str
    unit: str
    lines: int
    distinct: int
    low: float
    median: float
    high: float
    scale: Literal["linear", "log"]
    why_not: str
    where: str = ""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def parse(values: pl.Series) -> pl.DataFrame:
    """Read numbers with or without a unit behind them: ``value`` f64 and ``unit`` str [x]; null where it is none.

    >>> parse(pl.Series(["12ms", "1.5 s", "200", "n/a"])).rows()
    [(12.0, 'ms'), (1500.0, 'ms'), (200.0, ''), (None, None)]
    """
    parts = values.str.strip_chars().str.extract_groups(VALUE).struct.unnest()
    number, suffix = (parts.to_series(i).rename(name) for i, name in enumerate(("value", "suffix")))
    frame = pl.DataFrame([number.cast(pl.Float64, strict=False), suffix.str.to_lowercase()])
    factor = pl.col("suffix").replace_strict(
        [*_UNITS, ""], [*(f for _, f in _UNITS.values()), 1.0], default=None, return_dtype=pl.Float64
    )
    unit = pl.col("suffix").replace_strict([*_UNITS, ""], [*(u for u, _ in _UNITS.values()), ""], default=None)
    # A suffix that is no unit (4th, 3des) says that this is a name.
    return frame.select(value=pl.col("value") * factor, unit=pl.when(pl.col("value").is_not_null()).then(unit))


def unit_in_name(name: str) -> str:
    """Return the unit a field's name ends in, "" if none; the field's values stay as they are written.

    >>> unit_in_name("duration_ms"), unit_in_name("responseBytes"), unit_in_name("elapsed_s"), unit_in_name("plan_s")
    ('ms', 'bytes', 's', '')
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-zµ]+|%", name)]
    if not words:
        return ""
    if words[-1] == "s":
        return "s" if _LASTING & set(words) else ""
    return _NAMED.get(words[-1], "")


def unit_behind(text: str, slot: int) -> str:
    """Return the unit that stands behind the `slot`-th variable of a template, "" if none.

    >>> unit_behind("served <*> in <*> ms", 1), unit_behind("served <*> in <*> ms", 0)
    ('ms', '')
    """
    parts = text.split("<*>")
    follows = re.match(r"[ ]?([A-Za-zµ%]{1,12})(?![A-Za-z])", parts[slot + 1]) if slot + 1 < len(parts) else None
    word = follows[1].lower() if follows else ""
    return word if word in _UNITS and word not in {"b", "min"} else ""


def candidate(name: str, values: F64, unit: str, lines: int, where: str) -> Candidate:
    """Judge a field or slot by its `values` [x] in the order of their lines (NaN = not there).

    Parameters
    ----------
    name, where : str
        See `Candidate`.
    values : F64 [x]
        At most a few thousand, in order.
    unit : str
        Known unit.
    lines : int
        Lines of the sample that have it, of which `values` may be a part.

    """
    there = values[np.isfinite(values)]
    if not len(there):
        return Candidate(name, unit, 0, 0, 0.0, 0.0, 0.0, "linear", "no number", where)
    low, median, high = (float(q) for q in np.quantile(there, (0.01, 0.5, 0.99)))
    distinct = len(np.unique(there))
    skewed = low >= 0 and high > SKEWED * max(median, 1e-9)
    scale: Literal["linear", "log"] = "log" if skewed and distinct > FEW_VALUES else "linear"
    why_not = _why_not(there, distinct, lines, bool(unit))
    return Candidate(name, unit, lines, distinct, low, median, high, scale, why_not, where)


def _why_not(values: F64, distinct: int, lines: int, has_unit: bool) -> str:
    if lines < LEAST_VALUES:
        return f"on {lines} lines only"
    if distinct == 1:
        return "always the same"
    if has_unit or distinct <= FEW_VALUES:
        return ""
    whole = bool((values == np.round(values)).all())
    steps = np.diff(values)
    if whole and (steps >= 0).mean() >= COUNTING:
        return "only counts up"
    if whole and distinct > OWN_VALUE * len(values) and np.median(np.abs(values)) >= LONG_ID:
        return "looks like an identifier: large, and nearly every value its own"
    return ""


def choose(candidates: Iterable[Candidate], lines: int) -> tuple[tuple[Number, ...], list[Candidate]]:
    """Choose at most `MOST_NUMBERS` of the candidates: fields before slots, then by how many lines have them.

    Parameters
    ----------
    candidates : iterable of Candidate
        All that were judged.
    lines : int
        Lines of the sample.

    Returns
    -------
    numbers : tuple of Number
        What is watched, in the order of their columns.
    told : list of Candidate
        All candidates, the watched ones first, with why the others are not.

    """
    judged = [
        one if one.why_not or one.lines >= WATCHED_SHARE * lines else _refuse(one, "on too few lines")
        for one in candidates
    ]
    ranked = sorted(judged, key=lambda one: (bool(one.why_not), ":" in one.name, -one.lines, one.name))
    good = sum(not one.why_not for one in ranked)
    told = [
        one if i < MOST_NUMBERS or one.why_not else _refuse(one, f"{MOST_NUMBERS} others are on more lines")
        for i, one in enumerate(ranked)
    ]
    numbers = tuple(Number(one.name, one.unit, one.scale) for one in told[: min(good, MOST_NUMBERS)])
    return numbers, told


def _refuse(one: Candidate, why_not: str) -> Candidate:
    return Candidate(**(asdict(one) | {"why_not": why_not}))
