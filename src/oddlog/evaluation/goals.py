"""What was promised of a bench, and what was planned: a file says it, the report says what came of it.

::

    [[goal]]
    says = "F1 on HDFS, learned from 1 % of the usual blocks"
    set = "hdfs"
    protocol = "landauer"
    detector = "snn+dae+ocsvm+new-event"
    figure = "f1"             # or roc_auc, control_roc_auc, incidents_within_1_s ...
    at_least = 0.985          # or at_most = 0.5, or within = 0.01 of the best that saw no label, by that figure
    answers = 0               # F1 after so many answers
    why = "..."               # shown where it is not met

    [[planned]]
    set = "hdfs"
    protocols = ["landauer", "time:share=0.2"]
    detectors = ["snn", "dae"]
    seeds = 5
    why = "..."               # shown where not all of it was run

A goal is judged on the lower end of its 95 % interval (of all seeds the lowest), not on the figure; where a figure has
no interval, on the figure, and the table says so.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from oddlog.errors import ConfigError, did_you_mean
from oddlog.evaluation.resampling import f1_difference
from oddlog.evaluation.tables import CasesOf, Result, Table

BOUNDED = ("f1", "roc_auc", "control_roc_auc")
"""Figures with intervals, whose ends are called ``_low`` and ``_high``."""


@dataclass(frozen=True)
class Goal:
    """One promise; see the module."""

    says: str
    set: str
    protocol: str = ""
    detector: str = ""
    figure: str = "f1"
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None
    answers: int = 0
    recurring: str = "usual"
    why: str = ""


@dataclass(frozen=True)
class Planned:
    """Cells that were meant to be run; see the module."""

    set: str
    protocols: tuple[str, ...]
    detectors: tuple[str, ...]
    seeds: int = 1
    why: str = ""


@dataclass(frozen=True)
class Goals:
    """What a file says."""

    goals: tuple[Goal, ...] = ()
    planned: tuple[Planned, ...] = ()


def read_goals(path: Path) -> Goals:
    """Read a file of goals.

    Raises
    ------
    ConfigError
        If it is no such file.

    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Name a file of goals: --goals FILE") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}.", "See docs/bench.md for what goals look like.") from error
    unknown = [name for name in content if name not in ("goal", "planned")]
    if unknown:
        raise ConfigError(f"{path} holds '{unknown[0]}'.", did_you_mean(unknown[0], ["goal", "planned"]))
    goals = tuple(Goal(**_known(one, Goal, path)) for one in content.get("goal", []))
    planned = tuple(Planned(**_known(one, Planned, path)) for one in content.get("planned", []))
    return Goals(goals, planned)


def _known(one: Mapping[str, Any], of: type, path: Path) -> dict[str, Any]:
    names = [field.name for field in fields(of)]
    for name in one:
        if name not in names:
            raise ConfigError(f"{path}: a {of.__name__.lower()} has no '{name}'.", did_you_mean(name, names))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in one.items()}


def goal_table(goals: Sequence[Goal], results: Sequence[Result], cases_of: CasesOf) -> Table:
    """Return a row for each goal: what was asked, what was measured, its lower end, whether it is met, or why not."""
    rows = []
    for goal in goals:
        measured, low, asked, unbounded = _measured(goal, results, cases_of)
        verdict = _verdict(goal, measured, low)
        why = "" if verdict == "met" else goal.why
        if unbounded and verdict != "not measured":
            why = f"no interval; {why}" if why else "no interval"
        shown = f"`{goal.set}` {goal.protocol}".strip()
        rows.append((goal.says, shown, asked, _number(measured), _number(low), verdict, why))
    head = ("goal", "set, protocol", "asked", "measured", "lower end", "", "why")
    says = "Judged on the lower end of the 95 % interval, of all seeds the lowest (the upper end where less is better)."
    return Table("Goals", says, head, tuple(rows))


