"""Merging maps keys to rows; it moves no key, fuses no states, and does not care in what order texts come."""

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from naive import templates as naive
from oddlog.templates import key_of_text, mask, mine, with_embedding
from oddlog.templates.miner import MIN_NAMES, MIN_WORDS, merge
from oddlog.types import LEVELS, OVERFLOW, Tally

USERS = ["root", "oracle", "admin", "git", "ftp", "test", "guest", "backup", "nagios", "postgres"]
INFO, WARNING, ERROR = (LEVELS.index(name) for name in ("INFO", "WARNING", "ERROR"))


def mined(messages, level=INFO, **options):
    masked = mask(pl.Series(messages, dtype=pl.String))
    count = np.bincount(masked.inverse, minlength=len(masked.distinct_key)).astype(np.int64)
    levels = np.full(len(count), level, np.uint8)
    return mine(masked.distinct_key, masked.distinct_text, count, levels, **options)


def table(templates):
    return dict(zip(templates.text, templates.count.tolist(), strict=True))


def test_lines_of_many_kinds_become_the_templates_a_person_would_write():
    messages = (
        [f"Failed password for {user} from 192.0.2.{i} port {i}" for i, user in enumerate(USERS)]
        + [
            f"[instance: i-{i}] VM {state} (state event)"
            for i in range(9)
            for state in ("Started", "Paused", "Stopped")
        ]
        + [f"rhost {host} refused" for host in ("a.b.c.d", "x.y", "web.lan", "192.0.2.1")]
        + [f"event network-vif-{what} on port" for what in ("plugged", "unplugged", "deleted", "changed", "bound")]
        + ["shutting down"] * 3
    )
    assert table(mined(messages)) == {
        "Failed password for <*> from <*> port <*>": 10,
        "[instance: <*>] VM Paused (state event)": 9,
        "[instance: <*>] VM Started (state event)": 9,
        "[instance: <*>] VM Stopped (state event)": 9,
        "rhost <*> refused": 4,
        "shutting down": 3,
        "event network-vif-bound on port": 1,
        "event network-vif-changed on port": 1,
        "event network-vif-deleted on port": 1,
        "event network-vif-plugged on port": 1,
        "event network-vif-unplugged on port": 1,
    }


@pytest.mark.parametrize(("n", "rows"), [(MIN_WORDS - 1, MIN_WORDS - 1), (MIN_WORDS, 1)])
def test_words_merge_from_ten_on(n, rows):
    assert len(mined([f"state of disk is {word}" for word in USERS[:n]])) == rows


@pytest.mark.parametrize(("n", "rows"), [(MIN_NAMES - 1, MIN_NAMES - 1), (MIN_NAMES, 1)])
def test_names_merge_from_four_on(n, rows):
    assert len(mined([f"loading {name}.Service now" for name in USERS[:n]])) == rows


def test_messages_without_a_word_in_common_never_merge():
    assert len(mined(USERS)) == len(USERS)
    assert len(mined([f"{user}: <*>" for user in USERS])) == len(USERS)


def test_two_varying_words_merge_one_after_the_other():
    messages = [f"grant {user} to table {table}" for user in USERS for table in USERS]
    assert table(mined(messages)) == {"grant <*> to table <*>": 100}


def test_a_word_that_varies_only_once_another_is_merged_is_found_in_the_next_round():
    messages = [f"grant {user}_{table} to table {table}" for user in USERS for table in USERS]
    assert table(mined(messages)) == {"grant <*> to table <*>": 100}


def test_rows_are_ordered_by_count_and_then_by_text():
    assert mined(["b"] * 2 + ["a"] * 2 + ["c"] * 3).text == ("c", "a", "b")


def test_every_key_finds_its_row_and_so_does_the_canonical_text():
    messages = [f"Failed password for {user}" for user in USERS] + ["other"] * 20
    templates = mined(messages)
    assert templates.rows_of(mask(pl.Series(messages)).key).tolist() == [1] * 10 + [0] * 20
    assert templates.rows_of(key_of_text(pl.Series(templates.text))).tolist() == [0, 1]
    assert templates.rows_of(key_of_text(pl.Series(["never seen"]))).tolist() == [-1]
    assert np.all(np.diff(templates.key.astype(object)) > 0)


