"""pipeline/learning/whole.py: windows as they were, as many as the limits allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from made_windows import windows_of
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.types import NO_TIME, Windows


def some(n: int, length: int = 3) -> Windows:
    return windows_of([[i % 5] * length for i in range(n)])


def gathered(windows: Windows, order: list[int], parts: int, most_windows: int, most_events: int) -> list[str]:
    taking = WholeWindows(most_windows, most_events)
    for index in np.array_split(np.array(order), parts):
        part = windows.take(index)
        taking.add(part, np.zeros(len(index), np.int8), part.start % 5)
    whole = taking.whole()
    assert whole.fold.tolist() == (whole.windows.start % 5).tolist()
    assert whole.sampled_from == (len(windows) if len(whole.windows) < len(windows) else 0)
    return whole.windows.key.to_list()


@given(st.permutations(list(range(40))), st.integers(1, 8), st.sampled_from([(200, 1_000), (10, 1_000), (200, 25)]))
def test_the_same_windows_are_kept_whatever_the_order_and_the_partitions(
    order: list[int], parts: int, most: tuple[int, int]
):
    windows = some(40)
    assert gathered(windows, order, parts, *most) == gathered(windows, list(range(40)), 1, *most)


def test_no_limit_is_exceeded_and_none_is_wasted():
    windows = some(400)
    assert len(gathered(windows, list(range(400)), 7, 100, 10_000)) == 100
    assert len(gathered(windows, list(range(400)), 7, 1_000, 300)) == 100
    assert gathered(windows, list(range(400)), 7, 1_000, 10_000) == [f"s{i}" for i in range(400)]


def test_windows_of_any_length_are_as_likely_to_be_kept():
    windows = windows_of([[1] * (1 if i % 2 else 5) for i in range(2_000)])
    kept = gathered(windows, list(range(2_000)), 3, 400, 100_000)
    long = sum(int(key[1:]) % 2 == 0 for key in kept)
    assert 160 < long < 240


def test_a_window_larger_than_everything_allowed_is_left_out():
    assert gathered(windows_of([[1] * 50]), [0], 1, 10, 40) == []


def test_without_times_windows_stand_in_the_order_of_their_lines():
    timeless = replace(some(30), start=np.full(30, NO_TIME))
    taking = WholeWindows()
    taking.add(timeless.take(np.arange(30)[::-1]), np.zeros(30, np.int8), np.zeros(30, np.int64))
    assert taking.whole().windows.key.to_list() == [f"s{i}" for i in range(30)]


def test_labels_stay_with_their_windows():
    taking = WholeWindows(most_windows=5)
    for start in (0, 10):
        windows = some(20).take(np.arange(start, start + 10))
        taking.add(windows, (windows.start % 3 - 1).astype(np.int8), np.zeros(10, np.int64))
    whole = taking.whole()
    assert len(whole.windows) == 5
    assert whole.label.tolist() == (whole.windows.start % 3 - 1).tolist()


def test_nothing_taken_gives_nothing():
    assert len(WholeWindows().whole().windows) == 0