def _measured(goal: Goal, results: Sequence[Result], cases_of: CasesOf) -> tuple[float, float, str, bool]:
    """Return the figure, the end of its interval that counts, what was asked, and whether there is no interval."""
    of = [
        one
        for one in results
        if one["ok"]
        and one["cell"]["set"] == goal.set
        and one["cell"]["protocol"] == goal.protocol
        and one["cell"]["recurring"] == goal.recurring
    ]
    own = _of(of, goal.detector)
    if goal.within is not None:
        best = _best(of, goal.figure)
        asked = f"within {goal.within:g} of the best" + (f", `{best}`" if best else "")
        if goal.figure != "f1":
            return _mean(own, goal.figure) - _mean(_of(of, best), goal.figure), math.nan, asked, True
        found = [_behind(one, best, of, cases_of) for one in own]
        known = [one for one in found if one is not None]
        if not known:
            return math.nan, math.nan, asked, False
        return fmean(one[0] for one in known), min(one[1] for one in known), asked, False
    if goal.answers:
        own = [one | {"figures": _after(one["answers"], goal.answers)} for one in own if one.get("answers")]
    worst, end = (max, "_high") if goal.at_most is not None else (min, "_low")
    asked = f"≤ {goal.at_most:g}" if goal.at_most is not None else f"≥ {goal.at_least:g}"
    values = [_float(one["figures"].get(goal.figure)) for one in own]
    ends = [_float(one["figures"].get(f"{goal.figure}{end}")) for one in own]
    values = [value for value in values if not math.isnan(value)]
    ends = [value for value in ends if not math.isnan(value)]
    if not values:
        return math.nan, math.nan, asked, False
    return fmean(values), worst(ends) if ends else math.nan, asked, not ends


def _after(answers: Sequence[Mapping[str, Any]], n: int) -> Mapping[str, Any]:
    return answers[min(n, len(answers) - 1)]


def _of(results: Sequence[Result], detector: str) -> list[Result]:
    return [one for one in results if one["cell"]["detector"] == detector]


def _mean(results: Sequence[Result], figure: str) -> float:
    values = [_float(one["figures"].get(figure)) for one in results]
    return fmean(values) if values else math.nan


def _best(results: Sequence[Result], figure: str) -> str:
    """Return the detector with the best mean of a figure, of those that saw no label."""
    by_name: dict[str, list[float]] = {}
    for one in results:
        value = _float(one["figures"].get(figure))
        if not one.get("learned_from_labels") and not math.isnan(value):
            by_name.setdefault(one["cell"]["detector"], []).append(value)
    return max(by_name, key=lambda name: (fmean(by_name[name]), name)) if by_name else ""


def _behind(one: Result, best: str, results: Sequence[Result], cases_of: CasesOf) -> tuple[float, float] | None:
    """Return the difference in F1 to the best detector of the same seed (else of the first), and its lower end."""
    others = _of(results, best)
    if not others:
        return None
    seed = one["cell"]["seed"]
    other = next((each for each in others if each["cell"]["seed"] == seed), None)
    mine = cases_of(one)
    theirs = mine if other is None else cases_of(other)
    if other is None or len(mine) != len(theirs):
        return None
    seen, low, _ = f1_difference(mine.odd, theirs.odd, mine.label, mine.weight, mine.block)
    return seen, low


def _verdict(goal: Goal, measured: float, low: float) -> str:
    if math.isnan(measured):
        return "not measured"
    end = measured if math.isnan(low) else low
    if goal.within is not None:
        return "met" if end >= -goal.within else "not met"
    if goal.at_most is not None:
        return "met" if end <= goal.at_most else "not met"
    least = goal.at_least if goal.at_least is not None else -math.inf
    if end >= least:
        return "met"
    return "not met, by its lower end" if measured >= least else "not met"


def left_out_table(planned: Sequence[Planned], results: Sequence[Result]) -> Table | None:
    """Return what was planned and not run, with the reason; None if nothing was."""
    done: dict[tuple[str, str, str], set[int]] = {}
    for one in results:
        if one["ok"]:
            cell = one["cell"]
            done.setdefault((cell["set"], cell["protocol"], cell["detector"]), set()).add(cell["seed"])
    rows = []
    for plan in planned:
        for protocol in plan.protocols or ("",):
            n = {name: len(_seeds(done, plan.set, protocol, name)) for name in plan.detectors}
            missing = [name for name in plan.detectors if not n[name]]
            fewer = [f"{name} ({n[name]} of {plan.seeds})" for name in plan.detectors if 0 < n[name] < plan.seeds]
            if missing or not plan.detectors:
                rows.append((plan.set, protocol, ", ".join(missing) or "all", plan.why))
            if fewer:
                rows.append((plan.set, protocol, f"seeds of {', '.join(fewer)}", plan.why))
    if not rows:
        return None
    return Table("Left out", "Planned, and not run.", ("set", "protocol", "what", "why"), tuple(rows))


def _seeds(done: Mapping[tuple[str, str, str], set[int]], of: str, protocol: str, detector: str) -> set[int]:
    """Return the seeds that a detector was run with, whatever its options."""
    found: set[int] = set()
    for (each, split, name), seeds in done.items():
        if (each, split) == (of, protocol) and (name == detector or name.startswith(f"{detector}:")):
            found |= seeds
    return found


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
