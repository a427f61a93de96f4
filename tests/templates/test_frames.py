"""Texts as token fingerprints: equal sums, equal texts; equal sums with a blank, equal frames."""

import re

import hypothesis.strategies as st
import numpy as np
import polars as pl
from hypothesis import given, settings

from naive import templates as naive
from oddlog.templates.frames import MAX_TOKENS, TOKEN, frames

TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(["<*>", ":<*>", ":", "a", "b.c", " ", ", ", "<", ">", "=", "é"]), max_size=12).map(
        "".join
    ),
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_tokens_are_those_of_the_slow_twin(text):
    found = re.findall(TOKEN, text)
    assert found == naive.tokens(text)
    assert "".join(found) == text
    assert pl.Series([text]).str.count_matches(TOKEN).to_list() == [len(found)]


def test_texts_come_by_number_of_tokens_with_their_kinds():
    groups = list(frames(pl.Series(["ok", "Disk <*> full", "", "ls /tmp, now"])))
    assert [g.index.tolist() for g in groups] == [[0], [1, 3]]
    assert groups[1].is_word.tolist() == [[True, False, True, False, True]] * 2
    assert groups[1].is_name.tolist() == [[False, False, True, False, False]] * 2
    assert groups[1].has_letter.tolist() == [[True, False, False, False, True], [True, False, True, False, True]]


def test_texts_that_differ_in_one_word_agree_once_it_is_blank():
    (group,) = frames(pl.Series(["user root left", "user bob left", "user <*> left", "left user bob"]))
    total = group.mixed.sum(axis=1)
    assert len(set(total.tolist())) == 4
    blanked = total - group.mixed[:, 2] + group.blank[2]
    assert blanked[0] == blanked[1] == blanked[2] == total[2]
    assert blanked[3] != blanked[0]


def test_the_same_words_at_other_places_are_another_text():
    (group,) = frames(pl.Series(["a b", "b a"]))
    sums = group.mixed.sum(axis=1)
    assert sums[0] != sums[1]


def test_a_text_with_too_many_tokens_is_left_out():
    long = " ".join(["w"] * (MAX_TOKENS // 2)) + " w"  # MAX_TOKENS + 1 tokens
    assert [g.index.tolist() for g in frames(pl.Series([long, long[:-2] + ","]))] == [[1]]


def test_a_table_of_texts_is_the_same_in_chunks(monkeypatch):
    text = pl.Series([f"job {c} of {d}" for c in "abcdefg" for d in "xyz"])
    (whole,) = frames(text)
    monkeypatch.setattr("oddlog.templates.frames._CHUNK", 4)
    (parts,) = frames(text)
    np.testing.assert_array_equal(whole.mixed, parts.mixed)
    np.testing.assert_array_equal(whole.index, parts.index)
