"""From a view's windows to its members, calibration and threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from oddlog.calibration import Calibrator, crossfit, lowest_rate
from oddlog.detectors import create
from oddlog.detectors.trim import trim
from oddlog.explain import Usual, oddities
from oddlog.pipeline.known import Known
from oddlog.pipeline.views import Cut, View, contributions
from oddlog.thresholds import best_f1
from oddlog.types import F64, I8, I64, Context, Windows

FEWEST_WINDOWS = 10
Recurring = Literal["usual", "odd"]
VALIDATION_SHARE = 0.15  # of the time, at its end: where labels choose the threshold


@dataclass(frozen=True)
class Learned:
    """A view, and what is told about how it was learned."""

    view: View | None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathered:
    """A view's finished windows, alike ones merged within each fold.

    Attributes
    ----------
    windows : Windows
        With weights.
    label : I8 [w]
        0 usual, 1 anomalous, -1 unknown.
    fold : I64 [w]
        Stretch of time each stands in.
    n_windows, n_open : float
        Finished and unfinished windows of the data.
    sampled_from : int
        Distinct windows there were, if not all were taken.

    """

    windows: Windows
    label: I8
    fold: I64
    n_windows: float
    n_open: float
    sampled_from: int = 0


def learn_view(
    name: str,
    cut: Cut,
    gathered: Gathered,
    context: Context,
    names: Sequence[str],
    rate: float,
    recurring: Recurring,
    concentration: F64 | None,
    say: Callable[[str, int], None],
) -> Learned:
    """Trim, fit, calibrate; a view of too few windows is not learned, and the facts say so."""
    labelled = gathered.label == 1
    usual, folds = gathered.windows.take(~labelled), gathered.fold[~labelled]
    facts: dict[str, Any] = {
        "windows": gathered.n_windows,
        "unfinished": gathered.n_open,
        "distinct": len(gathered.windows),
        "sampled_from": gathered.sampled_from,
        "anomalous_by_label": float(gathered.windows.weight[labelled].sum()),
        "notes": [],
    }
    if usual.weight.sum() < FEWEST_WINDOWS:
        facts["says"] = (
            f"not learned: {usual.weight.sum():,.0f} finished {cut.noun} are too few (at least {FEWEST_WINDOWS})"
        )
        return Learned(None, facts)
    say(f"trimming what looks odd among {cut.noun}", 0)
    keep, report = trim(usual, context, gathered.label[~labelled])
    facts["trimmed"] = float(usual.weight[~keep].sum())
    facts["trimming"] = str(report)
    every, every_fold, left_out = usual, folds, np.flatnonzero(~keep)
    told = Usual.learn(usual, len(context.templates), concentration)
    usual, folds = usual.take(keep), folds[keep]
    members, scores = [], []
    for member in names:
        say(f"learning {member} on {cut.noun}", 0)
        members.append(create(member, context.seed).fit(usual, context))
        scores.append(crossfit(partial(create, member, context.seed), usual, context, folds=folds))
    calibrator = Calibrator().fit(np.stack(scores), usual.weight)
    facts |= {"members": list(names), "rate": rate, "usual": float(usual.weight.sum())}
    lowest = lowest_rate(facts["usual"])
    if rate < lowest:
        facts["notes"].append(
            f"Too few usual {cut.noun} for this false-alarm rate: {facts['usual']:,.0f} can hold 1 in "
            f"{1 / lowest:,.0f}, asked is 1 in {1 / rate:,.0f}. Beyond that the fitted tail decides."
        )
    known = Known.nothing()
    if recurring == "usual":
        trimmed = every.take(left_out)
        found = oddities(trimmed, contributions(members, trimmed), told)
        known = Known.learn(every, every_fold, left_out, found, len(context.templates))
    facts["recurring"] = len(known.oddity)
    view = View(name, cut, tuple(members), calibrator, calibrator.threshold(rate), told, known)
    if labelled.any():
        view = _with_labels(view, gathered, facts)
    facts["threshold"] = view.threshold
    facts["says"] = _says(cut, facts)
    return Learned(view, facts)


def _with_labels(view: View, gathered: Gathered, facts: dict[str, Any]) -> View:
    """Return the view with the threshold that has the best F1 on the validation share of the time."""
    order = np.argsort(gathered.windows.start, kind="stable")
    share = np.cumsum(gathered.windows.weight[order]) / gathered.windows.weight.sum()
    late = np.zeros(len(order), bool)
    late[order[share > 1 - VALIDATION_SHARE]] = True
    late &= gathered.label >= 0
    for label, what in ((1, "anomalous"), (0, "usual")):
        if not (gathered.label[late] == label).any():
            facts["notes"].append(
                f"No {view.cut.noun} of the last {VALIDATION_SHARE:.0%} are labelled {what}: "
                "the threshold is that without labels."
            )
            return view
    windows = gathered.windows.take(late)
    combined, _ = view.judge(windows)
    chosen = best_f1(combined, gathered.label[late], windows.weight)
    facts["validation_f1"] = chosen.params.get("f1")
    return replace(view, threshold=chosen.value)


def _says(cut: Cut, facts: dict[str, Any]) -> str:
    parts = [f"{facts['windows']:,.0f} finished {cut.noun}"]
    if facts["unfinished"]:
        parts.append(f"{facts['unfinished']:,.0f} unfinished ones left out")
    if facts["sampled_from"]:
        parts.append(f"a sample of {facts['distinct']:,} of {facts['sampled_from']:,} distinct ones")
    if facts["anomalous_by_label"]:
        parts.append(f"{facts['anomalous_by_label']:,.0f} anomalous by label left out")
    if facts["trimmed"]:
        parts.append(f"{facts['trimmed']:,.0f} trimmed as odd ({facts['trimmed'] / max(facts['windows'], 1):.1%})")
    if facts["recurring"]:
        parts.append("what recurs among these is taken as usual (--recurring odd: it is not)")
    return f"{', '.join(parts)}; {', '.join(facts['members'])}; odd is 1 in {1 / facts['rate']:,.0f}"
