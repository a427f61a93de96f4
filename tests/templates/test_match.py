"""Known keys find their row; what is new gets a row behind the model's, and the model stays as it was."""

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from oddlog.errors import InternalError
from oddlog.templates import Matcher, key_of_text, mine
from oddlog.types import OVERFLOW

USERS = ["root", "oracle", "admin", "git", "ftp", "test", "guest", "backup", "nagios", "postgres"]


def model(texts):
    text = pl.Series(texts, dtype=pl.String)
    return mine(key_of_text(text), text, np.ones(len(text), np.int64), np.full(len(text), 3, np.uint8))


LOGIN = model([f"login of {user} failed" for user in USERS] + ["VM Started", "VM Stopped"])


def rows(matcher, texts):
    text = pl.Series(texts, dtype=pl.String)
    return matcher.rows(key_of_text(text), text).tolist()


def test_the_model_has_one_merged_row_and_two_states():
    assert LOGIN.text == ("login of <*> failed", "VM Started", "VM Stopped")


def test_known_keys_find_their_rows():
    assert rows(Matcher(LOGIN), ["VM Stopped", "login of git failed", "login of <*> failed"]) == [2, 0, 0]


def test_an_unknown_text_that_fits_one_merged_template_gets_its_row():
    matcher = Matcher(LOGIN)
    assert rows(matcher, ["login of eve failed"]) == [0]
    assert matcher.n_unseen == 0


@pytest.mark.parametrize(
    "text",
    [
        "login of eve succeeded",
        "login of eve, failed",
        "Login of eve failed",
        "login of  eve failed",
        "login failed",
        "login of < failed",
    ],
)
def test_a_text_that_differs_elsewhere_is_news(text):
    assert rows(Matcher(LOGIN), [text]) == [3]


def test_a_template_that_was_never_merged_takes_no_other_word():
    one = model(["VM <*> Started", "job <*> done"])
    assert rows(Matcher(one), ["VM three Started"]) == [2]


def test_a_text_that_fits_two_templates_is_news():
    both = model(
        [f"{x} of {user} by eve" for x in ("login",) for user in USERS] + [f"login of eve by {user}" for user in USERS]
    )
    assert set(both.text) == {"login of <*> by eve", "login of eve by <*>"}
    assert rows(Matcher(both), ["login of bob by eve", "login of eve by bob", "login of eve by eve"]) == [
        both.text.index("login of <*> by eve"),
        both.text.index("login of eve by <*>"),
        2,
    ]


def test_unseen_types_are_numbered_as_they_first_appear_and_keep_their_number():
    matcher = Matcher(LOGIN)
    assert rows(matcher, ["disk full", "VM Started", "net down"]) == [3, 1, 4]
    assert rows(matcher, ["net down", "cpu hot", "disk full"]) == [4, 5, 3]
    assert [matcher.unseen_text(row) for row in (3, 4, 5)] == ["disk full", "net down", "cpu hot"]
    assert matcher.unseen_key(4) == int(key_of_text(pl.Series(["net down"]))[0])


def test_unseen_types_beyond_the_limit_overflow():
    matcher = Matcher(LOGIN, max_unseen=1)
    assert rows(matcher, ["disk full", "net down", "login of eve failed"]) == [3, OVERFLOW, 0]
    assert rows(matcher, ["net down", "disk full"]) == [OVERFLOW, 3]
    assert matcher.n_unseen == 1


@given(
    st.lists(st.sampled_from(["login of eve failed", "VM Started", *"abcdefgh", "login of x", ""]), max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_any_batching_of_the_same_arrivals_gives_the_same_rows(texts, cuts):
    def in_batches(at):
        matcher = Matcher(LOGIN, max_unseen=6)
        found = []
        for start, end in zip([0, *at], [*at, len(texts)], strict=True):
            batch = texts[start:end]
            distinct = list(dict.fromkeys(batch))
            row = dict(zip(distinct, rows(matcher, distinct), strict=True))
            found += [row[text] for text in batch]
        return found

    assert in_batches(sorted(min(c, len(texts)) for c in cuts)) == in_batches(list(range(len(texts)))) == in_batches([])


def test_matching_changes_nothing_of_the_model():
    before = (LOGIN.text, LOGIN.key.tolist(), LOGIN.row.tolist(), LOGIN.count.tolist())
    matcher = Matcher(LOGIN)
    rows(matcher, ["disk full", "login of eve failed"])
    assert (LOGIN.text, LOGIN.key.tolist(), LOGIN.row.tolist(), LOGIN.count.tolist()) == before
    assert rows(Matcher(LOGIN), ["net down"]) == [3]


def test_every_row_has_a_text_and_a_key():
    matcher = Matcher(LOGIN)
    rows(matcher, ["disk full"])
    assert [matcher.text_of(row) for row in (0, 1, 3)] == ["login of <*> failed", "VM Started", "disk full"]
    assert matcher.text_of(OVERFLOW) == "(a type beyond the limit of types)"
    keys = key_of_text(pl.Series(["login of <*> failed", "disk full"])).tolist()
    assert [matcher.key_of(0), matcher.key_of(3)] == keys
    assert LOGIN.rows_of(np.array(keys, np.uint64)).tolist() == [0, -1]


@pytest.mark.parametrize("row", [2, 4])
def test_asking_for_an_unseen_type_that_is_none_says_how_many_there_are(row):
    matcher = Matcher(LOGIN)
    rows(matcher, ["disk full"])
    with pytest.raises(InternalError, match=f"Row {row} is no unseen type: the model has 3 rows, 1 are unseen"):
        matcher.unseen_text(row)


def test_a_model_without_templates_finds_everything_new():
    assert rows(Matcher(model([])), ["a", "b", "a b"]) == [0, 1, 2]


def test_no_keys_give_no_rows():
    found = Matcher(LOGIN).rows(np.empty(0, np.uint64), pl.Series([], dtype=pl.String))
    assert (found.tolist(), found.dtype) == ([], np.uint32)
