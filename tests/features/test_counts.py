"""features/counts.py: distinct rows of counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.features import counts as module
from oddlog.features.counts import RARE, UNSEEN, Counts, counts, document_frequency
from oddlog.testing import usual_windows, windows
from oddlog.types import Windows

sequences = st.lists(st.lists(st.integers(0, 7), max_size=6), max_size=12)


def rows_as_dicts(found: Counts) -> list[dict[int, int]]:
    return [
        {int(found.columns.row[c]): int(n) for c, n in zip(found.column[a:b], found.count[a:b], strict=True)}
        for a, b in zip(found.indptr, found.indptr[1:], strict=False)
    ]


def test_equal_windows_become_one_row_with_their_weights_added():
    found = counts(windows([[0, 0, 1], [2], [0, 1, 0]], weight=[1, 1, 2.5]), k=3)
    assert len(found) == 2
    assert found.inverse[0] == found.inverse[2] != found.inverse[1]
    rows = rows_as_dicts(found)
    assert rows[found.inverse[0]] == {0: 2, 1: 1}
    assert rows[found.inverse[1]] == {2: 1}
    assert found.weight[found.inverse[0]] == 3.5


def test_types_beyond_the_table_and_types_without_training_share_the_unseen_slot():
    columns = counts(windows([[0, 1]]), k=3).columns
    found = counts(windows([[0, 2, 3, 99, 2**32 - 1]]), k=3, columns=columns)
    assert rows_as_dicts(found) == [{0: 1, UNSEEN: 4}]


def test_beyond_the_limit_the_rarest_types_share_one_slot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_COLUMNS", 2)
    # held by 3, 2, 1 and 2 windows: of the two with 2 the lower row keeps its column
    found = counts(windows([[0, 1, 3], [0, 1, 2], [0, 3, 3]]), k=5)
    assert found.columns.row.tolist() == [0, 1, RARE, UNSEEN]
    rows = rows_as_dicts(found)
    assert [rows[i] for i in found.inverse] == [{0: 1, 1: 1, RARE: 1}, {0: 1, 1: 1, RARE: 1}, {0: 1, RARE: 2}]
    later = counts(windows([[4, 7]]), k=5, columns=found.columns)
    assert rows_as_dicts(later) == [{UNSEEN: 2}]


@settings(deadline=None, max_examples=60)
@given(sequences)
def test_rows_are_what_a_counter_counts(given_sequences: list[list[int]]):
    k = 6
    found = counts(windows(given_sequences), k)
    rows = rows_as_dicts(found)
    expected = [Counter(t if t < k else UNSEEN for t in s) for s in given_sequences]
    assert [Counter(rows[i]) for i in found.inverse] == expected
    assert len(rows) == len({tuple(sorted(r.items())) for r in expected})
    dense = found.dense()
    assert dense.sum() == sum(sum(r.values()) for r in rows)
    assert found.weight.sum() == len(given_sequences)


@settings(deadline=None, max_examples=60)
@given(sequences, st.randoms())
def test_the_order_of_windows_and_of_events_changes_no_row(given_sequences: list[list[int]], random):
    shuffled = [random.sample(s, len(s)) for s in given_sequences]
    random.shuffle(shuffled)
    one, other = counts(windows(given_sequences), 8), counts(windows(shuffled), 8)
    for name in ("indptr", "column", "count", "weight"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_values_spread_from_entries_to_events():
    batch = windows([[2, 0, 2], [1], [0, 2, 2]])
    found = counts(batch, k=3)
    value = found.columns.row[found.column] * 10.0 + found.row_of_entry
    event = found.to_events(value, batch)
    row = found.inverse
    expected = [20 + row[0], row[0], 20 + row[0], 10 + row[1], row[2], 20 + row[2], 20 + row[2]]
    assert event.tolist() == expected
    assert event.dtype == np.float32


def test_the_heaviest_rows_are_kept_and_ties_do_not_depend_on_the_order():
    found = counts(windows([[0]] * 3 + [[1]] * 5 + [[2]] + [[3]]), k=4)
    kept = found.heaviest(3)
    assert sorted(kept.weight.tolist()) == [1.0, 3.0, 5.0]
    other = counts(windows([[3]] + [[2]] + [[1]] * 5 + [[0]] * 3), k=4).heaviest(3)
    assert rows_as_dicts(kept) == rows_as_dicts(other)


def test_document_frequency_is_the_weight_of_the_windows_that_hold_a_type():
    found = counts(windows([[0, 0, 1], [0], [0]], weight=[1, 2, 4]), k=2)
    assert document_frequency(found).tolist() == [7.0, 1.0, 0.0, 0.0]


def test_no_windows_give_no_rows():
    found = counts(Windows.empty(), k=3)
    assert len(found) == 0
    assert found.dense().shape == (0, 2)
    assert found.to_events(np.empty(0), Windows.empty()).shape == (0,)


def test_a_table_of_100_000_types_stays_within_2050_columns():
    draw = np.random.default_rng(0)
    batch = windows([draw.integers(0, 100_000, 500).tolist() for _ in range(200)])
    found = counts(batch, k=100_000)
    assert found.columns.width == 2_050
    assert found.count.sum() == 100_000


def test_usual_sessions_repeat():
    found = counts(usual_windows(200), k=6)
    assert len(found) == 8  # one to four writes, with or without a retry
