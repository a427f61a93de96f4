"""Windows alike in their counts are one window with a weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from made_windows import windows_of
from oddlog.pipeline.learning.distinct import counts_hash, distinct, merged, reads_hash, sampled, sequence_hash

bags = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=12)


@given(bags)
def test_hashes_are_equal_exactly_when_the_counts_are(bag: list[list[int]]):
    hashes = counts_hash(windows_of(bag), 4)
    plain = [tuple(sorted(min(t, 4) for t in b)) for b in bag]  # types 4 and 5 are both unseen
    for i, a in enumerate(plain):
        for j, b in enumerate(plain):
            assert (hashes[i] == hashes[j]) == (a == b)


@given(bags)
def test_joining_back_gives_every_window_its_representative(bag: list[list[int]]):
    hashes = counts_hash(windows_of(bag), 6)
    first, inverse = distinct(hashes)
    assert (hashes[first][inverse] == hashes).all()
    assert first.tolist() == sorted(set(first.tolist()))


@given(bags, st.integers(1, 3))
def test_merging_keeps_the_weight_of_every_fold(bag: list[list[int]], n_folds: int):
    windows = windows_of(bag)
    fold = np.arange(len(bag)) % n_folds
    kept, hashes, kept_fold = merged(windows, counts_hash(windows, 6), fold)
    assert kept.weight.sum() == len(bag)
    for i in range(n_folds):
        assert kept.weight[kept_fold == i].sum() == (fold == i).sum()
    assert len({(int(h), int(f)) for h, f in zip(hashes, kept_fold, strict=True)}) == len(kept)


def test_a_fold_does_not_pass_for_a_type():
    windows = windows_of([[2], [0]])  # [2] in fold 0 and [0] in fold 2 hold the same small numbers
    kept, _, fold = merged(windows, counts_hash(windows, 6), np.array([0, 2]))
    assert kept.template.tolist() == [2, 0]
    assert fold.tolist() == [0, 2]


def test_merging_changes_nothing_that_was_given():
    windows = windows_of([[1], [1], [2]])
    merged(windows, counts_hash(windows, 6), np.zeros(3, np.int64))
    assert windows.weight.tolist() == [1, 1, 1]


@given(st.permutations(list(range(30))))
def test_a_sample_is_the_same_windows_in_any_order(order: list[int]):
    hashes = np.arange(30, dtype=np.uint64) * np.uint64(7919)
    weight = np.arange(30) % 7 + 1.0
    chosen = sampled(hashes[order], weight[order], 10)
    assert len(chosen) == 10
    assert set(hashes[order][chosen].tolist()) == set(hashes[sampled(hashes, weight, 10)].tolist())


def test_a_sample_keeps_what_stands_for_most_windows():
    hashes = np.arange(1000, dtype=np.uint64)
    weight = np.ones(1000)
    weight[[3, 500, 997]] = 1e6
    assert {3, 500, 997} <= set(sampled(hashes, weight, 10).tolist())


def test_windows_alike_in_order_are_not_alike_if_only_one_is_over():
    order = frozenset({"template", "order"})
    windows = replace(windows_of([[1, 2], [1, 2], [2, 1]]), closed_by=np.array([1, 0, 1], np.uint8))
    over, open_, turned = sequence_hash(windows, order, 9).tolist()
    assert len({over, open_, turned}) == 3
    assert len(set(counts_hash(windows, 9).tolist())) == 1  # what only counts sees no end


def test_unseen_types_are_one_type_except_to_those_who_read_texts():
    windows = windows_of([[0, 7], [0, 8], [0, 1]])
    counted = reads_hash(windows, frozenset({"template"}), 5)
    told = reads_hash(windows, frozenset({"template", "text"}), 5)
    assert counted[0] == counted[1] != counted[2]
    assert len(set(told.tolist())) == 3
    assert len(set(reads_hash(windows, frozenset({"template", "level"}), 5).tolist())) == 2
    assert len(set(reads_hash(windows, frozenset({"template", "level", "text"}), 5).tolist())) == 3
