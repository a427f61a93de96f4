"""Mixed sums tell windows apart and are the same everywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oddlog.features.hashing import mix, places, sums_of

FAR = 2**64


def naive_mix(value: int, start: int) -> int:
    value = (value + start) % FAR
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % FAR
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % FAR
    return value ^ (value >> 31)


def test_the_published_first_value_of_the_seed_zero_comes_out():
    assert mix(np.array([0], np.uint64)).tolist() == [0xE220A8397B1DCDAF]


@given(st.lists(st.integers(0, FAR - 1), max_size=5), st.integers(0, FAR - 1))
def test_whole_arrays_are_mixed_as_one_value_is(values: list[int], start: int):
    assert mix(np.array(values, np.uint64), np.uint64(start)).tolist() == [naive_mix(v, start) for v in values]


@given(st.lists(st.lists(st.integers(0, FAR - 1), max_size=4), min_size=1, max_size=4))
def test_sums_and_places_are_those_of_each_window(bags: list[list[int]]):
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])]).astype(np.int64)
    part = np.array([value for bag in bags for value in bag], np.uint64)
    assert sums_of(part, offsets).tolist() == [sum(bag) % FAR for bag in bags]
    assert places(offsets).tolist() == [i for bag in bags for i in range(len(bag))]
