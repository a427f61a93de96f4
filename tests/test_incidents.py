"""Order and merging of what is odd."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from made_incidents import incident
from oddlog.incidents import LEVEL_FACTOR, alarming, group, keyed, lasts, pattern_of, pressing, where, words
from oddlog.types import LEVELS, NO_TIME, Incident, LineRef

MINUTE = 60_000_000


def test_words_are_lower_case_beginnings_without_repetition():
    assert len(words()) == len(set(words())) > 40
    assert all(word == word.lower().strip() for word in words())


def test_a_word_counts_at_the_beginning_of_a_word_only():
    texts = ["Connection refused", "SocketTimeoutException", "errno=5", "terror", "prefail", "won't fail", "Can't open"]
    assert alarming(texts).tolist() == [True, True, False, False, False, True, True]


def test_an_empty_or_missing_text_is_not_alarming():
    assert alarming(["", None]).tolist() == [False, False]


def test_a_graver_level_is_never_less_pressing_than_a_lesser_one():
    novelty = np.full(6, 3.0)
    order = [LEVELS.index(name) for name in ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")]
    values = pressing(novelty, np.array(order, np.uint8), np.zeros(6, bool))
    assert values.tolist() == [1.5, 3.0, 3.75, 6.0, 12.0, 15.0]
    assert len(LEVEL_FACTOR) == len(LEVELS)


def test_novelty_beyond_twelve_makes_no_difference():
    info = np.array([3, 3], np.uint8)
    assert pressing(np.array([12.0, 300.0]), info, np.zeros(2, bool)).tolist() == [12.0, 12.0]


def test_a_pattern_is_a_set_of_keys_and_stays_the_same_for_ever():
    assert pattern_of([1, 2, 2]) == pattern_of([2, 1])
    assert pattern_of([1, 2]) != pattern_of([1, 3])
    assert pattern_of([2**64 - 1, 0]) == "de112a624d05b2d9"


def test_what_comes_once_and_again_is_one_incident_however_far_apart():
    assert group(["a", "b", "a"], [["x"], ["y"], ["z"]], np.array([0, 1, 10_000]) * MINUTE).tolist() == [0, 1, 0]


def test_what_lasts_is_an_incident_of_its_own_beside_what_comes_once_and_again():
    start = np.array([0, 5_000, 5_060, 5_170, 9_000]) * MINUTE
    assert group(["a"] * 5, [["x"]] * 5, start).tolist() == [0, 1, 1, 1, 0]


def test_two_hours_of_quiet_end_an_incident():
    start = np.array([0, 120, 240, 361, 481, 601]) * MINUTE
    assert group(["a"] * 6, [["x"]] * 6, start).tolist() == [0, 0, 0, 1, 1, 1]


def test_three_in_a_row_last_and_two_do_not():
    assert lasts(np.array([0, 100, 200]) * MINUTE)
    assert not lasts(np.array([0, 100]) * MINUTE)
    assert not lasts(np.array([0, 100, 300, 400, 700]) * MINUTE)
    assert lasts(np.full(3, NO_TIME))


def test_windows_that_share_an_oddity_are_one_incident_while_they_follow_each_other():
    start = np.array([0, 20, 40, 200]) * MINUTE
    assert group(["a", "b", "c", "d"], [["x"]] * 4, start).tolist() == [0, 0, 0, 1]


def test_without_times_only_the_pattern_joins():
    start = np.full(3, NO_TIME)
    assert group(["a", "b", "a"], [["x"], ["x"], ["y"]], start).tolist() == [0, 1, 0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 90)), max_size=25))
def test_grouping_does_not_depend_on_the_order_of_windows(rows: list[tuple[str, str, int]]):
    def groups(order: list[int]) -> set[frozenset[int]]:
        chosen = [rows[i] for i in order]
        numbers = group([r[0] for r in chosen], [[r[1]] for r in chosen], np.array([r[2] for r in chosen]) * MINUTE)
        return {frozenset(order[i] for i in np.flatnonzero(numbers == g)) for g in set(numbers.tolist())}

    forward = list(range(len(rows)))
    # Windows of equal start are told apart by nothing but their place: give each its own minute.
    rows = [(p, lead, 90 * i + t) for i, (p, lead, t) in enumerate(rows)]
    assert groups(forward) == groups(forward[::-1])


def _incident(key: str, services: tuple[str, ...], *sources: str) -> Incident:
    lines = tuple(LineRef(source, 1, "", 0.0) for source in sources)
    return incident("1", key=key, services=services, lines=lines)


def test_lines_without_a_service_are_called_by_their_file_or_as_what_they_are():
    at = "2026-11-21T14:18:00Z"
    assert keyed(_incident(at, (), "today/access.log", "today/access.log")) == f"access.log@{at}"
    assert keyed(_incident(f"lines without a service@{at}", (), "access.log")) == f"access.log@{at}"
    assert keyed(_incident(at, (), "a.log", "b.log")) == f"lines without a service@{at}"
    assert keyed(_incident(f"web@{at}", ("web",), "a.log")) == f"web@{at}"
    assert keyed(_incident("req-17", (), "a.log")) == "req-17"
    assert where(_incident(at, ("a", "b"), "x.log")) == "a, b"
