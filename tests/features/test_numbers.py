"""Quantities and codes are watched; names, counters and constants are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from oddlog.features.numbers import MOST_NUMBERS, candidate, choose, parse, unit_behind, unit_in_name
from oddlog.types import Number


def judged(values, unit="", lines=None):
    values = np.asarray(values, np.float64)
    return candidate("n", values, unit, len(values) if lines is None else lines, "n")


def test_durations_come_out_in_milliseconds_and_sizes_in_bytes():
    texts = ["250us", "1.5s", "3 min", "4KiB", "2 MB", "17%", "42", "-1e3"]
    assert parse(pl.Series(texts)).rows() == [
        (0.25, "ms"),
        (1500.0, "ms"),
        (180_000.0, "ms"),
        (4096.0, "bytes"),
        (2_000_000.0, "bytes"),
        (17.0, "%"),
        (42.0, ""),
        (-1000.0, ""),
    ]


@pytest.mark.parametrize("text", ["4th", "ab12", "1.2.3", "192.0.2.1:80", "", "inf", "1234567890123456"])
def test_what_only_holds_digits_is_no_number(text):
    assert parse(pl.Series([text])).rows() == [(None, None)]


def test_a_unit_is_read_from_the_word_behind_the_slot():
    text = "flushed <*> rows (<*> KB) in <*>ms, plan <*> b"
    assert [unit_behind(text, slot) for slot in range(4)] == ["", "kb", "ms", ""]


def test_a_unit_is_read_from_a_fields_name():
    names = ("duration_ms", "bytes", "timeTakenSeconds", "latency_s", "requests_s", "cpu_pct", "status")
    assert [unit_in_name(name) for name in names] == ["ms", "bytes", "s", "s", "", "%", ""]


def test_codes_are_watched():
    found = judged([200] * 95 + [404] * 4 + [500])
    assert (found.why_not, found.distinct, found.scale) == ("", 3, "linear")


def test_a_long_tail_is_looked_at_by_its_logarithm():
    values = np.random.default_rng(0).lognormal(3, 1.5, 2_000)
    assert judged(values).scale == "log"
    assert judged(values / 100 - 5).scale == "linear"  # below zero there is no logarithm


def test_whole_numbers_that_never_come_back_are_identifiers():
    ids = np.random.default_rng(0).permutation(np.arange(30_000, 32_000))
    assert judged(ids).why_not.startswith("looks like an identifier")
    assert judged(ids, unit="bytes").why_not == ""  # but sizes are sizes
    assert judged(ids + 0.5).why_not == ""


def test_what_only_counts_up_is_not_watched():
    assert judged(np.arange(100)).why_not == "only counts up"


def test_a_constant_is_not_watched():
    assert judged([7.0] * 100).why_not == "always the same"


def test_too_few_lines_tell_nothing():
    assert judged([1.0, 2.0]).why_not == "on 2 lines only"


def test_values_that_are_not_there_are_passed_over():
    found = judged([np.nan, 1.0, 2.0] * 30, lines=60)
    assert (found.low, found.median, found.high, found.distinct) == (1.0, 1.5, 2.0, 2)
    assert judged([np.nan] * 3).why_not == "no number"


def test_fields_come_before_slots_and_the_frequent_before_the_rare():
    values = np.array([1.0, 2.0] * 50)
    slots = [candidate(f"{i:016x}:0", values, "", 100 + i, "slot") for i in range(MOST_NUMBERS)]
    field = candidate("status", values, "", 60, "status")
    constant = candidate("size", np.ones(100), "", 100, "size")
    numbers, told = choose([*slots, field, constant], lines=1_000)
    assert len(numbers) == MOST_NUMBERS
    assert numbers[0] == Number("status")
    assert [number.name for number in numbers[1:3]] == [f"{15:016x}:0", f"{14:016x}:0"]
    assert told[MOST_NUMBERS].why_not == "16 others are on more lines"
    assert told[-1].why_not == "always the same"


def test_what_is_on_too_few_of_the_lines_is_not_watched():
    found = candidate("status", np.array([1.0, 2.0] * 50), "", 100, "status")
    numbers, told = choose([found], lines=1_000_000)
    assert numbers == ()
    assert told[0].why_not == "on too few lines"
