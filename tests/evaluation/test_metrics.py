"""Figures equal their definitions, and scikit-learn where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive import metrics as naive
from oddlog.evaluation import metrics

NAN = float("nan")


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 30))
    score = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0, 7.5]), min_size=n, max_size=n))
    label = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    label[0], label[1] = 0, 1
    weight = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=n, max_size=n))
    return np.array(score), np.array(label, np.int8), np.array(weight)


@given(rankings())
def test_areas_and_the_best_f1_equal_their_definitions(ranking):
    assert metrics.roc_auc(*ranking) == pytest.approx(naive.roc_auc(*ranking))
    assert metrics.pr_auc(*ranking) == pytest.approx(naive.pr_auc(*ranking))
    assert metrics.oracle(*ranking)[0] == pytest.approx(naive.oracle(*ranking))


@settings(max_examples=50, deadline=None)  # the first call imports scikit-learn
@given(rankings())
def test_areas_equal_those_of_scikit_learn(ranking):
    sklearn = pytest.importorskip("sklearn.metrics")
    score, label, weight = ranking
    assert metrics.roc_auc(*ranking) == pytest.approx(sklearn.roc_auc_score(label, score, sample_weight=weight))
    assert metrics.pr_auc(*ranking) == pytest.approx(
        sklearn.average_precision_score(label, score, sample_weight=weight)
    )
    odd = score > 0.3
    counts = metrics.counted(odd, label, weight)
    assert counts.f1 == pytest.approx(sklearn.f1_score(label, odd, sample_weight=weight))
    assert counts.accuracy == pytest.approx(sklearn.accuracy_score(label, odd, sample_weight=weight))


@given(rankings(), st.data())
def test_recall_against_patterns_equals_its_definition(ranking, data):
    score, label, _ = ranking
    score = score + np.arange(len(score)) * 1e-6  # without ties, whose order says nothing
    pattern = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(score), max_size=len(score))), np.uint64)
    odd = score > 0.1
    _, recall = metrics.by_pattern(score, odd, label, pattern)
    assert recall.tolist() == pytest.approx(naive.recall_by_pattern(score, odd, label, pattern.tolist()))


def test_no_opinion_ranks_below_every_score():
    label = np.array([1, 1, 0], np.int8)
    assert metrics.roc_auc(np.array([NAN, 0.5, -9.0]), label) == 0.5
    assert metrics.roc_auc(np.array([NAN, 0.5, NAN]), label) == 0.75


def test_what_cannot_be_said_is_nan():
    usual = np.zeros(3, np.int8)
    assert np.isnan(metrics.roc_auc(np.arange(3.0), usual))
    assert np.isnan(metrics.pr_auc(np.arange(3.0), usual))
    assert np.isnan(metrics.oracle(np.arange(3.0), usual)[0])
    assert np.isnan(metrics.counted(np.zeros(3, bool), usual).precision)
    assert np.isnan(metrics.roc_auc(np.empty(0), np.empty(0, np.int8)))


def test_unknown_labels_do_not_count():
    score, label = np.array([9.0, 3.0, 1.0, 8.0]), np.array([-1, 1, 0, -1], np.int8)
    assert metrics.roc_auc(score, label) == 1.0
    assert metrics.counted(score > 2, label) == metrics.Counts(hit=1, missed=0, false=0, passed=1)


def test_weights_give_both_kinds_their_proportion():
    label = np.array([1, 1, 0, 0, 0], np.int8)
    weight = metrics.reweighted(label, usual=970, anomalous=30)
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(0.03)
    assert metrics.reweighted(label, 0, 0).tolist() == [1.0] * 5


def test_duplicates_count_once_for_each_label():
    alike = np.array([7, 7, 7, 9, 9], np.uint64)
    label = np.array([0, 0, 1, 1, 1], np.int8)
    assert metrics.distinct(alike, label).tolist() == [0, 2, 3]


def test_false_alarms_a_day_are_those_of_usual_cases():
    day = metrics.US_PER_DAY
    odd = np.array([True, True, True, False])
    label = np.array([0, 0, 1, 0], np.int8)
    start = np.array([0, day, day, 4 * day])
    assert metrics.false_alarms_a_day(odd, label, start, start) == 0.5
    assert np.isnan(metrics.false_alarms_a_day(odd[:0], label[:0], start[:0], start[:0]))
