"""Incidents from near: which are kept, and which of their lines."""

from __future__ import annotations

import doctest

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging import closeups
from oddlog.pipeline.judging.closeups import ALIKE, MOST_SHOWN, NEIGHBOURS, Closeups, around
from oddlog.pipeline.reading import Reading


def test_examples_in_docstrings_hold():
    assert doctest.testmod(closeups).failed == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=300))
def test_what_is_shown_of_a_window_is_bounded_and_near_what_is_odd(events):
    template, odd = (np.array(x) for x in zip(*events, strict=True))
    shown = around(template, odd)
    assert len(shown) == min(len(odd), MOST_SHOWN) or (odd.any() and len(shown) <= MOST_SHOWN)
    assert (np.diff(shown) > 0).all()
    if odd.any():
        assert odd[shown].any()
        first = {}
        for i in np.flatnonzero(odd):
            first.setdefault(template[i], i)
        assert set(list(first.values())[:1]) <= set(shown.tolist())
        if len(odd) > MOST_SHOWN:
            at = np.flatnonzero(odd)
            assert all(np.abs(at - i).min() <= NEIGHBOURS for i in shown)
    else:
        assert shown.tolist() == list(range(min(len(odd), MOST_SHOWN)))


def test_of_a_hundred_odd_lines_of_a_type_three_are_shown_with_their_neighbours():
    odd = np.zeros(1_000, bool)
    odd[100::9] = True
    assert np.flatnonzero(odd)[:ALIKE].tolist() == [100, 109, 118]
    assert around(np.zeros(1_000), odd).tolist() == [*range(97, 104), *range(106, 113), *range(115, 122)]


@settings(deadline=None)
@given(st.permutations(range(12)))
def test_the_most_pressing_are_kept_in_whatever_order_they_come(order):
    keeping = Closeups(str, Codes(["a.log"]), most=4)
    for i in order:
        keeping.add_lines(f"id{i}", (-float(i // 2), -1.0, i), np.array([0]), np.array([10 * i + 5]), np.array([i]))
    # pressing 5, 5, 4, 4; within the same weight the earlier one comes first
    assert {one.rank[-1] for one in keeping._heap} == {"id11", "id10", "id9", "id8"}


def test_single_lines_are_shown_with_their_neighbours_of_the_same_source():
    keeping = Closeups(str, Codes(["a.log", "b.log"]))
    keeping.add_lines("id", (0.0, 0.0, 0), np.array([1, 0, 1]), np.array([2, 9, 7]), np.array([5, 6, 7]))
    (one,) = keeping._heap
    a, b = list(range(6, 13)), list(range(1, 11))
    assert list(zip(one.source.tolist(), one.line.tolist(), strict=True)) == [(0, n) for n in a] + [(1, n) for n in b]
    assert one.line[one.odd].tolist() == [9, 2, 7]
    assert not one.gap.any()


def test_without_incidents_nothing_is_read():
    assert Closeups(str, Codes()).read(Reading()) == {}
