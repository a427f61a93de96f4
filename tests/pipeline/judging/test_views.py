"""pipeline/judging/views.py: who votes and who is shown, what is scored once, what comes back from disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_members import Chance, Fake, Telling, register
from made_windows import windows_of
from oddlog.calibration import Calibrator
from oddlog.detectors.new_event import NewEvent
from oddlog.explain import Usual
from oddlog.pipeline.judging.views import Cut, View, member_scores
from oddlog.pipeline.learning.known import Known
from oddlog.testing import context
from oddlog.types import CLOSED_BY, Windows
from oddlog.windows import SessionChoice

K = 6


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Fake, Chance, Telling)


@pytest.fixture
def usual() -> Windows:
    return windows_of([[0, 1, 2, 5]] * 30 + [[0, 1, 2, 1, 2, 5]] * 20)


def view_of(usual: Windows, *, votes: list[bool], rate: float = 0.001) -> View:
    members = tuple(cls().fit(usual, context(K)) for cls in (NewEvent, Fake, Telling))
    calibrator = Calibrator().fit(member_scores(members, usual, K), usual.weight)
    calibrator.votes = np.array(votes)
    told = Usual.learn(usual, K)
    cut = Cut("session", SessionChoice("field", "f.id"))
    return View("sessions", cut, members, calibrator, calibrator.threshold(rate), told, Known.nothing(), rate)


def test_only_those_who_vote_are_asked_for_a_verdict(usual: Windows, monkeypatch: pytest.MonkeyPatch):
    view = view_of(usual, votes=[True, False, False])
    monkeypatch.setattr(Fake, "score", lambda *_: pytest.fail("a shown member was asked"))
    assert len(view.verdicts(usual)) == 50
    assert np.isnan(view.scores(usual)[1:]).all()
    assert (view.voting, view.shown) == (("new-event",), ("pairs", "telling"))


def test_those_who_are_shown_say_what_they_make_of_a_window(usual: Windows):
    view = view_of(usual, votes=[True, False, False])
    swapped = windows_of([[0, 2, 1, 5], [0, 1, 2, 5]])
    assert not view.verdicts(swapped)["is_anomaly"].any()
    p_value = view.member_p(swapped)
    assert list(p_value) == ["new-event", "pairs", "telling"]
    assert (p_value["pairs"][0] < 0.02).all()
    assert p_value["pairs"][1] > 0.5


def test_of_an_unfinished_window_only_news_is_heard(usual: Windows):
    view = view_of(usual, votes=[True, True, True])
    unfinished = replace(windows_of([[0, 2]]), closed_by=np.array([CLOSED_BY.index("open")], np.uint8))
    p_value = view.member_p(unfinished)
    assert [bool(np.isnan(row[0])) for row in p_value.values()] == [False, True, True]


def test_a_view_comes_back_from_its_parts(usual: Windows):
    for votes, rate in (([True, False, True], 0.01), ([True, True, True], 0.001)):
        view = view_of(usual, votes=votes, rate=rate)
        states = view.states()
        back = View.from_states("sessions", states, context(K))
        assert (back.voting, back.shown, back.rate) == (view.voting, view.shown, rate)
        odd = windows_of([[0, 2, 1, 5], [0, 1, 2, 5], [7]])
        assert back.verdicts(odd).equals(view.verdicts(odd))


def test_a_view_in_which_all_vote_is_written_as_before_there_were_others(usual: Windows):
    states = view_of(usual, votes=[True, True, True]).states()
    assert set(states["sessions"].meta) == {"members", "threshold", "by", "size", "choice", "has_closing"}
    assert set(states["sessions.calibration"].meta) == {"members", "n_usual"}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, K + 2), max_size=6), max_size=12))
def test_scoring_once_what_looks_alike_changes_no_score(bags: list[list[int]]):
    learned = windows_of([[0, 1, 2, 5]] * 3 + [[0, 2, 2, 4]])
    members = [cls().fit(learned, context(K)) for cls in (NewEvent, Fake, Telling)]
    windows = windows_of(bags)
    together = member_scores(members, windows, K)
    for row, member in zip(together, members, strict=True):
        alone = member.score(windows).window
        # types the model has never seen are one type to who counts: NewEvent and the pairs of rows >= K agree on that
        seen = np.array([all(t < K for t in bag) for bag in bags], np.bool_)
        assert row[seen].tolist() == alone[seen].tolist()


def test_windows_alike_in_order_are_scored_once_and_those_unlike_are_not(usual: Windows):
    asked: list[int] = []

    class Counting(Telling):
        def score(self, windows: Windows):
            asked.append(len(windows))
            return super().score(windows)

    member = Counting().fit(usual, context(K))
    member_scores([member], usual, K)
    member_scores([member], windows_of([[0, 1], [1, 0], [0, 1]]), K)
    assert asked == [2, 2]
