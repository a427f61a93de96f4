"""thresholds.py: where usual ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.calibration import f1_above, rolling_thresholds
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
    ],
)
def test_what_makes_no_sense_is_said(call: Any, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        call()


USUAL = np.linspace(0.0005, 0.9995, 1_000)  # shares of usual windows that score as high
SURPRISE = -np.log10(USUAL)


def rolled(rolling: Rolling, blocks: list[list[float]]) -> list[float]:
    """Return the threshold of each block, and of the one behind them."""
    thresholds = []
    for block in blocks:
        thresholds.append(rolling.value)
        scores = np.array(block)
        rolling.push(scores, scores > rolling.value)
        rolling.settle()
    return [*thresholds, rolling.value]


def drawn(n: int, share: float, slope: float, seed: int = 0) -> np.ndarray:
    """Return -log10 p of windows: this share above one, falling off with this mean beyond."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(n) < share, 1 + draw.exponential(slope, n), draw.random(n))


USUALLY = 1 / np.log(10)
surprises = st.lists(st.lists(st.floats(0, 12), max_size=12), max_size=12)


@settings(deadline=None, max_examples=80)
@given(st.floats(0.2, 5), surprises, st.integers(4, 60), st.integers(2, 5))
def test_the_rolling_threshold_is_that_of_its_slow_twin(
    learned: float, blocks: list[list[float]], size: int, most: int
):
    rolling = Rolling(SURPRISE, learned, size, most)
    assert rolled(rolling, blocks) == pytest.approx(rolling_thresholds(SURPRISE.tolist(), learned, blocks, size, most))


@settings(deadline=None, max_examples=80)
@given(surprises, st.randoms(use_true_random=False))
def test_the_order_inside_a_block_its_pieces_and_a_restart_change_nothing(blocks: list[list[float]], random: Any):
    whole, pieces = Rolling(SURPRISE, 3.0, 20, 2), Rolling(SURPRISE, 3.0, 20, 2)
    for block in blocks:
        stirred = random.sample(block, len(block))
        for one in stirred:
            pieces.push(np.array([one]), np.array([one > pieces.value]))
            state, pieces = pieces.state(), Rolling(SURPRISE, 3.0, 20, 2)
            pieces.restore(state)
        whole.push(np.array(block), np.array(block) > whole.value)
        whole.settle()
        pieces.settle()
        assert pieces.value == whole.value
        assert 2.0 <= whole.value <= 4.0


FIRST = drawn(6_000, 0.08, 0.5, 9).reshape(60, 100).tolist()  # what is usual is not just what was learned


def test_where_nothing_changes_it_stays_where_it_was_learned():
    days = drawn(20_000, 0.08, 0.5).reshape(200, 100).tolist()
    values = rolled(Rolling(SURPRISE, 3.0), FIRST + days)
    assert set(values[:25]) == {3.0}
    assert max(abs(value - 3.0) for value in values) < 0.35


def test_twice_as_many_high_scores_raise_it_until_as_few_are_beyond_as_before():
    rolling = Rolling(SURPRISE, 2.0)
    rolled(rolling, FIRST + drawn(60_000, 0.16, 0.5, 1).reshape(600, 100).tolist())
    beyond = [(drawn(60_000, share, 0.5, 2) > x).mean() for share, x in ((0.08, 2.0), (0.16, rolling.value))]
    assert beyond[1] == pytest.approx(beyond[0], rel=0.2)


def test_where_scores_fall_off_faster_it_goes_down_but_never_below_a_tenth():
    rolling = Rolling(SURPRISE, 3.0)
    rolled(rolling, FIRST + drawn(60_000, 0.08, 0.2).reshape(600, 100).tolist())
    assert rolling.value == rolling.least == 2.0
    assert Rolling(SURPRISE, 0.8).least == 0.4  # nor below the scores that are followed


def test_an_incident_teaches_nothing_however_long_it_lasts():
    rolling = Rolling(SURPRISE, 3.0)
    before = rolled(rolling, FIRST)[-1]
    half_odd = np.concatenate([drawn(50, 0.1, 0.5), np.full(30, 2.9), np.full(20, 8.0)])
    assert set(rolled(rolling, [half_odd.tolist()] * 500)) == {before}


def test_odd_windows_here_and_there_do_not_raise_it():
    usual = drawn(50_000, 0.08, 0.5).reshape(500, 100)
    some = usual.copy()
    some[:, :5] = 9.0  # one window in twenty
    without, beside = (rolled(Rolling(SURPRISE, 3.0), FIRST + one.tolist())[-1] for one in (usual[:, 5:], some))
    assert beside == pytest.approx(without, abs=0.15)


@pytest.mark.parametrize("usual", [np.zeros(100), np.full(100, 5.0)])
def test_usual_scores_that_are_all_alike_leave_it_where_it_was_learned(usual: np.ndarray):
    rolling = Rolling(usual, 3.0)
    assert not rolling.rolls
    assert set(rolled(rolling, drawn(1_000, 0.5, 1.0).reshape(10, 100).tolist())) == {3.0}


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
        ("sigm", "no threshold called 'sigm' to be learned.* Did you mean 'sigma'"),
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
