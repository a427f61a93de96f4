"""The mask is a pure function of the message: same text, same key, everywhere and for ever."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from naive import templates as naive
from oddlog.templates import key_of_text, mask
from oddlog.templates.mask import Masker

CORPUS = Path(__file__).parents[1] / "corpora" / "templates" / "golden.tsv"

# what the rules look for, so that arbitrary text meets them often
PIECES = st.sampled_from(
    [
        "<*>",
        " ",
        "  ",
        "\t",
        "7",
        "10.0.0.1",
        "blk_-5",
        "/",
        "//",
        "/var/log",
        "./x",
        "C:\\a\\b",
        "fe80",
        "::",
        ":",
        "a@b.example",
        "Jun ",
        "Mon, ",
        "UTC",
        "https://",
        "?q=",
        "KB",
        " bytes",
        "(",
        ")",
        ", ",
        "+",
        "user=",
        "for user ",
        "www.example.com",
        "deadbeef",
        "ABCDEFAB",
        "0xff",
        "~",
        "<",
        ">",
        "é",
        "日本",
        ".",
        "-",
        "\n",
        "word",
        "%",
        "_",
    ]
)
MESSAGES = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=25).map("".join))


def golden() -> list[tuple[str, str, str]]:
    lines = CORPUS.read_text(encoding="utf-8").splitlines()[1:]
    return [tuple(x.replace("\\t", "\t").replace("\\\\", "\\") for x in line.split("\t")) for line in lines]


@pytest.mark.parametrize(("key", "masked", "message"), golden())
def test_a_message_has_its_masked_text_and_its_key_for_ever(key, masked, message):
    found = mask(pl.Series([message]))
    assert found.distinct_text.to_list() == [masked]
    assert [f"{k:016x}" for k in found.key] == [key]


def test_the_corpus_is_masked_at_once_as_line_by_line():
    keys, masked, messages = zip(*golden(), strict=True)
    found = mask(pl.Series(messages * 3))
    assert [f"{k:016x}" for k in found.key] == list(keys * 3)
    assert found.distinct_text.gather(found.inverse).to_list() == list(masked * 3)
    assert len(keys) >= 60


def test_another_process_with_another_hash_seed_finds_the_same_keys():
    code = (
        "import sys, polars as pl\n"
        "from oddlog.templates import mask\n"
        "print(*mask(pl.Series(sys.stdin.read().split('\\0'))).key)"
    )
    messages = [message for _, _, message in golden()]
    run = subprocess.run(
        [sys.executable, "-c", code],
        input="\0".join(messages),
        env=os.environ | {"PYTHONHASHSEED": "77", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert [f"{int(k):016x}" for k in run.stdout.split()] == [key for key, _, _ in golden()]


@given(st.lists(MESSAGES, max_size=8))
@settings(max_examples=250, deadline=None)
def test_text_key_and_parameters_are_those_of_the_slow_twin(messages):
    found = mask(pl.Series(messages, dtype=pl.String))
    expected = [naive.masked_with_parameters(message) for message in messages]
    assert found.distinct_text.gather(found.inverse).to_list() == [text for text, _ in expected]
    assert found.key.tolist() == [naive.key(text) for text, _ in expected]
    assert found.variables().to_list() == [parameters for _, parameters in expected]
    for slot in range(3):
        values = [p[slot] if slot < len(p) else None for _, p in expected]
        assert found.parameters(None, slot).to_list() == values


@given(st.lists(MESSAGES, min_size=1, max_size=8), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_masking_more_messages_moves_no_key(messages, cut):
    whole = mask(pl.Series(messages, dtype=pl.String)).key
    parts = [mask(pl.Series(m, dtype=pl.String)).key for m in (messages[:cut], messages[cut:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_null_message_counts_as_the_empty_one():
    found = mask(pl.Series([None, "", "ok"], dtype=pl.String))
    assert found.key[0] == found.key[1] == naive.key("") != found.key[2]
    assert found.distinct_text.to_list() == ["", "ok"]
    assert found.variables().to_list() == [[], [], []]
    assert found.parameters(None, 0).to_list() == [None, None, None]


def test_no_messages_give_nothing():
    found = mask(pl.Series([], dtype=pl.String))
    assert len(found) == 0
    assert found.distinct_text.to_list() == []
    assert found.variables().to_list() == []
    assert found.parameters(None, 0).dtype == pl.String
    assert found.key.dtype == np.uint64
    assert found.inverse.dtype == np.uint32


def test_keys_inverse_and_distinct_texts_belong_together():
    found = mask(pl.Series(["a 1", "b", "a 2", "b"]))
    assert found.distinct_text.to_list() == ["a <*>", "b"]
    assert found.inverse.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(found.distinct_key[found.inverse], found.key)
    np.testing.assert_array_equal(found.distinct_key, key_of_text(found.distinct_text))


def test_parameters_come_in_the_order_of_the_rows_asked_for():
    found = mask(pl.Series(["took 5 ms on (x)", "at Fri Jun  3 07:00 from 192.0.2.1", "took 70 ms on (x)", "none"]))
    assert found.parameters(np.array([2, 1, 0, 2]), 0).to_list() == ["70 ms", "Fri Jun  3 07:00", "5 ms", "70 ms"]
    assert found.parameters(np.array([False, True, False, True]), 1).to_list() == ["192.0.2.1", None]
    assert found.variables(np.array([3, 1])).to_list() == [[], ["Fri Jun  3 07:00", "192.0.2.1"]]


def test_a_variable_that_later_rules_joined_is_given_as_it_stood_in_the_line():
    found = mask(pl.Series(["sent 451 bytes (2.3 KB) to proxy.example.com:443 in [5,  6, 7]"]))
    assert found.distinct_text.to_list() == ["sent <*> to <*> in [<*>, <*>]"]
    assert found.variables().to_list() == [["451 bytes (2.3 KB)", "proxy.example.com:443", "5", "6, 7"]]


def test_a_line_has_at_most_forty_variables_and_the_last_is_the_rest():
    message = " ".join(f"n{i}=x" for i in range(60)) + " end"
    found = mask(pl.Series([message]))
    assert found.distinct_text[0] == "<*>=x " * 39 + "<*>"
    assert found.variables().to_list()[0] == [f"n{i}" for i in range(39)] + [
        " ".join(f"n{i}=x" for i in range(39, 60)) + " end"
    ]


@pytest.mark.parametrize("before", range(1_990, 2_006))
def test_a_long_text_is_cut_and_never_inside_a_variable(before):
    message = "x" * before + " 5 tail " + "y" * 3_000 + " 6"
    found = mask(pl.Series([message]))
    text, parameters = naive.masked_with_parameters(message)
    assert found.distinct_text.to_list() == [text]
    assert found.variables().to_list() == [parameters]
    assert len(text) <= 2_003
    assert parameters[-1].endswith(" 6")


def test_lines_that_differ_only_beyond_the_limit_have_one_key():
    found = mask(pl.Series(["x" * 2_500 + tail for tail in ("", " a", " 9 b")]))
    assert len(set(found.key.tolist())) == 1


def test_the_messages_given_stay_as_they_were():
    messages = pl.Series(["long " * 600, "5 " * 80, "plain"])
    before = messages.to_list()
    mask(messages).variables()
    assert messages.to_list() == before


@given(batches=st.lists(st.lists(MESSAGES, max_size=6), max_size=6), most=st.sampled_from([0, 3, 1_000]))
@settings(max_examples=60, deadline=None)
def test_one_that_remembers_masks_as_one_that_does_not(batches: list[list[str]], most: int):
    masker = Masker(most_texts=most)
    for batch in batches:
        messages = pl.Series(batch, dtype=pl.String)
        got, expected = masker.mask(messages), mask(messages)
        for name in ("key", "inverse", "distinct_key"):
            assert getattr(got, name).tolist() == getattr(expected, name).tolist()
        assert got.distinct_text.to_list() == expected.distinct_text.to_list()
        assert got.variables().to_list() == expected.variables().to_list()
    assert len(masker._known) <= most + 6
