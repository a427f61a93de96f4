"""pipeline/learning/gathering.py: finished windows, alike ones merged, whole ones where a member reads more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_windows import windows_of
from oddlog.pipeline.judging.views import Cut
from oddlog.pipeline.learning import gathering as module
from oddlog.pipeline.learning.distinct import sampled
from oddlog.pipeline.learning.gathering import Gathering
from oddlog.pipeline.learning.view import Gathered
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.types import CLOSED_BY, Windows
from oddlog.windows import SessionChoice

CUT = Cut("session", SessionChoice("field", "f.id"))
EDGES = np.array([10, 20, 30, 40])


def gather(windows: Windows, parts: list[list[int]], *, whole: bool = False) -> Gathered:
    gathering = Gathering(CUT, 6, EDGES, whole=WholeWindows() if whole else None)
    for index in parts:
        gathering.add(windows.take(np.array(index, np.int64)))
    return gathering.gathered()


def test_unfinished_windows_are_counted_and_left_out():
    windows = windows_of([[0, 1]] * 5)
    open_, headless = CLOSED_BY.index("open"), CLOSED_BY.index("headless")
    closed_by = np.array([1, open_, 1, headless, CLOSED_BY.index("rest")], np.uint8)
    found = gather(replace(windows, closed_by=closed_by), [[0, 1, 2, 3, 4]], whole=True)
    assert (found.n_windows, found.n_open) == (3, 2)
    assert found.whole.windows.key.to_list() == ["s0", "s2", "s4"]


def test_what_a_daemon_says_that_is_never_over_is_noted():
    """Its pid is a key like those of sessions, but it goes on from the first stretch of time to the last."""
    windows = windows_of([[0, 1], [2, 3, 3], [4, 5]])
    of = {"start": np.array([0, 0, 35]), "end": np.array([5, 45, 45])}
    closed_by = np.array([1, CLOSED_BY.index("open"), CLOSED_BY.index("open")], np.uint8)
    found = gather(replace(windows, closed_by=closed_by, **of), [[0, 1, 2]])
    assert found.lasting.tolist() == [2, 3]  # 4 and 5 are of a session that the end of the log cut off


def test_windows_of_equal_counts_are_one_a_fold_and_whole_ones_keep_their_order():
    windows = windows_of([[0, 1], [1, 0]] * 10)  # starts 0 to 19: two folds
    found = gather(windows, [list(range(20))], whole=True)
    assert found.windows.weight.tolist() == [10, 10]
    assert found.fold.tolist() == [0, 1]
    assert found.whole.windows.template.tolist() == windows.template.tolist()


@given(st.permutations(list(range(45))), st.integers(1, 5))
def test_the_partitions_and_their_order_change_nothing(order: list[int], n_parts: int):
    windows = windows_of([[i % 3, i % 2, 5] for i in range(45)])
    one = gather(windows, [list(range(45))], whole=True)
    other = gather(windows, [part.tolist() for part in np.array_split(np.array(order), n_parts)], whole=True)
    assert one.windows.weight.sum() == other.windows.weight.sum() == 45
    # which of the equal windows stands for the others depends on the partitions, how many there are does not
    assert sorted(zip(one.hashes, one.fold, one.windows.weight, strict=True)) == sorted(
        zip(other.hashes, other.fold, other.windows.weight, strict=True)
    )
    assert one.whole.windows.key.to_list() == other.whole.windows.key.to_list()


def test_too_many_distinct_windows_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "sampled", partial(sampled, most=7))
    found = gather(windows_of([[i] * 2 for i in range(5)] + [[i, 5] for i in range(5)]), [list(range(10))])
    assert len(found.windows) == 7
    assert found.sampled_from == 10


def test_nothing_gathered_is_nothing():
    found = gather(windows_of([]), [[]])
    assert len(found.windows) == 0
    assert found.whole is None
