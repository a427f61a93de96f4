"""detectors/sequences.py: pieces, batches, what is alike, what is highest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import networks as naive
from oddlog.detectors.sequences import (
    alike,
    batches,
    ended,
    grid,
    held_back,
    mean_of_top,
    pieces,
    sampled,
    with_ends,
)
from oddlog.testing import usual_windows, windows
from oddlog.types import CLOSED_BY

lengths = st.lists(st.integers(0, 40), max_size=8)


def offsets_of(length: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(length)]).astype(np.int64)


@given(lengths, st.integers(2, 9), st.integers(0, 1))
def test_pieces_are_those_of_the_slow_twin(length: list[int], most: int, warm: int):
    offsets = offsets_of(length)
    found = pieces(offsets, most, warm)
    expected = [
        (w, offsets[w] + start, offsets[w] + fresh, offsets[w] + stop)
        for w, n in enumerate(length)
        for start, fresh, stop in naive.cut(n, most, warm)
    ]
    got = zip(found.window, found.start, found.fresh, found.stop, strict=True)
    assert [tuple(map(int, one)) for one in got] == [tuple(map(int, one)) for one in expected]


@given(lengths, st.integers(2, 9), st.integers(0, 1))
def test_every_event_is_scored_once_and_each_window_has_one_last_piece(length: list[int], most: int, warm: int):
    found = pieces(offsets_of(length), most, warm)
    fresh = [e for a, b in zip(found.fresh, found.stop, strict=True) for e in range(a, b)]
    assert fresh == list(range(sum(length)))
    assert found.window[found.last].tolist() == list(range(len(length)))


@given(st.lists(st.integers(0, 500), max_size=50), st.integers(1, 9), st.integers(1, 600))
def test_batches_hold_everything_once_within_their_bounds(length: list[int], most: int, cells: int):
    found = list(batches(np.array(length, np.int64), most, cells))
    assert sorted(i for batch in found for i in batch.tolist()) == list(range(len(length)))
    for batch in found:
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * max(length[i] for i in batch) <= cells


def test_a_grid_points_at_events_and_says_what_is_padding():
    at, real = grid(np.array([5, 9]), np.array([3, 1]), 4)
    assert at.tolist() == [[5, 6, 7, 0], [9, 0, 0, 0]]
    assert real.tolist() == [[True, True, True, False], [True, False, False, False]]


@given(st.lists(st.lists(st.floats(-5, 5), max_size=6), max_size=6), st.integers(1, 4))
def test_the_mean_of_the_highest_is_that_of_the_slow_twin(rows: list[list[float]], top: int):
    values = np.array([v for row in rows for v in row])
    found = mean_of_top(values, offsets_of([len(row) for row in rows]), top)
    expected = [naive.top_mean(row, top) for row in rows]
    assert found == pytest.approx(np.array(expected), nan_ok=True)


def test_windows_are_alike_in_tokens_order_and_mark():
    batch = windows([[1, 2], [2, 1], [1, 2], [1, 2], [], [1]])
    first, inverse = alike(batch.template.astype(np.int64), batch.offsets, np.array([0, 0, 0, 1, 0, 0]))
    assert len(first) == 5
    assert inverse[0] == inverse[2]
    assert len(set(inverse.tolist())) == 5
    assert (batch.lengths[first][inverse] == batch.lengths).all()


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=12))
def test_alike_is_equal(rows: list[list[int]]):
    batch = windows(rows)
    _, inverse = alike(batch.template.astype(np.int64), batch.offsets, np.zeros(len(rows), np.int64))
    for i, one in enumerate(rows):
        assert [rows[j] == one for j in range(len(rows))] == (inverse == inverse[i]).tolist()


def test_a_window_is_over_where_nothing_more_can_come():
    batch = replace(windows([[0]] * len(CLOSED_BY)), closed_by=np.arange(len(CLOSED_BY), dtype=np.uint8))
    assert [name for name, over in zip(CLOSED_BY, ended(batch), strict=True) if over] == ["end", "idle", "rest"]


def test_a_sample_keeps_the_heaviest_and_is_the_same_each_time():
    weight = np.array([1.0, 9.0, 1.0, 8.0, 1.0, 1.0])
    kept = sampled(weight, 4, 3)
    assert len(kept) == 4
    assert {1, 3} <= set(kept.tolist())
    assert kept.tolist() == sorted(kept.tolist()) == sampled(weight, 4, 3).tolist()
    assert sampled(weight, 6, 3).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_last_share_of_the_time_is_held_back():
    batch = usual_windows(40).take(np.arange(40)[::-1])
    learned, held = held_back(batch)
    assert (len(learned), len(held)) == (34, 6)
    assert batch.start[learned].max() < batch.start[held].min()


def test_few_windows_do_both():
    learned, held = held_back(usual_windows(19))
    assert learned.tolist() == held.tolist() == list(range(19))


def test_ends_stand_behind_the_events_of_windows_that_are_over():
    batch = windows([[0, 1], [2], []])
    steps, offsets = with_ends(np.array([1, 2, 3], np.float32), np.array([9.0, np.nan, 8.0]), batch)
    assert steps.tolist() == [1, 2, 9, 3, 8]
    assert offsets.tolist() == [0, 3, 4, 5]
