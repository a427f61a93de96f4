"""detectors/next_event.py: what was expected next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from naive import networks as naive
from oddlog.detectors import next_event
from oddlog.detectors.next_event import NextEvent
from oddlog.testing import context, usual_windows, windows
from oddlog.types import OVERFLOW

pytest.importorskip("torch")
pytest.importorskip("onnx")

K, UNSEEN, END = 6, 6, 7  # of the example's types; what stands for an unseen one, and for the end of a window


@pytest.fixture(scope="module")
def fitted() -> NextEvent:
    usual = windows([[0, 1, 2, 4]] * 30 + [[0, 1, 2, 1, 2, 4]] * 20)
    return NextEvent(embedding=8, width=24, steps=250, rate=1e-2, seed=1).fit(usual, context(K))


def test_scores_are_negative_log_likelihoods_of_the_slow_twin(fitted: NextEvent):
    batch = windows([[0, 1, 2, 9, 4], [1]])
    weights = {name: a for name, a in fitted.state().arrays.items() if "." in name}
    columns = fitted.state().arrays["lookup"]
    begin, end = int(columns.max()) + 2, int(columns.max()) + 1
    expected = []
    for sequence in ([0, 1, 2, 9, 4], [1]):
        tokens = [int(columns[min(t, K)]) for t in sequence]
        p = naive.next_probabilities([begin, *tokens], weights)
        expected.append(-np.log(p[np.arange(len(tokens) + 1), [*tokens, end]]))
    scores = fitted.score(batch)
    assert scores.event == pytest.approx(np.concatenate([e[:-1] for e in expected]), abs=1e-4)
    assert scores.window == pytest.approx([naive.top_mean(e.tolist(), fitted.top) for e in expected], abs=1e-4)


def test_what_was_expected_is_named_with_how_likely_it_was(fitted: NextEvent):
    found = fitted.expectations(windows([[0, 1, 4, 4]]))
    assert (found.window.tolist(), found.event.tolist()) == ([0], [2])
    assert found.expected[0, 0] == 2
    assert found.probability[0, 0] > 0.9
    assert found.seen[0] < 0.1
    assert np.all(np.diff(found.probability[0]) <= 0)


def test_an_end_that_came_too_early_is_event_minus_one(fitted: NextEvent):
    found = fitted.expectations(windows([[0, 1, 2, 4], [0, 1]]))
    assert found.event[1] == -1
    assert found.expected[1, 0] == 2
    assert found.seen[1] < 0.1


def test_an_end_that_did_not_come_is_expected_as_k_plus_one(fitted: NextEvent):
    found = fitted.expectations(windows([[0, 1, 2, 4, 4]]))
    assert found.event.tolist() == [4]
    assert found.expected[0, 0] == END


def test_positions_are_those_in_the_windows_that_were_given(fitted: NextEvent):
    batch = windows([[], [0, 1, 2, 4], [0, 9, 2, 4], [0, 1, 2, 9]])
    batch = replace(batch, closed_by=np.array([5, 1, 1, 1], np.uint8))  # the empty one is not over: nothing to say
    found = fitted.expectations(batch)
    assert found.window.tolist() == [1, 2, 3]
    assert found.event[1:].tolist() == [5, 11]


def test_what_surprised_most_is_what_scores_highest(fitted: NextEvent):
    draw = np.random.default_rng(0)
    batch = windows([draw.integers(0, 8, draw.integers(1, 30)).tolist() for _ in range(40)])
    found, event = fitted.expectations(batch), fitted.score(batch).event
    inside = found.event >= 0
    highest = np.maximum.reduceat(event, batch.offsets[:-1])
    assert event[found.event[inside]] == pytest.approx(highest[found.window[inside]])
    assert -np.log(found.seen[inside]) == pytest.approx(highest[found.window[inside]], rel=1e-3)


def test_expectations_in_a_window_of_many_pieces_are_those_of_its_scores(
    fitted: NextEvent, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(next_event, "MAX_STEPS", 8)
    monkeypatch.setattr(next_event, "WARM", 3)
    for at in (0, 7, 8, 12, 13, 29):
        sequence = [0, *[1, 2] * 15, 4]
        sequence[at] = 5
        batch = windows([sequence])
        found, event = fitted.expectations(batch), fitted.score(batch).event
        assert found.event[0] == event.argmax()
        assert -np.log(found.seen[0]) == pytest.approx(event.max(), rel=1e-3)
    cut = windows([[0, *[1, 2] * 15]])
    found = fitted.expectations(cut)
    assert found.event.tolist() == [-1]
    assert found.expected[0, 0] in {1, 4}


def test_a_later_piece_goes_on_where_the_one_before_ended(fitted: NextEvent, monkeypatch: pytest.MonkeyPatch):
    batch = windows([[0, *[1, 2] * 20, 4]])
    whole = fitted.score(batch).event
    monkeypatch.setattr(next_event, "MAX_STEPS", 16)
    monkeypatch.setattr(next_event, "WARM", 8)
    assert fitted.score(batch).event == pytest.approx(whole, abs=0.2)


def test_unseen_types_share_one_slot(fitted: NextEvent):
    one, other = fitted.score(windows([[0, 6, 2, 4], [0, OVERFLOW, 2, 4]])).event.reshape(2, 4)
    assert np.array_equal(one, other)
    assert one[1] > 4


def test_types_that_training_did_not_hold_are_as_unseen_ones(fitted: NextEvent):
    held, never = fitted.score(windows([[0, 5, 2, 4], [0, 99, 2, 4]])).event.reshape(2, 4)
    assert np.array_equal(held, never)


def test_the_rarest_types_share_a_slot_beyond_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(next_event, "MAX_TYPES", 2)
    made = NextEvent(embedding=4, width=8, steps=5, seed=1).fit(usual_windows(), context(K))
    assert made.state().arrays["choice.bias"].shape == (5,)  # two types, rare, unseen, end
    found = made.expectations(windows([[0, 1, 2, 4]]))
    assert set(found.expected.ravel().tolist()) <= {0, 1, 2, 4, UNSEEN, END}


def test_windows_alike_are_learned_from_once_by_the_square_root_of_their_number():
    made = NextEvent(steps=1, seed=1)
    made._columns = next_event.choose_columns(windows([[0], [0, 1]]), 2, 10)
    length, weight, _ = made._examples(windows([[0]] * 9 + [[0, 1]] * 4), 100, 0)
    assert sorted(zip(length.tolist(), weight.tolist(), strict=True)) == [(2, 3.0), (3, 2.0)]
