"""Intervals hold what they promise, and tests find what is there and nothing else."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import metrics as naive
from oddlog.evaluation import metrics
from oddlog.evaluation.resampling import (
    Paired,
    auc_interval,
    cells_of,
    f1_difference,
    f1_interval,
    holm,
    paired_test,
    pooled_test,
    time_blocks,
)


def drawn(seed: int, n: int = 400, better: float = 0.0) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed)
    label = (draw.random(n) < 0.2).astype(np.int8)
    score = draw.normal(label * (1.5 + better), 1.0)
    return score > 1.0, label, score


def test_the_interval_of_f1_holds_the_true_one_about_as_often_as_it_says():
    odd, label, _ = drawn(99, 400_000)
    true = metrics.counted(odd, label).f1
    held = 0
    for seed in range(100):
        odd, label, _ = drawn(seed)
        low, high = f1_interval(odd, label, np.ones(len(label)), np.arange(len(label)), seed)
        held += low <= true <= high
    assert held >= 88


def test_the_interval_of_the_area_holds_its_value_and_narrows_with_more_cases():
    widths = []
    for n in (200, 5_000):
        _, label, score = drawn(3, n)
        low, high = auc_interval(score, label, np.ones(n), np.arange(n))
        assert low < metrics.roc_auc(score, label) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_windows_that_hang_together_widen_the_interval():
    odd, label, _ = (np.repeat(one, 20) for one in drawn(1, 100))
    weight = np.ones(len(label))
    alone = f1_interval(odd, label, weight, np.arange(len(label)))
    blocks = f1_interval(odd, label, weight, time_blocks(np.arange(len(label)), 100))
    assert blocks[1] - blocks[0] > 2 * (alone[1] - alone[0])


def test_a_difference_is_found_and_none_is_not():
    odd, label, score = drawn(5, 2_000)
    weight, block = np.ones(len(label)), np.arange(len(label))
    assert paired_test(odd, odd, label, weight, block) == 1.0
    assert paired_test(odd, score > 3.5, label, weight, block) < 0.01
    p_values = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        one, other = (np.where(draw.random(len(odd)) < 0.1, ~odd, odd) for _ in range(2))
        p_values.append(paired_test(one, other, label, weight, block, seed))
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.mean(np.array(p_values) < 0.05) <= 0.15


def pairs_of(one: list[np.ndarray], other: list[np.ndarray], label: np.ndarray, units: list[str]) -> list[Paired]:
    weight, block = np.ones(len(label)), np.arange(len(label))
    return [
        Paired(pl.Series(units), *(cells_of(odd, label, weight, block) for odd in pair))
        for pair in zip(one, other, strict=True)
    ]


def flipped(odd: np.ndarray, seed: int, share: float = 0.1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(len(odd)) < share, ~odd, odd)


def test_the_same_verdicts_under_five_seeds_are_no_more_evidence_than_under_one():
    odd, label, _ = drawn(5, 2_000)
    units = [f"job-{i}" for i in range(2_000)]
    one, other = flipped(odd, 1), flipped(odd, 2, 0.13)
    alone = pooled_test(pairs_of([one], [other], label, units))
    assert alone == paired_test(one, other, label, np.ones(2_000), np.arange(2_000))
    assert 0.005 < alone < 0.6
    assert pooled_test(pairs_of([one] * 5, [other] * 5, label, units)) == alone


def test_what_holds_under_each_seed_is_found_and_what_turns_with_the_seed_is_not():
    odd, label, _ = drawn(6, 2_000)
    units = [f"job-{i}" for i in range(2_000)]
    good, bad = ([flipped(odd, seed, share) for seed in range(k, k + 4)] for k, share in ((0, 0.1), (9, 0.14)))
    assert pooled_test(pairs_of(good, bad, label, units)) < 0.01
    turning = pairs_of([*good[:2], *bad[2:]], [*bad[:2], *good[2:]], label, units)
    assert pooled_test(turning) > 0.1


def test_without_a_difference_over_seeds_p_is_spread_evenly():
    odd, label, _ = drawn(7, 1_000)
    p_values = []
    for k in range(40):
        keys = [[f"job-{i}" for i in np.random.default_rng(k + s).permutation(1_500)[:1_000]] for s in range(3)]
        pairs = []
        for s in range(3):
            one, other = flipped(odd, 100 * k + s), flipped(odd, 7_777 + 100 * k + s)
            pairs += pairs_of([one], [other], label, keys[s])
        p_values.append(pooled_test(pairs, k))
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.mean(np.array(p_values) < 0.05) <= 0.15


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_its_definition(p_values: list[float]):
    assert holm(p_values) == pytest.approx(naive.holm(p_values))


def test_without_an_anomaly_there_is_no_interval_of_the_area():
    low, high = auc_interval(np.arange(5.0), np.zeros(5, np.int8), np.ones(5), np.arange(5))
    assert np.isnan(low)
    assert np.isnan(high)


def test_stretches_of_time_hold_as_many_windows_each():
    assert time_blocks(np.array([40, 10, 30, 20]), 2).tolist() == [1, 0, 1, 0]


def test_a_difference_of_a_detector_to_itself_is_nothing_and_to_a_worse_one_is_above_it():
    label = np.repeat([1, 0], [50, 150]).astype(np.int8)
    good, bad = label == 1, np.zeros(200, np.bool_)
    weight, block = np.ones(200), np.arange(200)
    assert f1_difference(good, good, label, weight, block) == (0.0, 0.0, 0.0)
    assert f1_difference(good, bad, label, weight, block) == (1.0, 1.0, 1.0)
    bad[:40] = True
    seen, low, high = f1_difference(good, bad, label, weight, block)
    assert seen == pytest.approx(1 - 80 / 90)
    assert 0 < low < seen < high
