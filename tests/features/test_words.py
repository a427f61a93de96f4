"""features/words.py: which words the lines of a window hold, hashed."""

from __future__ import annotations

import numpy as np
import pytest

from oddlog.features import words as module
from oddlog.features.words import WIDTH, Words
from oddlog.testing import windows


def columns(words: Words, i: int) -> list[int]:
    return words.column[words.indptr[i] : words.indptr[i + 1]].tolist()


def test_words_are_cut_at_capitals_digits_and_signs_whatever_stands_between():
    words = Words.of(["dataNode_lost <*>", "Data node: lost 17", "lost", "<*>"])
    assert columns(words, 0) == columns(words, 1)
    assert len(columns(words, 0)) == 5  # data, node, lost and two pairs
    assert set(columns(words, 2)) < set(columns(words, 0))
    assert columns(words, 3) == []
    assert columns(words, 4) == [WIDTH]


def test_a_windows_columns_count_the_lines_that_hold_a_word():
    words = Words.of(["disk full", "disk failed"])
    counted = np.expm1(words.counts(windows([[0, 0, 1], [], [7, 9]]))).round(6)
    assert counted.shape == (3, WIDTH + 1)
    disk = set(columns(words, 0)) & set(columns(words, 1))
    assert [counted[0, column] for column in disk] == [3.0]
    assert sorted(counted[0][counted[0] > 0].tolist()) == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert counted[1].sum() == 0.0
    assert counted[2].nonzero()[0].tolist() == [WIDTH]
    assert counted[2, WIDTH] == 2.0


def test_weights_of_words_add_up_by_template():
    words = Words.of(["disk full", ""])
    assert words.sums(np.ones(WIDTH + 1)).tolist() == [3.0, 0.0, 1.0]
    back = Words.from_arrays(words.arrays())
    assert back.column.tolist() == words.column.tolist()


def test_texts_of_further_types_stand_behind_the_models(monkeypatch: pytest.MonkeyPatch):
    words = Words.of(["disk full", "disk failed"])
    more = words.with_texts(["node failed", ""])
    assert (more.k, columns(more, 1), columns(more, 3), columns(more, 4)) == (4, columns(words, 1), [], [WIDTH])
    counted = more.counts(windows([[1, 2], [9]]))
    failed = set(columns(more, 1)) & set(columns(more, 2))
    assert [counted[0, column] for column in failed] == [np.log(3)]
    assert counted[1].nonzero()[0].tolist() == [WIDTH]
    monkeypatch.setattr(module, "MAX_TEXTS", 1)
    assert words.with_texts(["node failed", "node lost"]).k == 3
