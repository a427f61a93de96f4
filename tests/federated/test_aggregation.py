"""Who counts how much, and what becomes of the updates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.errors import ConfigError
from oddlog.federated.aggregation import aggregate, clipped, pulled_back, trimmed_mean, weighted_mean
from oddlog.federated.gate import Gate, oversized
from oddlog.federated.layout import Layout
from oddlog.federated.quality import Quality, capped, jensen_shannon, softmax_weights, unscaled_weight

SITES = ("a", "b", "c")


def test_weights_come_back_from_the_vector_as_they_were():
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7, 8]), "s": np.float32(9)}
    layout = Layout.of(weights)
    back = layout.weights(layout.vector(weights))
    assert sorted(back) == ["b", "s", "w"]
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value)


def test_the_site_farthest_from_the_others_scores_lowest_and_in_the_papers_reading_highest():
    own = [np.array([50.0, 50, 0, 0])] * 4 + [np.array([0.0, 0, 0, 100])]  # the fifth has nothing in common with them
    everyone = np.sum(own, axis=0)
    found = [Quality.of(0.9, one, everyone) for one in own]
    corrected, paper = ([q.score(fidelity) for q in found] for fidelity in ("corrected", "paper"))
    assert np.argmin(corrected) == 4
    assert np.argmax(paper) == 4
    assert all(0 <= q <= 1 for q in corrected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.05, 10))
def test_softmax_weights_are_the_quotient_of_two_sums_of_what_each_site_knows_alone(q, temperature):
    e = np.array([unscaled_weight(one, temperature) for one in q])
    np.testing.assert_allclose(e / e.sum(), softmax_weights(q, temperature), atol=1e-12)


def test_a_low_temperature_gives_a_liar_nearly_everything():
    lie = [1.0, 0.0, 0.0, 0.0, 0.0]
    assert softmax_weights(lie, 1.0)[0] == pytest.approx(0.40, abs=0.01)
    assert softmax_weights(lie, 0.3)[0] == pytest.approx(0.87, abs=0.01)
    assert capped(softmax_weights(lie, 0.3), 0.4)[0] == pytest.approx(0.4)


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="temperature of 0 weighs nothing"):
        softmax_weights([1.0, 0.5], 0)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9), st.floats(0.05, 1))
def test_capped_weights_sum_to_one_and_none_is_above(weight, most):
    found = capped(np.array(weight) / np.sum(weight), most)
    assert found.sum() == pytest.approx(1)
    assert found.max() <= max(most, 1 / len(weight)) + 1e-9


def test_divergence_is_none_of_itself_and_whole_of_nothing_in_common():
    assert jensen_shannon(np.array([1.0, 2]), np.array([10.0, 20])) == pytest.approx(0)
    assert jensen_shannon(np.array([1.0, 0]), np.array([0.0, 1])) == pytest.approx(1)
    assert jensen_shannon(np.zeros(2), np.array([0.0, 1])) == 1


def test_the_mean_of_equal_weights_is_the_plain_one():
    updates = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    np.testing.assert_allclose(weighted_mean(updates, np.ones(4)), updates.astype(float).mean(0))


def test_one_of_five_that_sends_ten_times_the_opposite_moves_the_mean_but_neither_median_nor_trimmed_mean():
    draw = np.random.default_rng(0)
    right = np.ones(20)
    updates = (right + draw.normal(0, 0.05, (5, 20))).astype(np.float32)
    updates[3] *= -10
    off = {rule: np.abs(aggregate(updates, np.ones(5), rule) - right).max() for rule in ("mean", "median", "trimmed")}
    assert off["mean"] > 2
    assert off["median"] < 0.1
    assert off["trimmed"] < 0.1


def test_a_trimmed_mean_of_two_leaves_nobody_out():
    np.testing.assert_allclose(trimmed_mean(np.float32([[1, 5], [3, 7]])), [2, 6])


def test_an_unknown_rule_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'median'"):
        aggregate(np.zeros((1, 1), np.float32), np.ones(1), "medain")


def test_fedprox_pulls_towards_where_the_round_began():
    now, anchor = np.float32([2, -2]), np.float32([0, 0])
    np.testing.assert_array_equal(pulled_back(now, anchor, 0), now)
    np.testing.assert_array_equal(pulled_back(now, anchor, 1), [1, -1])


def test_a_long_update_is_cut_to_its_length():
    np.testing.assert_allclose(clipped(np.float32([3, 4]), 1), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(clipped(np.float32([3, 4]), 5), [3, 4])


@pytest.mark.parametrize(
    ("site", "round_", "update", "reason"),
    [
        ("z", 1, np.zeros(3, np.float32), "update of a site that does not take part"),
        ("a", 0, np.zeros(3, np.float32), "update of round before"),
        ("a", 2, np.zeros(3, np.float32), "update of round to come"),
        ("a", 1, np.zeros(4, np.float32), "update of the wrong shape"),
        ("a", 1, np.zeros((3, 1), np.float32), "update of the wrong shape"),
        ("a", 1, np.zeros(3, np.int32), "update of the wrong shape"),
        ("a", 1, np.float32([0, np.nan, 0]), "update with values that are no numbers"),
        ("a", 1, np.float32([0, np.inf, 0]), "update with values that are no numbers"),
        ("a", 1, np.float32([0, 11, 0]), "update too long"),
    ],
)
def test_what_does_not_belong_is_refused_by_name(site, round_, update, reason):
    gate = Gate(3, SITES, norm=10)
    gate.begin(1)
    assert gate.let_in(site, round_, update) is None
    assert dict(gate.refused.counts) == {reason: 1}
    assert gate.refused.examples == {reason: site}


def test_a_replay_in_the_same_round_is_refused_and_the_next_round_lets_in_again():
    gate = Gate(2, SITES)
    gate.begin(1)
    assert gate.let_in("a", 1, np.zeros(2, np.float32)) is not None
    assert gate.let_in("a", 1, np.zeros(2, np.float32)) is None
    assert gate.refused.counts["second update of a site in one round"] == 1
    gate.begin(2)
    assert gate.let_in("a", 2, np.zeros(2, np.float32)) is not None


def test_of_two_updates_none_is_oversized():
    assert not oversized(np.float32([[1], [1000]])).any()
