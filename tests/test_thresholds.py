"""thresholds.py: where usual ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.calibration import f1_above, rolling_quantile
from oddlog.calibration import Calibrator
from oddlog.errors import ConfigError, LabelError, TooLittleDataError
from oddlog.thresholds import Rolling, Threshold, Way, best_f1, budget, pot, quantile, sigma

some_scores = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40)


def test_sigma_is_mean_and_k_standard_deviations():
    assert sigma(np.array([1.0, 1.0, 3.0, 3.0])) == Threshold("sigma", 5.0, {"k": 3.0})
    assert sigma(np.array([1.0, 3.0]), k=1, weight=np.array([3.0, 1.0])).value == pytest.approx(1.5 + np.sqrt(0.75))


@settings(deadline=None, max_examples=60)
@given(some_scores, st.floats(0, 1))
def test_a_quantile_is_the_smallest_score_that_few_enough_exceed(scores: list[float], q: float):
    value = quantile(np.array(scores), q).value
    allowed = (1 - q) * len(scores) + 1e-6
    assert sum(s > value for s in scores) <= allowed
    lower = [s for s in scores if s < value]
    assert not lower or sum(s > max(lower) for s in scores) > allowed - 2e-6


def test_the_quantile_of_a_thousand_leaves_exactly_one_in_a_thousand():
    assert quantile(np.arange(1000.0), 0.999).value == 998.0


def test_weights_count_as_repeated_scores():
    scores, weight = np.array([1.0, 2.0, 9.0]), np.array([90.0, 9.0, 1.0])
    repeated = np.repeat(scores, weight.astype(int))
    assert quantile(scores, 0.95, weight) == quantile(repeated, 0.95)
    assert pot(scores, 0.01, weight).value == pytest.approx(pot(repeated, 0.01).value)
    assert sigma(scores, weight=weight).value == pytest.approx(sigma(repeated).value)


def test_pot_reaches_beyond_what_was_counted():
    p = (np.arange(1_000) + 0.5) / 1_000
    exponential = -np.log(p)
    found = pot(exponential, 1e-5)
    assert found.value == pytest.approx(-np.log(1e-5), rel=0.1)
    assert found.value > exponential.max()
    assert found.params == {"rate": 1e-5}


def test_one_odd_usual_score_moves_pot_far_less_than_the_quantile():
    p = (np.arange(1_000) + 0.5) / 1_000
    odd = np.concatenate([-np.log(p), [500.0, 500.0]])
    assert quantile(odd, 0.999).value == 500.0
    assert pot(odd, 0.001).value < 200.0


def test_a_budget_is_a_rate():
    scores = np.random.default_rng(0).exponential(size=2_000)
    found = budget(scores, windows_per_day=5_000, alarms_per_day=5)
    assert found.value == pot(scores, 0.001).value
    assert found.params == {"windows_per_day": 5_000, "alarms_per_day": 5, "rate": 0.001}
    assert budget(scores, 10, 100).params["rate"] == 1.0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 8).map(float), st.integers(0, 1)), min_size=1, max_size=25))
def test_no_threshold_has_a_better_f1(pairs: list[tuple[float, int]]):
    scores, labels = [s for s, _ in pairs], [y for _, y in pairs]
    if not any(labels):
        labels[0] = 1
    found = best_f1(np.array(scores), np.array(labels, np.int8))
    best = max(f1_above(scores, labels, t - 0.5) for t in scores)
    assert f1_above(scores, labels, found.value) == pytest.approx(best)
    assert found.params["f1"] == pytest.approx(best)


def test_the_best_f1_stands_halfway_and_unknown_labels_do_not_count():
    scores = np.array([0.0, 1.0, 5.0, 6.0, 4.0, np.nan])
    labels = np.array([0, 0, 1, 1, -1, 1], np.int8)
    assert best_f1(scores, labels) == Threshold("best_f1", 3.0, {"f1": 1.0})


def test_without_an_anomaly_among_the_labels_f1_says_nothing():
    with pytest.raises(LabelError, match="No window of the validation share is labelled anomalous"):
        best_f1(np.array([1.0, 2.0]), np.array([0, -1], np.int8))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: quantile(np.ones(3), 1.2), ConfigError, r"between 0 and 1, not at 1\.2"),
        (lambda: pot(np.ones(3), 0.0), ConfigError, "false-alarm rate lies above 0"),
        (lambda: budget(np.ones(3), 0, 1), ConfigError, "more than 0 windows and alarms a day, not 0 and 1"),
        (lambda: quantile(np.array([np.nan]), 0.5), TooLittleDataError, "of 1 windows"),
        (lambda: sigma(np.empty(0)), TooLittleDataError, "no usual score"),
        (lambda: Rolling(np.empty(0)), TooLittleDataError, "no usual score"),
        (lambda: Rolling(np.ones(3), q=2.0), ConfigError, "0 <= q <= 1"),
        (lambda: Rolling(np.ones(3), size=0), ConfigError, "size >= 1"),
    ],
)
def test_what_makes_no_sense_is_said(call: Any, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        call()


@settings(deadline=None, max_examples=60)
@given(some_scores, some_scores, st.floats(0, 1), st.integers(1, 12), st.data())
def test_the_rolling_threshold_is_one_fold_whatever_the_batches(
    initial: list[float], scores: list[float], q: float, size: int, data: st.DataObject
):
    whole = Rolling(np.array(initial), q, size).push(np.array(scores))
    assert whole.tolist() == rolling_quantile(initial, scores, q, size)
    rolling, parts, at = Rolling(np.array(initial), q, size), [], 0
    while at < len(scores):
        step = data.draw(st.integers(1, 5))
        parts.append(rolling.push(np.array(scores[at : at + step])))
        rolling, at = Rolling.from_state(rolling.state()), at + step
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_nan_has_a_threshold_and_is_not_remembered():
    rolling = Rolling(np.array([1.0, 2.0]), q=1.0, size=2)
    assert rolling.push(np.array([np.nan, 0.0, 0.0])).tolist() == [2.0, 2.0, 2.0]
    assert rolling.push(np.array([0.0])).tolist() == [0.0]


def test_a_lasting_change_of_level_stops_alarming():
    rolling = Rolling(np.zeros(1_000), q=0.99, size=1_000)
    thresholds = rolling.push(np.full(500, 7.0))
    assert int((thresholds < 7.0).sum()) == 11


@pytest.mark.parametrize(
    ("text", "way"),
    [("pot", Way()), ("sigma", Way("sigma", 3.0)), ("sigma:2.5", Way("sigma", 2.5)), ("quantile", Way("quantile"))],
)
def test_a_way_is_written_as_it_is_read(text: str, way: Way):
    assert Way.parse(text) == way
    assert str(way) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sigm", "no threshold called 'sigm'.* Did you mean 'sigma'"),
        ("", "no threshold called ''"),
        ("sigma:", "'sigma:' is no threshold"),
        ("sigma:0", "sigma:2.5 for 2.5 deviations"),
        ("sigma:nan", "is no threshold"),
        ("pot:3", "'pot:3' is no threshold"),
    ],
)
def test_what_is_no_way_is_one_clear_line(text: str, says: str):
    with pytest.raises(ConfigError, match=says):
        Way.parse(text)


def verdict(rows: int) -> tuple[Calibrator, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    scores, weight = draw.gamma(2.0, size=(rows, 4_000)), draw.integers(1, 4, 4_000).astype(float)
    return Calibrator().fit(scores, weight), scores, weight


def test_sigma_of_one_voter_is_that_of_its_own_scores():
    calibrator, scores, weight = verdict(1)
    threshold = Way("sigma", 2.0).of(calibrator, scores, weight, 0.001)
    above = calibrator.combined(scores) > threshold
    assert (above == (scores[0] > sigma(scores[0], 2.0, weight).value)).mean() > 0.9995  # the counted part has steps
    share = weight[above].sum() / weight.sum()
    assert calibrator.rate_above(threshold) == pytest.approx(share, rel=0.05)


def test_several_voters_are_judged_by_their_combined_score():
    calibrator, scores, weight = verdict(3)
    combined = calibrator.combined(scores)
    assert Way("sigma").of(calibrator, scores, weight, 0.5) == sigma(combined, 3.0, weight).value
    assert Way("quantile").of(calibrator, scores, weight, 0.01) == quantile(combined, 0.99, weight).value
    for kind in ("pot", "budget"):
        assert Way(kind).of(calibrator, scores, weight, 0.01) == calibrator.threshold(0.01)
