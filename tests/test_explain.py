"""Reasons in words, and the numbers in them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from made_windows import windows_of
from oddlog.explain import (
    Oddity,
    Usual,
    concentration,
    leading,
    oddities,
    reason,
    shorten,
    stretch_sums,
    totals_by_stretch,
    usual_concentration,
)


@pytest.fixture
def usual() -> Usual:
    """Of 10 windows, 9 hold types 0 and 1; one holds type 0 twice and type 2."""
    return Usual.learn(windows_of([[0, 1], [0, 0, 2]], weight=[9.0, 1.0]), 4)


def test_usual_counts_are_weighted(usual: Usual):
    assert usual.windows == 10
    assert usual.share.tolist() == [1.0, 0.9, 0.1, 0.0]
    assert usual.median.tolist() == [1, 1, 1, 0]
    assert usual.p99.tolist() == [2, 1, 1, 0]


def test_usual_survives_its_state(usual: Usual):
    again = Usual.from_state(usual.state())
    assert again.windows == usual.windows
    assert np.array_equal(again.share, usual.share)
    assert np.array_equal(again.concentration, usual.concentration, equal_nan=True)


def test_unseen_types_come_first_the_most_frequent_ahead(usual: Usual):
    found = oddities(windows_of([[0, 1, 5, 4, 5]]), None, usual)
    assert [(o.template, o.kind, o.seen) for o in found[0]] == [(5, "unseen_template", 2), (4, "unseen_template", 1)]


def test_without_a_nearest_window_the_usual_shares_tell_what_is_missing(usual: Usual):
    found = oddities(windows_of([[0]]), None, usual)
    assert [(o.template, o.kind) for o in found[0]] == [(1, "missing_event")]


def test_differences_to_the_nearest_usual_window_become_oddities(usual: Usual):
    told = {
        "window": np.array([0, 0]),
        "template": np.array([1, 2]),
        "expected": np.array([1, 0]),
        "seen": np.array([0, 3]),
        "weight": np.array([0.5, 2.5]),
    }
    found = oddities(windows_of([[0, 2, 2, 2]]), told, usual)
    assert [(o.template, o.kind) for o in found[0]] == [(2, "unexpected_event"), (1, "missing_event")]


@pytest.mark.parametrize(
    ("oddity", "kind", "says"),
    [
        (Oddity(9, "unseen_template", 3, 0, 1), "unseen_template", "never seen before: “text” (3 lines)"),
        (Oddity(1, "missing_event", 0, 1, 1), "missing_event", "“text” is missing; 90 % of usual sessions have it"),
        (Oddity(2, "unexpected_event", 1, 0, 1), "unexpected_event", "“text” is here; 10 % of usual sessions have it"),
        (Oddity(3, "unexpected_event", 2, 0, 1), "unexpected_event", "“text” 2 times; no usual one has it"),
        (
            Oddity(0, "count_off", 7, 1, 1),
            "count_off",
            "“text” 7 times; usually once, at most 2 times in 99 % of those that have it",
        ),
    ],
)
def test_reasons_read_like_sentences(usual: Usual, oddity: Oddity, kind: str, says: str):
    told = reason(oddity, usual, "text", "sessions")
    assert (told.kind, told.text) == (kind, says)
    assert told.numbers["seen"] == oddity.seen


@pytest.mark.parametrize(
    ("in_all", "says"),
    [(None, "(1 line)"), ((3, 1), "(3 lines)"), ((64, 60), "(64 lines in 60 sessions)")],
)
def test_what_is_new_is_counted_in_all_windows_of_an_incident(usual: Usual, in_all: tuple[int, int] | None, says: str):
    told = reason(Oddity(9, "unseen_template", 1, 0, 1), usual, "text", "sessions", in_all)
    assert told.text == f"never seen before: “text” {says}"
    assert told.numbers == {"seen": in_all[0] if in_all else 1}


def test_long_texts_are_cut_in_the_middle():
    text = shorten("a" * 90 + "b" * 90, 43)
    assert text == f"“{'a' * 20} … {'b' * 20}”"


def test_concentration_is_told_only_where_it_says_something():
    told = concentration("198.51.100.7", "login failed", 94, 100, 0.03)
    assert told is not None
    assert told.text == (
        "198.51.100.7: 94 % of 100 × “login failed” at that time (94 lines); usually at most 3 % from one"
    )
    assert told.numbers["share"] == pytest.approx(0.94)
    assert concentration("198.51.100.7", "login failed", 9, 9, 0.03) is None  # too few lines
    assert concentration("198.51.100.7", "login failed", 40, 100, 0.03) is None  # no majority
    assert concentration("198.51.100.7", "login failed", 94, 100, 0.97) is None  # usual here


def test_concentration_without_a_usual_share_says_none():
    told = concentration("192.0.2.1", "login failed", 94, 100, float("nan"))
    assert told is not None
    assert "usual_share" not in told.numbers
    assert "usually" not in told.text


def test_usual_concentration_is_of_the_largest_entity_in_stretches_with_enough_lines():
    # one stretch: 12 lines of type 0, 9 of them by one entity; another: 3 lines by one alone, too few to count
    stretch = totals_by_stretch(windows_of([[0] * 9, [0] * 3, [0] * 3], start=[0, 0, 1]), 1)
    assert stretch.sort("start").rows() == [(0, 0, 12, 9), (1, 0, 3, 3)]
    assert usual_concentration(stretch, 2)[0] == 0.75
    assert np.isnan(usual_concentration(stretch, 2)[1])


def test_stretches_of_several_parts_add_up():
    a = totals_by_stretch(windows_of([[0] * 9], start=[0]), 1)
    b = totals_by_stretch(windows_of([[0] * 3], start=[0]), 1)
    assert stretch_sums(pl.concat([a, b])).rows() == [(0, 0, 12, 9)]


def test_small_change_is_not_told():
    found = [Oddity(i, "count_off", 1, 2, weight) for i, weight in enumerate([8.0, 1.0, 1.0])]
    assert [o.template for o in leading(found)] == [0]
