"""What goes along with what."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.reports import lagged_pairs, pearson, without_slow
from oddlog.reports import correlations
from oddlog.reports.correlations import FEWEST, SLOW, Correlation, lagged

MINUTES = 600


def counts(seed: int, n: int, t: int = MINUTES) -> np.ndarray:
    return np.random.default_rng(seed).poisson(20, (n, t)).astype(np.float64)


def holes(values):
    return [None if np.isnan(value) else value for value in values.tolist()]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_the_slow_part_is_that_of_the_slow_way(seed: int, missing: float):
    draw = np.random.default_rng(seed)
    series = draw.normal(5, 2, (2, 90))
    series[draw.random(series.shape) < missing] = np.nan
    fast = correlations.without_slow(series)
    for row, expected in zip(fast, series, strict=True):
        slow = without_slow(holes(expected), SLOW)
        assert [value is None for value in slow] == np.isnan(row).tolist()
        np.testing.assert_allclose(row[~np.isnan(row)], [v for v in slow if v is not None], atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(-4, 4))
def test_r_and_n_are_those_of_the_slow_way(seed: int, lag: int):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(2, 120)), draw.normal(size=(3, 120))
    y[draw.random(y.shape) < 0.2] = np.nan
    shifted = correlations._shifted(y, np.array([lag]))
    r, n = correlations._pearson(x, shifted)
    for i in range(2):
        for j in range(3):
            pairs = lagged_pairs(x[i].tolist(), holes(y[j]), lag)
            assert n[i, 0, j] == len(pairs)
            assert r[i, 0, j] == pytest.approx(pearson(pairs), abs=1e-9)


def test_errors_that_follow_a_service_three_minutes_later_are_found_with_their_lag():
    activity = counts(1, 3)
    errors = counts(2, 2) * 0.2
    errors[1, 3:] += activity[2, :-3]
    found = lagged(activity, errors)
    assert [(one.activity, one.other, one.lag) for one in found] == [(2, 1, 3)]
    assert found[0].r > 0.9
    assert found[0].n == MINUTES - 3


def test_what_comes_before_has_a_negative_lag_and_what_falls_a_negative_r():
    activity = counts(3, 1)
    latency = -np.roll(activity, -2)
    latency[0, -2:] = np.nan
    found = lagged(activity, latency)
    assert [one.lag for one in found] == [-2]
    assert found[0].r < -0.99


def test_series_that_share_nothing_but_their_day_are_not_told():
    day = 100 + 80 * np.sin(np.arange(1440) / 1440 * 2 * np.pi)
    draw = np.random.default_rng(5)
    assert np.corrcoef(draw.poisson(day), draw.poisson(day))[0, 1] > 0.9
    assert lagged(draw.poisson(day, (4, 1440)).astype(float), draw.poisson(day, (4, 1440)).astype(float)) == []


def test_noise_is_hardly_ever_told():
    told = [lagged(counts(seed, 4, 300), counts(1_000 + seed, 4, 300)) for seed in range(10)]
    assert sum(map(bool, told)) <= 1


def test_constant_series_missing_ones_and_short_ones_say_nothing():
    activity = counts(7, 2)
    nothing = np.stack([np.full(MINUTES, 3.0), np.full(MINUTES, np.nan)])
    assert lagged(activity, nothing) == []
    assert lagged(np.full((1, MINUTES), 2.0), activity) == []
    assert lagged(activity[:, : FEWEST - 1], activity[:, : FEWEST - 1]) == []
    assert lagged(activity[:0], activity) == lagged(activity, activity[:0]) == []


def test_the_same_series_give_the_same_answer():
    activity = counts(8, 3)
    first, second = lagged(activity, activity), lagged(activity, activity)
    assert first == second
    assert first[0] == Correlation(0, 0, 0, pytest.approx(1.0), MINUTES)
