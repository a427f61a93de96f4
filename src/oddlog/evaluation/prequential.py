"""What answers are worth: given as somebody on duty would give them, one after the other, and never too early.

::

    windows in order of their end ──► the first that is odd, usual by label, and covered by no answer
                                        │ somebody says when it ends: this is usual
                                        ▼
    windows that end later ──► judged anew, with that answer

So each pattern's first false alarm counts, an answer cannot act on what was over when it was given, and windows that
are not odd get none. What an answer hides of the anomalies counts, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from oddlog.evaluation import metrics
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.resampling import f1_interval
from oddlog.evaluation.scoring import Cases, cases_of
from oddlog.feedback import Answer, Answers
from oddlog.incidents import pattern_of
from oddlog.pipeline.judging.answering import Overlay
from oddlog.pipeline.judging.company import company_of
from oddlog.pipeline.judging.detection import Part
from oddlog.types import I64, to_datetime


def after_answers(
    parts: list[Part], rows: Mapping[str, I64], catalogue: Catalogue, proportion: tuple[int, int], most: int
) -> list[dict[str, Any]]:
    """Return the figures after no answer, after the first, the second … until no false alarm is left.

    Parameters
    ----------
    parts : list of Part
        What `detect` told of each part, of one run without answers.
    rows, catalogue, proportion
        See `judging.Judging` and `scoring.cases_of`.
    most : int
        Answers at most.

    """
    if not catalogue.timed:
        return []
    answers, told = Answers(only_later=True), []
    calm, alarms = _parted(parts)
    passed = _judged(calm, rows, catalogue, answers)  # an answer makes nothing odd
    first: Cases | None = None
    last = np.iinfo(np.int64).min
    while True:
        judged = pl.concat([passed, _judged(alarms, rows, catalogue, answers)]).sort("view", "start", "key")
        cases = cases_of(judged, proportion, by_session=catalogue.by_session)
        first = first or cases
        told.append(_figures(cases, first))
        false = judged.filter("odd", pl.col("label") == 0, pl.col("end") > last).sort("end", "key")
        if len(told) > most or not len(false):
            return told
        key, last = false["key"][0], int(false["end"][0])
        answers.add(_usual(alarms, key, last))


def _parted(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Return the parts with the windows that are not odd, and with those that are."""
    made: tuple[list[Part], list[Part]] = ([], [])
    for part in parts:
        odd = part.verdict["is_anomaly"].to_numpy()
        for into, some in zip(made, (~odd, odd), strict=True):
            index = np.flatnonzero(some)
            into.append(replace(part, windows=part.windows.take(index), verdict=part.verdict[index]))
    return made


def _judged(parts: list[Part], rows: Mapping[str, I64], catalogue: Catalogue, answers: Answers) -> pl.DataFrame:
    judging, standing = Judging(catalogue, rows), answers.standing()
    for part in parts:
        overlay = Overlay(standing, part.matcher)
        verdict = overlay.judge(part.view, part.windows).verdict if answers.given else part.verdict
        judging.add(replace(part, verdict=verdict))
    return judging.judged()


def _usual(parts: list[Part], key: str, end_us: int) -> Answer:
    """Return that the set of types of a window is usual, said when it ends; types never seen are usual from then on."""
    for part in parts:
        found = np.flatnonzero((part.windows.key == key).to_numpy() & (part.windows.end == end_us))
        if len(found):
            window = part.windows.take(found[:1])
            break
    else:
        raise AssertionError(key)  # it was in one of them a moment ago
    k, types = len(part.view.usual.share), np.unique(window.template).tolist()
    new = tuple(f"{part.matcher.key_of(row):016x}" for row in types if row >= k)
    time = to_datetime(end_us)
    assert time is not None
    pattern, company = pattern_of(map(part.matcher.key_of, types)), company_of(part.view, part.matcher, window)
    return Answer("usual", pattern, time, new_types=new, company=company)


def _figures(cases: Cases, first: Cases) -> dict[str, Any]:
    counts = metrics.counted(cases.odd, cases.label, cases.weight)
    low, high = f1_interval(cases.odd, cases.label, cases.weight, cases.block)
    return {
        "f1": counts.f1,
        "f1_low": low,
        "f1_high": high,
        "precision": counts.precision,
        "recall": counts.recall,
        "false_alarms": int((cases.odd & (cases.label == 0)).sum()),
        "wrongly_muted": int((first.odd & ~cases.odd & (cases.label == 1)).sum()),
    }