def test_the_level_is_that_of_most_lines_and_of_two_as_frequent_the_more_severe():
    text = pl.Series(["a", "a", "b", "b"])
    levels = np.array([ERROR, INFO, WARNING, ERROR], np.uint8)
    templates = mine(key_of_text(text), text, np.array([2, 5, 4, 4]), levels)
    assert (templates.text, templates.count.tolist()) == (("b", "a"), [8, 7])
    assert templates.level.tolist() == [ERROR, INFO]


def test_the_level_of_a_merged_row_counts_all_its_lines():
    text = pl.Series([f"open {user} for writing" for user in USERS])
    levels = np.array([INFO] * 9 + [ERROR], np.uint8)
    assert mine(key_of_text(text), text, np.array([1] * 9 + [8]), levels).level.tolist() == [INFO]
    assert mine(key_of_text(text), text, np.array([1] * 9 + [10]), levels).level.tolist() == [ERROR]


TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "x.y", "/z", "<*>", "end"]), min_size=1, max_size=4).map(" ".join),
    max_size=40,
    unique=True,
)


@given(TEXTS, st.integers(2, 4), st.integers(2, 4))
@settings(max_examples=300, deadline=None)
def test_texts_merge_as_in_the_slow_twin(texts, min_words, min_names):
    texts = sorted(texts)
    merged = merge(pl.Series(texts, dtype=pl.String), min_words=min_words, min_names=min_names)
    assert dict(zip(texts, merged, strict=True)) == naive.merge(texts, min_words, min_names)


@given(TEXTS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_neither_order_nor_batches_change_anything(texts, random):
    lines = [(text, i % 5 + 1, (3, 5, 6)[i % 3]) for i, text in enumerate(texts)]
    batched = [(text, 1, level) for text, n, level in lines for _ in range(n)]
    random.shuffle(batched)
    found = []
    for rows in (lines, batched):
        text = pl.Series([r[0] for r in rows], dtype=pl.String)
        count, level = np.array([r[1] for r in rows], np.int64), np.array([r[2] for r in rows], np.uint8)
        found.append(mine(key_of_text(text), text, count, level, min_words=3, min_names=2, max_rows=5))
    one, other = found
    assert one.text == other.text
    for name in ("level", "count", "key", "row"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_learning_more_moves_no_key():
    little = [f"Failed password for {user}" for user in USERS[:5]]
    much = [f"Failed password for {user}" for user in USERS]
    before, after = mined(little), mined(much)
    assert (len(before), len(after)) == (5, 1)
    assert set(before.key.tolist()) <= set(after.key.tolist())


def test_the_table_is_bounded_and_what_is_beyond_it_is_counted():
    tally = Tally()
    templates = mined(["often"] * 3 + ["twice"] * 2 + ["rare", "rarer"], max_rows=2, tally=tally)
    assert templates.text == ("often", "twice")
    assert (templates.level.tolist(), templates.count.tolist()) == ([INFO, INFO], [3, 2])
    assert templates.rows_of(key_of_text(pl.Series(["often", "twice", "rare", "rarer"]))).tolist() == [
        0,
        1,
        OVERFLOW,
        OVERFLOW,
    ]
    assert tally.counts == {"lines of templates beyond the table": 2}
    assert tally.examples == {"lines of templates beyond the table": "rare"}


def test_distinct_messages_beyond_the_limit_are_forgotten_and_counted():
    tally = Tally()
    templates = mined(["often"] * 3 + ["twice"] * 2 + ["rare"], max_distinct=2, tally=tally)
    assert table(templates) == {"often": 3, "twice": 2}
    assert templates.rows_of(key_of_text(pl.Series(["rare"]))).tolist() == [-1]
    assert tally.counts == {"lines of distinct messages beyond the limit": 1}


def test_nothing_in_gives_an_empty_table():
    templates = mined([])
    assert (len(templates), templates.text, templates.embedding.shape) == (0, (), (0, 0))
    assert templates.rows_of(np.array([1], np.uint64)).tolist() == [-1]
    assert (templates.key.dtype, templates.row.dtype, templates.level.dtype) == (np.uint64, np.uint32, np.uint8)


def test_an_embedding_is_added_and_the_rest_stays():
    templates = mined(["b", "a", "a"])
    embedded = with_embedding(templates, lambda texts: np.array([[len(t), 7] for t in texts], np.float32))
    assert embedded.embedding.tolist() == [[1, 7], [1, 7]]
    assert embedded.text == templates.text == ("a", "b")
    assert templates.embedding.shape == (2, 0)
