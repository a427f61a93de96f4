"""Verdicts of lines against labelled lines, every number counted by hand."""

from __future__ import annotations

import polars as pl
import pytest

from oddlog.datasets import LabelledIncidents
from oddlog.datasets.labels import INCIDENTS, LINES
from oddlog.evaluation import judge_lines, recall_by_kind

# Lines 1 to 8: 1, 2 and 3 belong to a spike, of which 1 and 2 show it; 4 to a ramp, and to the spike as well.
LABELS = LabelledIncidents(
    pl.DataFrame(schema=INCIDENTS),
    pl.DataFrame(
        [
            ("today/a.log", 1, "spike-1", "spike", True),
            ("today/a.log", 2, "spike-1", "spike", True),
            ("today/a.log", 3, "spike-1", "spike", False),
            ("today/a.log", 4, "spike-1", "spike", False),
            ("today/a.log", 4, "ramp-1", "ramp", True),
        ],
        schema=LINES,
        orient="row",
    ),
)
SCORES = pl.DataFrame(
    {
        "source": ["dc/today/a.log"] * 8,
        "line": pl.Series(range(1, 9), dtype=pl.UInt64),
        "score": [9.0, 1.0, 8.0, 2.0, 7.0, 1.0, None, 0.5],
        "is_anomaly": [True, False, True, False, True, False, False, False],
    }
)


def test_figures_of_all_lines_of_incidents():
    judged = judge_lines(SCORES, LABELS, "dc/")
    assert (judged.found, judged.missed, judged.false_alarms, judged.passed) == (2, 2, 1, 3)
    assert judged.precision == pytest.approx(2 / 3)
    assert judged.found_share == 0.5
    assert judged.f1 == pytest.approx(4 / 7)
    assert judged.accuracy == 5 / 8
    # pairs of a labelled and a usual line in the right order: 9 beats 4, 1 beats 2 and ties one, 8 beats 4, 2 beats 3
    assert judged.auc == pytest.approx(13.5 / 16)


def test_lines_that_only_belong_to_the_request_are_neither_right_nor_wrong_when_those_that_show_it_are_asked_for():
    judged = judge_lines(SCORES, LABELS, "dc", direct=True)
    assert (judged.found, judged.missed, judged.false_alarms, judged.passed) == (1, 2, 1, 3)


def test_a_line_of_two_incidents_counts_once_under_the_kind_that_it_shows():
    assert recall_by_kind(SCORES, LABELS, "dc").rows() == [("ramp", 1, 0, 1, 0), ("spike", 3, 2, 2, 1)]


def test_lines_elsewhere_are_unlabelled():
    judged = judge_lines(SCORES, LABELS)
    assert (judged.found, judged.missed, judged.false_alarms, judged.passed) == (0, 0, 3, 5)
