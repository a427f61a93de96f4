"""detectors/neighbour.py and distance.py: distance to the nearest usual window."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.detectors import nearest_neighbour
from oddlog.detectors import distance, neighbour
from oddlog.detectors.neighbour import ScaledNearestNeighbour
from oddlog.features import counts as module
from oddlog.features.counts import RARE, counts
from oddlog.testing import context, planted_windows, usual_windows, windows

sequences = st.lists(st.lists(st.integers(0, 7), max_size=8), min_size=1, max_size=12)


def test_a_missing_type_costs_its_idf_and_a_count_off_its_distance_in_logs():
    usual = windows([[0, 1], [0, 1], [0, 2]])
    fitted = ScaledNearestNeighbour().fit(usual, context(3))
    scores = fitted.score(windows([[0, 1], [0], [0, 1, 1], [0, 1, 9]])).window
    idf_of_1 = log(4 / 2) + 0.5
    assert scores.tolist() == pytest.approx([0.0, idf_of_1, log(2) / 0.5, log(4) + 0.5])


@settings(deadline=None, max_examples=60)
@given(sequences, sequences)
def test_scores_equal_the_formula_written_out(usual: list[list[int]], tested: list[list[int]]):
    fitted = ScaledNearestNeighbour().fit(windows(usual), context(6))
    expected = nearest_neighbour(usual, tested, 6)
    assert fitted.score(windows(tested)).window.tolist() == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(sequences, sequences)
def test_small_blocks_change_nothing(usual: list[list[int]], tested: list[list[int]]):
    fitted = ScaledNearestNeighbour().fit(windows(usual), context(6))
    whole = fitted.score(windows(tested))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbour, "BLOCK", 3)
        patch.setattr(neighbour, "PROBES", 1)
        parts = fitted.score(windows(tested))
    assert whole.window.tolist() == parts.window.tolist()
    assert whole.event.tolist() == parts.event.tolist()


@settings(deadline=None, max_examples=60)
@given(sequences, sequences)
def test_distances_to_each_reference_equal_the_nearest_when_it_is_taken(usual, tested):
    found = counts(windows(usual), 6)
    stick = distance.Yardstick.fit(found)
    queries = counts(windows(tested), 6, columns=found.columns)
    each = stick.to_each(queries, 0, len(queries), found)
    scores = ScaledNearestNeighbour().fit(windows(usual), context(6)).score(windows(tested)).window
    assert each.min(1)[queries.inverse].tolist() == pytest.approx(scores.tolist(), abs=1e-4)


def test_contributions_say_what_is_missing_what_is_new_and_which_count_is_off():
    usual = windows([[0, 1, 1, 1, 2]] * 9 + [[0, 1, 2]])
    fitted = ScaledNearestNeighbour().fit(usual, context(3))
    found = fitted.contributions(windows([[0, 1, 1, 1, 2], [0, 7, 7, 1, 1, 1]]))
    rows = list(zip(found.window, found.template, found.usual, found.seen, found.contribution, strict=True))
    assert [r[:4] for r in rows] == [
        (0, 0, 1, 1),
        (0, 1, 3, 3),
        (0, 2, 1, 1),
        (1, 0, 1, 1),
        (1, 1, 3, 3),
        (1, 2, 1, 0),
        (1, 7, 0, 2),
    ]
    expected = [0, 0, 0, 0, 0, log(11 / 10) + 0.5, log(11) + 0.5]
    assert [r[4] for r in rows] == pytest.approx(expected)


def test_types_counted_together_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_COLUMNS", 1)
    # 0 has its own column, 1 and 2 share the rare slot, 3 (known, but in no usual window) and 9 the unseen one
    fitted = ScaledNearestNeighbour().fit(windows([[0, 1, 1, 2]] * 3), context(4))
    batch = windows([[0], [0, 9, 9, 3, 9], [0, 2, 2, 1]])
    found = fitted.contributions(batch)
    rows = list(zip(found.window, found.template, found.usual, found.seen, strict=True))
    assert rows == [
        (0, RARE, 3, 0),
        (0, 0, 1, 1),
        (1, RARE, 3, 0),
        (1, 0, 1, 1),
        (1, 3, 0, 1),
        (1, 9, 0, 3),
        (2, 0, 1, 1),
        (2, 1, 3, 1),
        (2, 2, 3, 2),
    ]
    unseen = log(4) + 0.5
    assert found.contribution[4:6].tolist() == pytest.approx([unseen / 2, unseen / 2])
    sums = np.bincount(found.window, found.contribution)
    assert sums.tolist() == pytest.approx(fitted.score(batch).window.tolist())


def test_contributions_add_up_to_the_score():
    fitted = ScaledNearestNeighbour().fit(usual_windows(), context())
    batch = windows([[0, 4], [0, 1, 1, 1, 2, 4], [0, 0, 3, 3, 3, 9, 9], [0, 4]])
    found = fitted.contributions(batch)
    sums = np.bincount(found.window, found.contribution, minlength=4)
    assert sums.tolist() == pytest.approx(fitted.score(batch).window.tolist())


def test_the_nearest_usual_window_is_named_with_its_counts():
    fitted = ScaledNearestNeighbour().fit(windows([[0, 1, 2]] * 3 + [[3, 3, 3, 3]] * 2), context(4))
    index, usual = fitted.nearest(windows([[3, 3], [0, 1], [3, 3, 3]]))
    assert fitted.column_rows.tolist() == [0, 1, 2, 3, -2, -1]
    assert usual.tolist() == [[0, 0, 0, 4, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 4, 0, 0]]
    assert index[0] == index[2] != index[1]


def test_an_event_scores_the_contribution_of_its_type():
    fitted = ScaledNearestNeighbour().fit(windows([[0, 1]] * 3), context(2))
    event = fitted.score(windows([[0, 5, 1, 1]])).event
    assert event.tolist() == pytest.approx([0.0, log(4) + 0.5, 2 * log(2), 2 * log(2)])


def test_references_are_bounded_and_the_most_frequent_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neighbour, "MAX_REFERENCES", 2)
    fitted = ScaledNearestNeighbour().fit(windows([[0]] * 3 + [[1]] + [[2]] * 2), context(3))
    scores = fitted.score(windows([[0], [1], [2]])).window
    assert scores[0] == scores[2] == 0 < scores[1]


def test_wide_tables_keep_fewer_references(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neighbour, "MAX_CELLS", 12)  # 3 types + rare + unseen: two rows
    fitted = ScaledNearestNeighbour().fit(windows([[0]] * 3 + [[1]] + [[2]] * 2), context(3))
    assert len(fitted.state().arrays["weight"]) == 2


def test_many_distinct_windows_are_searched_exactly():
    draw = np.random.default_rng(1)
    usual = [draw.choice(30, 12).tolist() for _ in range(150)]
    tested = [draw.choice(33, 12).tolist() for _ in range(40)]
    scores = ScaledNearestNeighbour().fit(windows(usual), context(30)).score(windows(tested)).window
    assert scores.tolist() == pytest.approx(nearest_neighbour(usual, tested, 30), abs=1e-9)


def test_planted_windows_are_far():
    fitted = ScaledNearestNeighbour().fit(usual_windows(), context())
    assert fitted.score(planted_windows()).window.min() > 5
