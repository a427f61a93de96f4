"""A new type that was called usual is excused beside the types that it was seen with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from made_windows import windows_of
from oddlog.feedback import Answer, Answers
from oddlog.pipeline.judging.company import company_of, in_company
from oddlog.pipeline.judging.views import View
from oddlog.templates import Matcher

K = 4  # types 0 to 3 are known: received, charged, sent, deleted
WRAPPED, RETURNED = 4, 5  # never seen in training
FIRST, LAST = datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)


class Rows:
    """Knows rows by keys that are ten times as large."""

    templates = range(K)

    def key_of(self, row: int) -> int:
        return 10 * row


MATCHER = cast("Matcher", Rows())


def view(by: str) -> View:
    made: Any = SimpleNamespace(cut=SimpleNamespace(by=by))
    return cast("View", made)


def said(*company: int, new: int = WRAPPED, time: datetime = FIRST, word: str = "usual") -> Answer:
    keys = tuple(f"{10 * row:016x}" for row in company)
    return Answer(word, "a" * 16, time, new_types=(f"{10 * new:016x}",), company=keys)


def fits(bags: list[list[int]], *answers: Answer, only_later: bool = False, end: datetime = LAST) -> list[bool]:
    given = Answers(only_later=only_later)
    for one in answers:
        given.add(one)
    windows = replace(windows_of(bags), end=np.full(len(bags), round(end.timestamp() * 1e6)))
    return in_company(given.standing(LAST), MATCHER, windows, [WRAPPED, RETURNED]).tolist()


def test_the_company_of_an_incident_is_the_known_types_of_its_sessions_that_hold_new_ones():
    windows = windows_of([[0, 1, 1, WRAPPED], [0, 2, RETURNED], [3]])
    assert company_of(view("session"), MATCHER, windows) == (f"{0:016x}", f"{10:016x}", f"{20:016x}")
    assert company_of(view("time"), MATCHER, windows) == ()
    assert company_of(view("session"), MATCHER, windows.take(np.array([2]))) == ()


def test_a_session_is_excused_if_its_types_are_among_those_of_the_answer():
    bags = [[0, 1, WRAPPED], [0, WRAPPED, WRAPPED], [0, 1, 3, WRAPPED], [3], []]
    assert fits(bags, said(0, 1, 2)) == [True, True, False, True, True]


def test_answers_add_up():
    assert fits([[0, 3, WRAPPED], [1, 3, WRAPPED]], said(0, 1), said(3)) == [True, True]


def test_each_new_type_has_company_of_its_own():
    bags = [[0, WRAPPED, RETURNED], [0, WRAPPED], [1, RETURNED], [0, RETURNED]]
    assert fits(bags, said(0), said(1, new=RETURNED)) == [False, True, True, False]


def test_an_answer_that_knows_of_no_company_excuses_everywhere():
    assert fits([[0, 1, 2, 3, WRAPPED]], said()) == [True]
    assert fits([[0, 1, 2, 3, WRAPPED]], said(0), said()) == [True]


def test_what_was_called_anomalous_adds_nothing():
    assert fits([[0, WRAPPED], [1, WRAPPED]], said(0), said(1, word="anomalous")) == [True, False]


@pytest.mark.parametrize(("only_later", "before"), [(True, False), (False, True)])
def test_where_answers_hold_for_later_things_only_company_does_too(only_later: bool, before: bool):
    bags = [[0, WRAPPED]]
    assert fits(bags, said(0, time=LAST), only_later=only_later, end=FIRST) == [before]
    assert fits(bags, said(0, time=FIRST), only_later=only_later, end=LAST) == [True]


def test_an_answer_keeps_its_company_and_one_of_before_keeps_its_name():
    with_company = said(0, 1)
    assert Answer.from_record(with_company.record()) == with_company
    assert "company" not in said().record()
