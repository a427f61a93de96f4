"""detectors/new_event.py: types that usual windows do not hold."""

from __future__ import annotations

from math import log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.detectors import new_event
from oddlog.detectors.new_event import NewEvent
from oddlog.testing import context, windows

sequences = st.lists(st.lists(st.integers(0, 7), max_size=5), min_size=1, max_size=12)


def test_the_rarer_a_type_the_higher_its_events_and_unseen_is_highest():
    # of 9 usual windows 9 hold type 0, 3 hold type 1, 1 holds type 2
    usual = windows([[0]] * 5 + [[0, 1]] * 3 + [[0, 2]])
    event = NewEvent().fit(usual, context(4)).score(windows([[0, 1, 2, 3, 9]])).event
    expected = [0.0, -log10(5 / 10), -log10(2 / 10), -log10(1.5 / 10), -log10(1.5 / 10)]
    assert event.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_rarest_event_is_the_window_s_score():
    fitted = NewEvent().fit(windows([[0]] * 9), context(1))
    scores = fitted.score(windows([[], [0, 0], [0, 5, 0], []])).window
    assert scores.tolist() == pytest.approx([0.0, 0.0, -log10(0.5 / 10), 0.0])


def test_where_news_is_usual_it_says_little():
    each_its_own = windows([[0, i] for i in range(1, 10)])
    fitted = NewEvent().fit(each_its_own, context(10))
    assert fitted.score(windows([[0, 99]])).window[0] == pytest.approx(-log10(9.5 / 10))


@settings(deadline=None, max_examples=60)
@given(sequences, sequences)
def test_scores_equal_the_formula_written_out(usual: list[list[int]], tested: list[list[int]]):
    scores = NewEvent().fit(windows(usual), context(6)).score(windows(tested)).window
    assert scores.tolist() == pytest.approx(new_event(usual, tested, 6), abs=1e-12)


def test_weights_count_as_repeated_windows():
    heavy = NewEvent().fit(windows([[0], [1]], weight=[8, 1]), context(2)).score(windows([[0, 1, 9]])).event
    repeated = NewEvent().fit(windows([[0]] * 8 + [[1]]), context(2)).score(windows([[0, 1, 9]])).event
    assert heavy.tolist() == repeated.tolist()


def test_usual_events_score_zero_not_minus_zero():
    event = NewEvent().fit(windows([[0]] * 3), context(1)).score(windows([[0]])).event
    assert not np.signbit(event).any()
