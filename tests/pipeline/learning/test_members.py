"""pipeline/learning/members.py: members fitted once or in folds, each with scores of what it has not learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_members import Chance, Fake, Telling, register
from made_windows import windows_of
from oddlog.calibration import Calibrator, Tail, crossfit
from oddlog.detectors.new_event import NewEvent
from oddlog.pipeline.learning.members import HELD_OUT, Anomalous, Member, fit_member, joint_scores, reads_counts, shares
from oddlog.testing import context
from oddlog.types import NO_TIME, Windows


def walks(n: int, seed: int = 0) -> Windows:
    """Return sessions of seven events: each of types 1 to 4 follows any, between a begin and an end."""
    draw = np.random.default_rng(seed)
    return windows_of([[0, *draw.integers(1, 5, 5).tolist(), 5] for _ in range(n)])


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Fake, Chance, Telling)


def test_a_held_out_member_is_fitted_once_and_scored_on_what_it_was_not_shown():
    windows = walks(100)
    member = fit_member("pairs", windows, np.arange(100) // 20, context(6))
    keys = windows.key.to_list()
    assert Fake.fitted == [("pairs", keys[:70], keys[70:85])]
    assert member.asked.tolist() == [False] * 85 + [True] * 15
    assert np.isnan(member.scores).tolist() == [True] * 85 + [False] * 15
    assert member.scores[85:].tolist() == member.detector.score(windows.take(np.arange(85, 100))).window.tolist()
    assert member.early is member.detector


@pytest.mark.parametrize("timed", [True, False])
def test_what_is_labelled_anomalous_is_learned_from_but_where_usual_windows_are_held_out(
    timed: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Fake, "needs", "labels")
    windows, folds = walks(100), np.arange(100) // 20
    odd = windows_of([[9, 9]] * 5, start=[10, 30, 50, 70, 90])
    odd = replace(odd, key=pl.Series("key", [f"odd{i}" for i in range(5)]))
    if not timed:
        windows, odd = (replace(one, start=np.full(len(one), NO_TIME)) for one in (windows, odd))
    fit_member("pairs", windows, folds, context(10), anomalous=Anomalous(odd, np.arange(5)))
    learned = windows.key.to_list()[:70]
    assert Fake.fitted[0][1] == [*learned, "odd0", "odd1", "odd2", "odd3"]


def test_a_member_in_folds_is_scored_everywhere_and_remembers_who_did_not_see_the_end():
    windows = windows_of([[0, i] for i in range(1, 11)])
    folds = np.arange(10) // 2
    member = fit_member("new-event", windows, folds, context(11))
    assert member.scores.tolist() == crossfit(NewEvent, windows, context(11), folds=folds).tolist()
    assert member.asked.all()
    last = windows.take(np.array([8, 9]))
    assert member.early.score(last).window.tolist() == member.scores[8:].tolist()
    assert (member.early.score(last).window > member.detector.score(last).window).all()


def test_windows_alike_in_what_a_member_reads_are_learned_from_once_a_share():
    windows = windows_of([[0, 1, 2], [0, 2, 1]] * 50)
    member = fit_member("telling", windows, np.zeros(100, np.int64), context(3))
    assert [len(part) for part in Fake.fitted[0][1:]] == [2, 2]
    assert member.detector.total == 70  # the weight is that of all of them
    assert (~np.isnan(member.scores)).sum() == 15


@given(st.lists(st.integers(1, 9), min_size=10, max_size=60))
def test_shares_are_stretches_of_time_by_weight(weight: list[int]):
    share = shares(np.array(weight, np.float64))
    assert (np.diff(share) >= 0).all()
    reached = np.array([np.dot(weight, share <= part) / sum(weight) for part in (0, 1)])
    assert (np.abs(reached - [0.7, 0.85]) <= max(weight) / sum(weight) / 2 + 1e-9).all()


def test_what_reads_only_types_reads_counts():
    assert [reads_counts(name) for name in ("snn", "new-event", "pairs", "values")] == [True, True, False, False]


def member(name: str, scores: list[float], *, asked: list[bool] | None = None, counts: bool) -> Member:
    values = np.array(scores)
    held = np.ones(len(values), np.bool_) if asked is None else np.array(asked)
    return Member(name, NewEvent(), NewEvent(), values, held, counts, Tail.fit(values))


def test_a_verdict_of_counting_members_stands_on_all_counted_windows():
    one, other = member("a", [1, 2, 3], counts=True), member("b", [7, 8], counts=False)
    votes = np.array([True, False])
    scores, weight = joint_scores([one, other], votes, np.array([2, 0]), np.array([5.0, 6, 7]), np.ones(2))
    assert scores[0].tolist() == [1, 2, 3]
    assert np.isnan(scores[1]).all()
    assert weight.tolist() == [5, 6, 7]


def test_a_verdict_with_a_held_out_member_stands_on_whole_windows_that_all_were_asked_about():
    one = member("a", [1, 2, 3], counts=True)
    other = member("b", [np.nan, 8, 9, 10], asked=[False, True, True, True], counts=False)
    place = np.array([2, 0, -1, 1])  # no counted window stands for the third whole one
    scores, weight = joint_scores([one, other], np.ones(2, np.bool_), place, np.ones(3), np.array([1.0, 2, 3, 4]))
    assert scores.tolist() == [[1, 2], [8, 10]]
    assert weight.tolist() == [2, 4]


@pytest.mark.parametrize("rate", [0.05, 0.01])
def test_usual_windows_that_come_later_are_called_odd_as_often_as_asked(rate: float):
    # a counting member in five folds and one that is held out, both voting, on exchangeable windows
    train, later = walks(4_000, seed=1), walks(6_000, seed=2)
    folds = np.arange(4_000) // 800
    members = [fit_member(name, train, folds, context(6)) for name in ("snn", "pairs", "chance")]
    votes = np.ones(3, np.bool_)
    scores, weight = joint_scores(members, votes, np.arange(4_000), train.weight, train.weight)
    assert scores.shape == (3, 600)
    verdict = Calibrator().fit_verdict([one.tail for one in members], votes, scores, weight)
    asked = np.stack([one.detector.score(later).window for one in members])
    called = (verdict.combined(asked) > verdict.threshold(rate)).mean()
    # 600 windows set the threshold: three standard deviations of a rate measured on so few
    assert abs(called - rate) < 3 * np.sqrt(rate / 600)
    assert shares(train.weight)[-1] == HELD_OUT
