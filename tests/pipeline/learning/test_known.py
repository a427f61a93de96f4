"""What was odd in training time and again is no news; anything beyond it is."""

from __future__ import annotations

import numpy as np
import pytest

from made_windows import windows_of
from oddlog.explain import Oddity
from oddlog.pipeline.learning.known import Known

DECLINED = 3


def here(seen: float, template: int = DECLINED) -> Oddity:
    return Oddity(template, "unexpected_event", seen, 0, 1.0)


def missing(template: int) -> Oddity:
    return Oddity(template, "missing_event", 0, 1, 1.0)


@pytest.fixture
def known() -> Known:
    """100 windows over five folds, five of them declined (one a fold), the paid event (1) missing there."""
    bags = [[0, DECLINED] if i % 20 == 7 else [0, 1] for i in range(100)]
    trimmed = np.array([i for i in range(100) if i % 20 == 7])
    found = [[here(1), missing(1)]] * 5
    return Known.learn(windows_of(bags), np.arange(100) // 20, trimmed, found, 10)


def test_a_known_oddity_is_as_rare_as_it_was_in_training(known: Known):
    assert known.floor([[here(1), missing(1)]]).tolist() == [0.05]


def test_more_of_it_than_ever_is_news(known: Known):
    assert known.floor([[here(40)]]).tolist() == [0.0]


def test_one_unknown_oddity_makes_the_window_news(known: Known):
    assert known.floor([[here(1), missing(0)]]).tolist() == [0.0]
    assert known.floor([[here(1), Oddity(99, "unseen_template", 1, 0, np.inf)]]).tolist() == [0.0]


def test_a_type_that_usual_windows_hold_is_known_as_often_as_they_hold_it(known: Known):
    assert known.floor([[here(1, template=1)]]) == pytest.approx([0.95])
    assert known.floor([[here(2, template=1)]]).tolist() == [0.0]


def test_what_happened_in_one_stretch_of_time_only_is_not_known():
    bags = [[0, DECLINED] if i < 5 else [0, 1] for i in range(100)]
    once = Known.learn(windows_of(bags), np.arange(100) // 20, np.arange(5), [[here(1), missing(1)]] * 5, 10)
    assert once.floor([[here(1)]]).tolist() == [0.0]


def test_where_nothing_was_trimmed_nothing_is_known():
    bags = [[0, 1]] * 10
    none = Known.learn(windows_of(bags), np.arange(10) // 2, np.empty(0, np.int64), [], 10)
    assert len(none.oddity) == 0
    assert none.floor([[here(1, template=1)]]).tolist() == [0.0]


def test_a_window_without_oddities_is_no_more_usual_for_it(known: Known):
    assert known.floor([[]]).tolist() == [0.0]


def test_it_survives_its_state(known: Known):
    again = Known.from_state(known.state())
    assert again.floor([[here(1)]]).tolist() == known.floor([[here(1)]]).tolist()
