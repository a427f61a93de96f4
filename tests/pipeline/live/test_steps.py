"""Counts by steps of time against the oracle that keeps each time, and at numbers that no list of times holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive.steps import in_while, most
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.steps import MOST_KEPT, Steps
from oddlog.types import State

SECOND_US, HOUR_US, DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
BATCHES = st.lists(st.lists(st.integers(0, 200 * SECOND_US), max_size=20), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("within_us", "step_us"),
    [(5 * SECOND_US, 1_000), (2 * HOUR_US, SECOND_US), (5 * DAY_US, 60 * SECOND_US), (30 * DAY_US, HOUR_US)],
)
def test_the_longer_the_while_the_longer_the_steps(within_us: int, step_us: int):
    assert Steps(within_us, whole=False).step_us == step_us


@given(BATCHES, st.integers(8 * SECOND_US, 100 * SECOND_US))
def test_what_is_too_many_is_so_and_what_is_not_is_exact_to_a_step(batches: list[list[int]], within_us: int):
    steps = Steps(within_us, whole=False)
    for batch in batches:
        steps.add(np.array(batch, np.int64))
    times = [at for batch in batches for at in batch]
    found, start_us = steps.peak()
    assert most(times, within_us - 2 * steps.step_us) <= found <= most(times, within_us)
    assert found == 0 or in_while(times, start_us + within_us, within_us + 1) >= found


@given(BATCHES, st.integers(8 * SECOND_US, 100 * SECOND_US))
def test_what_is_too_few_is_so_and_what_is_not_is_exact_to_a_step(batches: list[list[int]], within_us: int):
    steps = Steps(within_us, whole=True)
    for batch in batches:
        steps.add(np.array(batch, np.int64))
    times = [at for batch in batches for at in batch]
    now_us = max(times, default=0)
    found = steps.count(now_us)
    assert in_while(times, now_us, within_us) <= found <= in_while(times, now_us, within_us + 2 * steps.step_us)
    other = Steps(within_us, whole=True)
    other.restore(unpacked(packed(State(meta={"steps": steps.state()}))).meta["steps"])
    assert other.count(now_us) == found
    assert steps.count(now_us + within_us + 2 * steps.step_us) == 0


def test_it_counts_millions_and_keeps_a_number_for_each_step():
    steps = Steps(HOUR_US, whole=False)
    for k in range(30):
        steps.add(np.arange(k * 360_000_000, (k + 1) * 360_000_000, 3_000, dtype=np.int64))
    assert steps.peak() == (1_200_000, 0)
    assert steps.count(3 * HOUR_US - 1) == 1_200_000
    assert len(steps.state()[0]) == 3_600
    steps.add(np.arange(2 * MOST_KEPT, dtype=np.int64) * SECOND_US)
    assert len(steps.state()[0]) == MOST_KEPT
