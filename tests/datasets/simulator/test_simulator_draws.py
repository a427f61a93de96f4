from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.datasets.simulator.draws import Draws, latency_factors


def test_the_stream_is_that_of_pcg64_and_does_not_change():
    assert Draws(0).raw(2).tolist() == [11749869230777074271, 4976686463289251617]
    assert Draws(0).below(1000, 4).tolist() == [636, 269, 40, 16]


def test_no_latency_factor_is_so_near_a_half_that_another_machines_exp_could_round_it_otherwise():
    parts = [abs(factor % 1 - 0.5) for factor in latency_factors()]
    assert min(parts) > 1e-6


def test_latencies_are_log_normal_with_the_median_asked_for():
    drawn = np.log(Draws(3).latency(1_000_000, 20_000) / 1e6)
    assert np.median(drawn) == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


@given(st.integers(1, 2**32), st.integers(0, 2**40))
def test_draws_stay_below_their_bound(bound, seed):
    drawn = Draws(seed).below(bound, 50)
    assert drawn.min() >= 0
    assert drawn.max() < bound


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any), st.integers(0, 1000))
def test_spread_never_takes_a_position_without_weight(weights, seed):
    drawn = Draws(seed).spread(np.array(weights), 40)
    assert all(weights[i] > 0 for i in drawn.tolist())


def test_spread_takes_positions_as_often_as_their_weights_say():
    drawn = Draws(1).spread(np.array([1, 0, 3]), 8_000)
    share = np.bincount(drawn, minlength=3) / 8_000
    assert share.tolist() == pytest.approx([0.25, 0, 0.75], abs=0.02)


def test_chance_is_given_in_percent():
    assert not Draws(0).chance(0, 100).any()
    assert Draws(0).chance(100, 100).all()
    assert Draws(0).chance(30, 10_000).mean() == pytest.approx(0.30, abs=0.02)
