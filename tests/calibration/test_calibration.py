"""calibration.py: scores become p-values on windows that were not learned from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.calibration import survival
from oddlog.calibration import (
    Calibrator,
    EventCalibrator,
    Tail,
    crossfit,
    crossfit_scores,
    lowest_rate,
    pareto,
    time_folds,
    too_few,
)
from oddlog.detectors.neighbour import ScaledNearestNeighbour
from oddlog.detectors.new_event import NewEvent
from oddlog.testing import context, usual_windows, windows
from oddlog.types import NO_TIME

scores_of = st.lists(st.floats(-100, 100).map(lambda x: round(x, 2)), min_size=1, max_size=60)


def test_every_window_is_scored_by_a_member_that_did_not_see_its_stretch_of_time():
    # type i stands in window i only: out of fold each window holds an unseen type
    batch = windows([[0, i] for i in range(1, 11)])
    inside = NewEvent().fit(batch, context(11)).score(batch).window
    outside = crossfit(NewEvent, batch, context(11), folds=5)
    assert (outside > inside).all()
    twin = np.empty(10)
    for i in range(5):
        held_out = np.arange(2 * i, 2 * i + 2)
        others = np.setdiff1d(np.arange(10), held_out)
        twin[held_out] = NewEvent().fit(batch.take(others), context(11)).score(batch.take(held_out)).window
    assert outside.tolist() == twin.tolist()


def test_events_come_out_of_fold_in_the_order_of_the_windows():
    batch = windows([[0, 1], [0], [0, 0, 2], [0]])
    late_first = batch.take(np.array([2, 0, 3, 1]))
    event = crossfit_scores(NewEvent, late_first, context(3), folds=4).event
    assert (event > 0).tolist() == [False, False, True, False, True, False, False]


def test_folds_follow_time_and_not_the_order_of_the_windows():
    assert time_folds(np.array([50, 10, 40, 20, 30, 0]), 3).tolist() == [2, 0, 2, 1, 1, 0]
    assert time_folds(np.array([7, 8]), 5).tolist() == [0, 1]
    assert time_folds(np.full(4, NO_TIME), 2).tolist() == [0, 0, 1, 1]
    assert time_folds(np.empty(0, np.int64), 5).tolist() == []


def test_folds_that_were_cut_elsewhere_are_taken_as_they_are():
    batch = windows([[0, 1], [0, 1], [0, 2], [0, 2]])
    split = crossfit(NewEvent, batch, context(3), folds=np.array([0, 1, 0, 1]))
    apart = crossfit(NewEvent, batch, context(3), folds=np.array([4, 4, 9, 9]))
    assert split.tolist() == [0.0] * 4
    assert apart.tolist() == pytest.approx([-np.log10(0.5 / 3)] * 4)  # unseen in the other fold's two windows
    assert np.isnan(crossfit(NewEvent, batch, context(3), folds=np.zeros(4, np.int64))).all()


def test_a_single_window_has_no_score_out_of_fold():
    scores = crossfit_scores(ScaledNearestNeighbour, windows([[0, 1]]), context(2))
    assert np.isnan(scores.window).all()
    assert np.isnan(scores.event).all()


@settings(deadline=None, max_examples=60)
@given(scores_of)
def test_up_to_the_tail_a_p_value_is_the_share_of_usual_scores_as_high(usual: list[float]):
    tail = Tail.fit(np.array(usual))
    counted = [x for x in usual if x <= tail.knot[-1]]
    expected = [survival(usual, x) for x in counted]
    assert tail.p_value(np.array(counted)).tolist() == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(scores_of, scores_of)
def test_a_higher_score_never_has_a_higher_p_value(usual: list[float], asked: list[float]):
    tail = Tail.fit(np.array(usual))
    p = tail.p_value(np.sort(np.array(asked + usual)))
    assert (np.diff(p) <= 1e-15).all()
    assert ((p > 0) & (p <= 1)).all()


@settings(deadline=None, max_examples=60)
@given(scores_of)
def test_a_weight_is_as_many_equal_windows(usual: list[float]):
    value, count = np.unique(usual, return_counts=True)
    one, other = Tail.fit(np.array(usual)), Tail.fit(value, count.astype(np.float64))
    asked = np.linspace(-110, 300, 50)
    assert one.p_value(asked) == pytest.approx(other.p_value(asked))


@pytest.mark.parametrize("shape", [0.0, 0.3])
def test_the_fitted_tail_recovers_a_known_distribution(shape: float):
    # survival of the generalised Pareto distribution with scale 2, evenly spaced in probability
    p = (np.arange(20_000) + 0.5) / 20_000
    score = -2 * np.log(p) if shape == 0 else 2 * (p**-shape - 1) / shape
    tail = Tail.fit(score)
    assert tail.shape == pytest.approx(shape, abs=0.03)
    for rate in (1e-3, 1e-4):
        exact = -2 * np.log(rate) if shape == 0 else 2 * (rate**-shape - 1) / shape
        assert tail.quantile(rate) == pytest.approx(exact, rel=0.06)
        assert tail.p_value(np.array([exact]))[0] == pytest.approx(rate, rel=0.2)


def test_the_moments_of_hosking_and_wallis():
    # k = -shape: a0 = scale / (1 + k), a1 = scale / (2 (2 + k)); exact for evenly spaced probabilities
    p = (np.arange(100_000) + 0.5) / 100_000
    scale, shape = pareto(np.sort(3 * (p**-0.2 - 1) / 0.2), np.ones(100_000))
    assert scale == pytest.approx(3, rel=0.01)
    assert shape == pytest.approx(0.2, abs=0.01)


def test_few_excesses_are_taken_as_exponential_and_a_bounded_tail_too():
    assert pareto(np.array([1.0, 2.0, 9.0]), np.ones(3)) == (4.0, 0.0)
    heavy = np.array([0.1, 0.2, 0.3, 9.4])
    assert pareto(heavy, np.ones(4)) == (2.5, 0.0)
    assert pareto(heavy, np.full(4, 100.0)) == (1.25, 0.5)
    even = np.linspace(0, 1, 1_000)
    assert pareto(even, np.ones(1_000)) == (pytest.approx(0.5), 0.0)
    assert pareto(np.empty(0), np.empty(0)) == (0.0, 0.0)


@settings(deadline=None, max_examples=60)
@given(scores_of, st.floats(1e-6, 0.99))
def test_the_quantile_of_a_rate_is_exceeded_no_more_often(usual: list[float], rate: float):
    tail = Tail.fit(np.array(usual))
    beyond = tail.quantile(rate) + 1e-6
    assert tail.p_value(np.array([beyond]))[0] <= rate + 1e-9


def test_ten_windows_are_enough_to_tell_far_from_near():
    tail = Tail.fit(np.arange(10.0))
    p = tail.p_value(np.array([0.0, 5.0, 9.0, 20.0, 100.0]))
    assert p[0] == pytest.approx(10.5 / 11)
    assert p[1] == pytest.approx(5.5 / 11)
    assert p[2] > 0.05
    assert p[3] < 0.01
    assert p[4] < 1e-6


def test_scores_all_alike_leave_room_above():
    p = Tail.fit(np.zeros(999)).p_value(np.array([0.0, 0.5, 3.0]))
    assert p[0] == pytest.approx(999.5 / 1000)
    assert p[1] == pytest.approx(0.5 / 1000 * np.exp(-0.5))
    assert p[2] == pytest.approx(0.5 / 1000 * np.exp(-3))


def test_no_usual_score_means_p_1_until_one_comes_from_elsewhere():
    tail = Tail.fit(np.array([np.nan, np.nan]))
    assert tail.p_value(np.array([-5.0, 0.0])).tolist() == [1.0, 1.0]
    assert np.isnan(tail.p_value(np.array([np.nan])))[0]


def test_an_infinite_score_is_very_surprising_and_still_has_a_p_value():
    p = Tail.fit(np.arange(100.0)).p_value(np.array([np.inf, -np.inf]))
    assert 0 < p[0] < 1e-9
    assert p[1] == pytest.approx(100.5 / 101)


def test_many_scores_are_kept_as_few_steps_that_never_understate_a_p_value():
    usual = np.random.default_rng(0).normal(size=20_000)
    tail = Tail.fit(usual)
    assert len(tail.knot) <= 2_048
    asked = usual[usual <= tail.knot[-1]][:500]
    exact = np.array([(usual >= x).sum() + 0.5 for x in asked]) / 20_001
    assert (tail.p_value(asked) >= exact - 1e-12).all()
    assert tail.p_value(asked) == pytest.approx(exact, abs=0.001)


@pytest.fixture
def calibrated() -> tuple[Calibrator, np.ndarray]:
    draw = np.random.default_rng(3)
    shared = draw.exponential(size=2_000)
    scores = np.array([shared + 0.3 * draw.exponential(size=2_000), 5 * shared, draw.exponential(size=2_000)])
    return Calibrator().fit(scores), scores


def test_the_members_mean_is_calibrated_once_more(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, scores = calibrated
    p = calibrator.p_value(scores)
    for share in (0.5, 0.1, 0.01):
        assert (p <= share).mean() == pytest.approx(share, rel=0.2)
    # agreeing members: the mean of -log10 p alone would be no p-value
    assert (10 ** -calibrator.combined(scores) <= 0.01).mean() < 0.006


def test_the_combination_is_the_mean_of_minus_log10_p(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, scores = calibrated
    expected = -np.log10(calibrator.member_p(scores)).mean(0)
    assert calibrator.combined(scores) == pytest.approx(expected)


def test_a_member_without_opinion_leaves_the_verdict_to_the_others(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, _ = calibrated
    scores = np.array([[9.0, np.nan], [np.nan, np.nan], [4.0, np.nan]])
    member = -np.log10(calibrator.member_p(scores))
    combined = calibrator.combined(scores)
    assert combined[0] == pytest.approx((member[0, 0] + member[2, 0]) / 2)
    assert np.isnan(member[1]).all()
    assert np.isnan(combined[1])
    assert np.isnan(calibrator.p_value(scores)[1])


def test_one_member_alone_is_measured_by_the_same_threshold(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, scores = calibrated
    alone = np.full_like(scores, np.nan)
    alone[2] = scores[2]
    p = calibrator.p_value(alone)
    rare = calibrator.member_p(alone)[2] < 0.01
    assert p[rare] == pytest.approx(calibrator.member_p(alone)[2][rare])
    assert (calibrator.combined(alone) > calibrator.threshold(0.01)).mean() == pytest.approx(0.01, abs=0.002)


def test_the_threshold_and_the_p_value_agree(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, scores = calibrated
    for rate in (0.2, 0.01, 0.001):
        above = calibrator.combined(scores) > calibrator.threshold(rate)
        assert above.tolist() == (calibrator.p_value(scores) < rate).tolist()


def test_a_calibrator_comes_back_from_its_state_bit_by_bit(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, scores = calibrated
    back = Calibrator.from_state(calibrator.state())
    assert back.n_usual == 2_000
    assert back.p_value(3 * scores).tolist() == calibrator.p_value(3 * scores).tolist()
    assert back.member_p(scores).tolist() == calibrator.member_p(scores).tolist()


def test_no_windows_have_no_p_values(calibrated: tuple[Calibrator, np.ndarray]):
    calibrator, _ = calibrated
    assert calibrator.p_value(np.empty((3, 0))).shape == (0,)
    assert calibrator.member_p(np.empty((3, 0))).shape == (3, 0)


def test_event_scores_have_their_own_p_values():
    usual = np.concatenate([np.zeros(990), np.linspace(1, 2, 10)]).astype(np.float32)
    calibrator = EventCalibrator().fit(usual)
    p = calibrator.p_value(np.array([0.0, 1.0, 2.0, 6.0, np.nan], np.float32))
    assert p[0] == pytest.approx(1, abs=0.001)
    assert 0.004 < p[1] < 0.0115
    assert 0 < p[3] < p[2] < 0.005
    assert np.isnan(p[4])
    assert calibrator.threshold(0.001) > 1.5
    back = EventCalibrator.from_state(calibrator.state())
    assert np.array_equal(back.p_value(usual), calibrator.p_value(usual))


def test_too_few_usual_windows_are_named_with_the_rate_they_hold():
    assert lowest_rate(2_500) == 0.001
    assert lowest_rate(1) == lowest_rate(0) == 1.0
    assert too_few(0.001, 2_500) == ""
    assert too_few(0.001, 1_000) == (
        "too few usual windows for this false-alarm rate: 1,000 hold 1 in 400, 1 in 1,000 takes 2,500"
    )


def test_usual_sessions_out_of_fold_look_usual():
    scores = np.array([crossfit(ScaledNearestNeighbour, usual_windows(), context())])
    p = Calibrator().fit(scores).p_value(scores)
    assert (p < 0.01).mean() < 0.02


def test_of_several_voices_the_most_surprised_is_heard():
    rng = np.random.default_rng(0)
    usual = rng.normal(size=(4, 20_000))
    tails = [Tail.fit(row) for row in usual]
    votes, weight = np.ones(4, bool), np.ones(usual.shape[1])
    apart = Calibrator().fit_verdict(tails, votes, usual, weight, np.array([0, 0, 0, 3]))
    together = Calibrator().fit_verdict(tails, votes, usual, weight)
    odd = np.array([[0.0], [0.0], [0.0], [4.0]])  # only the fourth sees it
    assert apart.p_value(odd)[0] < 5e-4
    assert together.p_value(odd)[0] > 1e-3
    fresh = rng.normal(size=(4, 200_000))
    for calibrator in (apart, together):
        false = (calibrator.combined(fresh) > calibrator.threshold(1e-3)).mean()
        assert 5e-4 < false < 2e-3


def test_one_voice_is_the_mean_and_several_survive_a_round_trip():
    rng = np.random.default_rng(1)
    usual = rng.exponential(size=(3, 5_000))
    weight, votes = np.ones(5_000), np.array([True, True, True])
    tails = [Tail.fit(row) for row in usual]
    one = Calibrator().fit_verdict(tails, votes, usual, weight, np.array([5, 5, 5]))
    assert np.array_equal(one.combined(usual), Calibrator().fit(usual).combined(usual))
    assert "voices" not in one.state().meta
    several = Calibrator().fit_verdict(tails, votes, usual, weight, np.array([0, 0, 2]))
    again = Calibrator.from_state(several.state())
    some = np.array([[1.0, 9.0, np.nan, 2.0], [np.nan, 1.0, np.nan, 2.0], [np.nan, np.nan, np.nan, 9.0]])
    assert np.array_equal(again.p_value(some), several.p_value(some), equal_nan=True)
    assert np.isnan(several.combined(some)[2])
    # A member that is alone in its voice, or of it, is taken at its own word.
    assert several.combined(some)[0] == tails[0].surprise(np.array([1.0]))[0]


@settings(deadline=None, max_examples=60)
@given(scores_of, st.sampled_from([0.3, 0.05, 0.01, 0.001, 1e-6]))
def test_the_verdict_of_a_single_member_is_that_members_own(usual: list[float], rate: float):
    scores = np.array(usual)
    tail, one = Tail.fit(scores), Calibrator().fit(scores[None])
    asked = np.concatenate([scores, scores + 0.5, [1e3]])
    assert one.p_value(asked[None]) == pytest.approx(tail.p_value(asked))
    over = one.combined(asked[None]) > one.threshold(rate)
    assert over.tolist() == (tail.surprise(asked) > tail.surprise(np.array([tail.quantile(rate)]))).tolist() or (
        np.isclose(one.combined(asked[None]), one.threshold(rate)).any()
    )
    again = Calibrator.from_state(one.state())
    assert again.threshold(rate) == one.threshold(rate)
