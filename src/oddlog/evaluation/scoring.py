"""The figures of one cell, from the verdicts and labels of its windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from oddlog.datasets import LogSet
from oddlog.evaluation import metrics
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.cells import Outcome
from oddlog.evaluation.localising import incident_figures, line_figures, pressing_figures
from oddlog.evaluation.resampling import auc_interval, f1_interval, time_blocks
from oddlog.types import F64, I8, I64, NO_TIME, U64, Bool

PATTERNS_AT = (5, 10, 20, 50)
PATTERNS_A_DAY_AT = (1, 3, 10, 30)


@dataclass(frozen=True)
class Cases:
    """What is scored: sessions, each once, or windows of a stream; only those with a label.

    Attributes
    ----------
    key : pl.Series [w] str
    start, end : I64 [w]
        us.
    label : I8 [w]
    score : F64 [w]
        NaN: no opinion.
    odd : Bool [w]
    alike, pattern : U64 [w]
        Equal where the content, and where the set of types is the same.
    block : I64 [w]
        What is drawn anew together: each session for itself, or a stretch of windows.
    weight : F64 [w]
        How many cases of the whole data each stands for.

    """

    key: pl.Series
    start: I64
    end: I64
    label: I8
    score: F64
    odd: Bool
    alike: U64
    pattern: U64
    block: I64
    weight: F64

    def __len__(self) -> int:
        return len(self.label)

    @property
    def units(self) -> pl.Series:
        """What is drawn anew together [blocks], by a name that is the same under every seed."""
        n = int(self.block.max(initial=-1)) + 1
        return self.key if n == len(self) else pl.Series(np.arange(n)).cast(pl.String)

    def take(self, index: I64) -> Cases:
        """Return the cases at `index` [x], each with weight 1."""
        names = ("start", "end", "label", "score", "odd", "alike", "pattern")
        each = {name: getattr(self, name)[index] for name in names}
        return Cases(key=self.key.gather(index), **each, block=np.arange(len(index)), weight=np.ones(len(index)))


def cases_of(judged: pl.DataFrame, proportion: tuple[int, int], *, by_session: bool) -> Cases:
    """Return what is scored of `cells.JUDGED`, weighted to a proportion of usual and anomalous cases; (0, 0): as is.

    Of a session that was cut into several windows the highest score counts, and it is odd if one of them is.
    Windows of further views of the same lines are left to the judging of lines.
    """
    first = judged.filter((pl.col("view") == judged["view"].first()) & (pl.col("label") >= 0))
    if by_session:
        first = (
            first.sort(pl.col("odd"), pl.col("score").fill_null(-np.inf), descending=True, maintain_order=True)
            .group_by("case", maintain_order=True)
            .agg(
                pl.col("key").first(),
                pl.col("start").min(),
                pl.col("end").max(),
                pl.col("label").max(),
                pl.col("score").max(),
                pl.col("odd").any(),
                pl.col("alike").sum(),
                pl.col("pattern").first(),
            )
        )
    first = first.sort("start", "key")
    start = first["start"].to_numpy()
    # without times the order of the windows is that of their numbers, which their case has
    order = start if (start != NO_TIME).any() or by_session else first["case"].to_numpy()
    label = first["label"].to_numpy()
    return Cases(
        first["key"],
        start,
        first["end"].to_numpy(),
        label,
        first["score"].fill_null(float("nan")).to_numpy(),
        first["odd"].to_numpy(),
        first["alike"].to_numpy(),
        first["pattern"].to_numpy(),
        np.arange(len(first)) if by_session else time_blocks(order),
        metrics.reweighted(label, *proportion),
    )


def every_figure(done: Outcome, of: LogSet, catalogue: Catalogue) -> dict[str, Any]:
    """Return all figures that the labels of a set allow."""
    proportion = catalogue.proportion if done.split.weigh else (0, 0)
    told: dict[str, Any] = {"windows": len(done.judged), "windows_odd": int(done.judged["odd"].sum())}
    if catalogue.labelled_by == "none":
        return told
    cases = cases_of(done.judged, proportion, by_session=catalogue.by_session)
    told |= figures(cases) | against_control(done.judged, catalogue)
    if done.lines is not None:
        if catalogue.labelled_by == "line":
            told |= line_figures(done.lines) | pressing_figures(done.lines)
        told |= incident_figures(done.lines, of.incidents, catalogue) if of.incidents else {}
    return told


def against_control(judged: pl.DataFrame, catalogue: Catalogue) -> dict[str, Any]:
    """Return how well anomalous cases are told from those of the kind ``control``, if a set has such.

    These are neither usual nor anomalous: faults that changed nothing, say. What tells the anomalous from them is not
    what both have in common.
    """
    control = (catalogue.cases["kind"] == "control").fill_null(value=False).to_numpy() & (catalogue.case_label == -1)
    if not control.any():
        return {}
    of_control = np.append(control, False)[judged["case"].to_numpy()]
    label = np.where(of_control, 0, np.where(judged["label"].to_numpy() == 1, 1, -1)).astype(np.int8)
    cases = cases_of(judged.with_columns(label=pl.Series(label)), (0, 0), by_session=catalogue.by_session)
    if not (cases.label == 0).any() or not (cases.label == 1).any():
        return {}
    counts = metrics.counted(cases.odd, cases.label)
    low, high = auc_interval(cases.score, cases.label, cases.weight, cases.block)
    return {
        "control": int((cases.label == 0).sum()),
        "control_f1": counts.f1,
        "control_roc_auc": metrics.roc_auc(cases.score, cases.label),
        "control_roc_auc_low": low,
        "control_roc_auc_high": high,
    }


def figures(cases: Cases) -> dict[str, Any]:
    """Return the figures of verdicts, ranking and patterns; NaN where something is missing for one."""
    counts = metrics.counted(cases.odd, cases.label, cases.weight)
    low, high = f1_interval(cases.odd, cases.label, cases.weight, cases.block)
    auc_low, auc_high = auc_interval(cases.score, cases.label, cases.weight, cases.block)
    best, at = metrics.oracle(cases.score, cases.label, cases.weight)
    return {
        "cases": len(cases),
        "anomalous": int((cases.label == 1).sum()),
        "called_odd": int(cases.odd.sum()),
        "no_opinion": int(np.isnan(cases.score).sum()),
        "usual_weight": _usual_weight(cases),
        "f1": counts.f1,
        "f1_low": low,
        "f1_high": high,
        "precision": counts.precision,
        "recall": counts.recall,
        "accuracy": counts.accuracy,
        "roc_auc": metrics.roc_auc(cases.score, cases.label, cases.weight),
        "roc_auc_low": auc_low,
        "roc_auc_high": auc_high,
        "pr_auc": metrics.pr_auc(cases.score, cases.label, cases.weight),
        "oracle_f1": best,
        "oracle_threshold": at,
        "false_alarms_a_day": _a_day(cases),
        **_of_patterns(cases),
        **_of_distinct(cases),
    }


def _usual_weight(cases: Cases) -> float:
    usual = cases.weight[cases.label == 0]
    return float(usual.mean()) if len(usual) else 1.0


def _a_day(cases: Cases) -> float:
    timed = cases.start != NO_TIME
    return metrics.false_alarms_a_day(cases.odd[timed], cases.label[timed], cases.start[timed], cases.end[timed])


def _of_patterns(cases: Cases) -> dict[str, Any]:
    shown, recall = metrics.by_pattern(cases.score, cases.odd, cases.label, cases.pattern)
    at = {f"recall_at_{n}_patterns": float(recall[min(n, len(recall) - 1)]) for n in PATTERNS_AT}
    return {"patterns": int(shown[-1]), **at}


def pattern_figures(cases: Cases) -> dict[str, Any]:
    """Return how many patterns a day a person is shown, and the recall of the most pressing ones of each day.

    Days are stretches of 24 hours from the first case on. A pattern is shown once, on the day it first is odd: whoever
    has seen it knows it. Of each day the most pressing are looked at; those that are not are never looked at again.
    """
    timed = (cases.start != NO_TIME).all() and len(cases) > 0
    anomalies = int((cases.label == 1).sum())
    if not timed or not anomalies:
        return {}
    day = (cases.start - cases.start.min()) // metrics.US_PER_DAY
    rank, brings = metrics.by_day(cases.score, cases.odd, cases.label, cases.pattern, day)
    days = int(day.max()) + 1
    at = {f"recall_at_{n}_patterns_a_day": float(brings[rank < n].sum()) / anomalies for n in PATTERNS_A_DAY_AT}
    return {"days": days, "patterns_a_day": len(rank) / days, **at}


def _of_distinct(cases: Cases) -> dict[str, Any]:
    """Return what is left of the figures when each content counts once."""
    once = cases.take(metrics.distinct(cases.alike, cases.label))
    counts = metrics.counted(once.odd, once.label)
    return {
        "distinct_cases": len(once),
        "distinct_anomalous": int((once.label == 1).sum()),
        "distinct_f1": counts.f1,
        "distinct_precision": counts.precision,
        "distinct_recall": counts.recall,
        "distinct_roc_auc": metrics.roc_auc(once.score, once.label),
    }
