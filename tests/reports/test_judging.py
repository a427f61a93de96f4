"""Verdicts against labels."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from naive.reports import area_under_roc
from oddlog.pipeline.learning.labels import Labels
from oddlog.reports.judging import judge, judged
from oddlog.types import SCORES

LABELLED = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 1)), min_size=1, max_size=40)


def arrays(rows):
    score, odd, label = zip(*rows, strict=True)
    return np.array(score, np.float64), np.array(odd), np.array(label, np.int8)


@settings(deadline=None)
@given(LABELLED)
def test_the_four_counts_are_those_of_a_confusion_matrix(rows):
    score, odd, label = arrays(rows)
    one = judged(score, odd, label)
    expected = confusion_matrix(label, odd, labels=[0, 1])
    assert [[one.passed, one.false_alarms], [one.missed, one.found]] == expected.tolist()


@settings(deadline=None)
@given(LABELLED.filter(lambda rows: len({label for *_, label in rows}) == 2))
def test_the_area_is_that_of_the_slow_way_and_of_scikit_learn(rows):
    score, odd, label = arrays(rows)
    one = judged(score, odd, label)
    assert one.auc == pytest.approx(area_under_roc(score.tolist(), label == 1))
    assert one.auc == pytest.approx(roc_auc_score(label, score))
    false_rate, recall, _ = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(one.false_rate, false_rate)
    np.testing.assert_allclose(one.recall, recall)


def test_measures_are_spelled_out():
    score = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    one = judged(score, score > 2.5, np.array([1, 1, 0, 1, 0], np.int8))
    assert (one.found, one.missed, one.false_alarms, one.passed, one.n) == (2, 1, 1, 1, 5)
    assert (one.precision, one.found_share, one.false_share, one.f1) == (2 / 3, 2 / 3, 0.5, 2 / 3)
    assert one.auc == pytest.approx(5 / 6)


def test_labels_of_one_kind_have_no_curve():
    one = judged(np.array([1.0, 2.0]), np.array([False, True]), np.array([0, 0], np.int8))
    assert math.isnan(one.auc)
    assert (len(one.recall), one.false_share) == (0, 0.5)
    assert math.isnan(one.found_share)


def test_views_are_compared_by_their_own_thresholds_and_windows_without_an_opinion_are_not_odd():
    rows = [
        ("a", 4.0, 2.0, True),  # twice its threshold
        ("b", 5.0, 10.0, False),  # half of its
        ("c", None, 2.0, False),
        ("d", float("nan"), 2.0, False),
        ("a#2", 1.0, 2.0, False),  # part of a session has the label of the session
        ("unknown", 9.0, 2.0, True),
    ]
    scores = pl.DataFrame(
        [{"key": k, "score": s, "threshold": t, "is_anomaly": odd, "n_events": 1} for k, s, t, odd in rows],
        schema=SCORES,
    )
    labels = Labels(pl.Series(["a", "b", "c", "d"]), np.array([1, 0, 1, 0], np.int8))
    one = judge(scores, labels)
    assert (one.found, one.missed, one.false_alarms, one.passed) == (1, 2, 0, 2)
    # ratios: a 2, a#2 1/2, c none (anomalous); b 1/2, d none (usual)
    assert one.auc == pytest.approx((1 + 1 + 0.5 + 1 + 0 + 0.5) / 6)
