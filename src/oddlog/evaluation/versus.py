"""Deep models beside what needs no network: who is beaten by what, shown on the cases that both judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oddlog import plugins
from oddlog.detectors import DEFAULT as DEFAULT_MEMBERS
from oddlog.errors import UserError
from oddlog.evaluation.cells import DEFAULT, members
from oddlog.evaluation.resampling import f1_difference
from oddlog.evaluation.tables import CasesOf, Result, Table, grouped, title_of


def is_deep(detector: str) -> bool:
    """Return whether a detector trains a network, those of the default apart (its autoencoder reads counts).

    >>> is_deep("deeplog:steps=300"), is_deep("snn+dae+ocsvm+new-event"), is_deep("pca")
    (True, False, False)
    """
    return True in _networks(detector)


def is_cheap(detector: str) -> bool:
    """Return whether a detector is known here, and no part of it trains a network."""
    return not _networks(detector) - {False}


def _networks(detector: str) -> set[bool | None]:
    """Return whether the parts of a detector train networks; None of one that is not installed here."""
    names = [] if detector == DEFAULT else [name for name in members(detector) if name not in DEFAULT_MEMBERS]
    return {_trains(name) for name in names}


def _trains(name: str) -> bool | None:
    try:
        return "torch" in getattr(plugins.load("oddlog.detectors", name), "requires", ())
    except UserError:  # of another version, or a plugin that is not here: its results still are
        return None


def versus_table(results: Sequence[Result], cases_of: CasesOf) -> Table | None:
    """Return a row for each deep detector: the best without a network that saw as few labels, the difference."""
    rows = []
    for asked, of in grouped([one for one in results if one["ok"]], "set", "protocol", "recurring").items():
        known = [one for one in of if not math.isnan(_f1(one)) and one["cell"]["seed"] == 0]
        for deep in (one for one in known if is_deep(one["cell"]["detector"])):
            labels = bool(deep.get("learned_from_labels"))
            fair = [
                one
                for one in known
                if is_cheap(one["cell"]["detector"]) and (labels or not one.get("learned_from_labels"))
            ]
            if fair:
                rows.append((title_of(asked), *_row(deep, max(fair, key=_f1), fair, cases_of)))
    if not rows:
        return None
    says = (
        "Of what trains no network (the default's members apart) and saw no more labels: the best F1, the difference "
        "to the deep model with its interval, and how many have a higher F1 or ROC AUC. First seed."
    )
    head = ("set, protocol", "deep", "F1", "ROC AUC", "without", "F1", "ROC AUC", "difference", "better: F1", "AUC")
    return Table("Deep models, and what beats them", says, head, tuple(rows))


def _row(deep: Result, best: Result, fair: Sequence[Result], cases_of: CasesOf) -> tuple[str, ...]:
    theirs, ours = cases_of(deep), cases_of(best)
    difference = ""
    if len(theirs) == len(ours):
        seen, low, high = f1_difference(ours.odd, theirs.odd, ours.label, ours.weight, ours.block)
        difference = f"{seen:+.3f} ({low:+.3f} to {high:+.3f})"
    better = (
        sum(_f1(one) > _f1(deep) for one in fair),
        sum((one["figures"]["roc_auc"] or 0.0) > (deep["figures"]["roc_auc"] or 0.0) for one in fair),
    )
    cells = [
        cell
        for one in (deep, best)
        for cell in (f"`{one['cell']['detector']}`", f"{_f1(one):.3f}", f"{one['figures']['roc_auc'] or math.nan:.4f}")
    ]
    return (*cells, difference, *(f"{n} of {len(fair)}" for n in better))


def _f1(one: Result) -> float:
    value = one["figures"].get("f1")
    return math.nan if value is None else float(value)
