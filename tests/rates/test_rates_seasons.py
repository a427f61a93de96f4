from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_rates import DAY, MONDAY, rhythm
from naive import rates as naive
from oddlog.rates.seasons import KAPPA, KAPPA_WEEK, LEAST_ALPHA, SeasonSums, dispersion, folds_of, grain_of, out_of_fold
from oddlog.rates.series import Span, trailing


def span(days: float, first: int = MONDAY) -> Span:
    return Span(first, np.ones(round(days * DAY), np.bool_))


@pytest.mark.parametrize(("days", "grain"), [(0.2, "none"), (1.9, "none"), (2, "day"), (13, "day"), (14, "week")])
def test_hours_are_told_apart_where_training_covers_them(days: float, grain: str):
    assert grain_of(span(days)) == grain


@settings(deadline=None)
@given(days=st.sampled_from([0.3, 1.5, 3.0, 15.0]), seed=st.integers(0, 99), first=st.integers(0, 10_080))
def test_the_season_is_that_of_a_loop(days: float, seed: int, first: int):
    draw, there = np.random.default_rng(seed), span(days, MONDAY + first)
    there.observed[draw.random(len(there)) < 0.1] = False
    lines = draw.poisson(2.0, len(there)).astype(np.float64)
    season = SeasonSums.of(lines[None, :], there).season()
    minutes = there.minute[there.observed].tolist()
    by_minute = dict(zip(there.minute.tolist(), lines.tolist(), strict=True))
    expected = naive.season(by_minute, minutes, grain_of(there), KAPPA, KAPPA_WEEK)
    np.testing.assert_allclose(season.rate[0], [expected[hour] for hour in range(168)])


@given(row=st.lists(st.integers(0, 9), min_size=1, max_size=30), minutes=st.integers(1, 40), lag=st.integers(0, 40))
def test_trailing_sums_are_those_of_a_loop(row: list[int], minutes: int, lag: int):
    got = trailing(np.array([row], np.float64), minutes, lag)[0]
    assert got.tolist() == naive.trailing(row, minutes, lag)


def test_every_day_is_of_one_fold_and_every_fifth_of_the_same():
    there = span(7)
    fold = folds_of(there)
    by_day = fold.reshape(7, DAY)
    assert (by_day == by_day[:, :1]).all()
    assert by_day[:, 0].tolist() == [0, 1, 2, 3, 4, 0, 1]


def test_what_is_expected_of_a_day_is_not_learned_from_it():
    there = span(5)
    lines = np.full((1, len(there)), 2.0)
    lines[0, 2 * DAY : 3 * DAY] = 1_000.0
    low, high = out_of_fold(SeasonSums.of(lines, there), there)
    third = slice(2 * DAY, 3 * DAY)
    assert (low[0, third].max(), high[0, third].max()) == pytest.approx((2.0, 2.0))
    assert high[0, :DAY].min() > 100


def test_an_hour_is_expected_as_it_was_at_that_hour_of_that_weekday():
    there = span(14)
    draw = np.random.default_rng(5)
    lines = draw.poisson(50 * rhythm(there.minute))[None, :].astype(np.float64)
    season = SeasonSums.of(lines, there).season()
    low, high = season.low_high(there.minute)
    off = np.abs((low + high)[0] / 2 / (50 * rhythm(there.minute)) - 1)
    assert off.mean() < 0.05
    assert off[(there.minute % DAY > 60) & (there.minute % DAY < DAY - 60)].max() < 0.25
    saturday, friday = MONDAY + 5 * DAY + 840, MONDAY + 4 * DAY + 840
    both = season.low_high(np.array([friday, saturday]))[1][0]
    assert both[1] < 0.6 * both[0]


def test_counts_that_vary_more_than_chance_have_a_larger_dispersion():
    draw = np.random.default_rng(3)
    mean = np.full((1, 20_000), 40.0)
    calm = draw.poisson(mean)
    wild = draw.poisson(mean * draw.gamma(4, 1 / 4, mean.shape))  # variance of the rate: a quarter of its square
    assert dispersion(calm.astype(float), mean, 100.0)[0] == pytest.approx(LEAST_ALPHA, abs=0.003)
    assert dispersion(wild.astype(float), mean, 100.0)[0] == pytest.approx(0.25, abs=0.08)
