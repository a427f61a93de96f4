"""testing.check_detector: each check fails on a detector that breaks what it is about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddlog import testing
from oddlog.detectors.new_event import NewEvent
from oddlog.types import Scores, State


class Learns(NewEvent):
    """Turns its own table up each time it scores."""

    def score(self, windows: Any) -> Scores:
        scores = super().score(windows)
        self._surprise = self._surprise + 1
        return scores


class PointsDown(NewEvent):
    def score(self, windows: Any) -> Scores:
        scores = super().score(windows)
        return Scores(-scores.window, scores.event)


class Relative(NewEvent):
    """Scores against the batch instead of what was learned."""

    def score(self, windows: Any) -> Scores:
        scores = super().score(windows)
        return Scores(scores.window - scores.window.mean() if len(windows) else scores.window, scores.event)


class Infinite(NewEvent):
    def score(self, windows: Any) -> Scores:
        scores = super().score(windows)
        return Scores(np.where(scores.window > 1, np.inf, scores.window), scores.event)


class Refuses(NewEvent):
    def score(self, windows: Any) -> Scores:
        if len(windows) == 0:
            raise ValueError("nothing to score")
        return super().score(windows)


class Forgets(NewEvent):
    def state(self) -> State:
        return State({"surprise": self._surprise.astype(np.float32)})


class Sorts(NewEvent):
    """Writes into the windows it was given."""

    def score(self, windows: Any) -> Scores:
        windows.template.sort()
        return super().score(windows)


class Rolls(NewEvent):
    """Draws from a generator without a seed."""

    def fit(self, windows: Any, context: Any, labels: Any = None, *, validation: Any = None) -> Rolls:
        super().fit(windows, context, labels, validation=validation)
        self._surprise = self._surprise + np.random.default_rng().random(len(self._surprise)) / 100
        return self


class TrustsAll(NewEvent):
    """Learns from labelled anomalies as if they were usual."""

    def fit(self, windows: Any, context: Any, labels: Any = None, *, validation: Any = None) -> TrustsAll:
        if len(windows):
            labels = None
        super().fit(windows, context, labels, validation=validation)
        return self


class Divides(NewEvent):
    def fit(self, windows: Any, context: Any, labels: Any = None, *, validation: Any = None) -> Divides:
        if len(windows) == 0:
            raise ZeroDivisionError
        super().fit(windows, context, labels, validation=validation)
        return self


class WrongType(NewEvent):
    def score(self, windows: Any) -> Scores:
        scores = super().score(windows)
        return Scores(scores.window.astype(np.float32), scores.event)


class Shouts(NewEvent):
    name = "NewEvent"


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Learns, "the second scoring equals the first"),
        (PointsDown, "above the highest usual score"),
        (Infinite, "scores are finite or NaN"),
        (Forgets, "from_state scores as the fitted one"),
        (Rolls, "two fits alike"),
        (TrustsAll, "labelled anomalies leave no trace"),
        (WrongType, "window scores are float64"),
        (Shouts, "a short lower-case name"),
    ],
)
def test_a_broken_detector_is_named_with_what_it_breaks(broken: Any, complaint: str):
    with pytest.raises(AssertionError, match=complaint):
        testing.check_detector(broken)


def test_a_score_that_depends_on_its_batch_is_found_out():
    with pytest.raises(AssertionError, match="scores alone equal those in a batch"):
        testing.check_one_by_one_equals_batch(Relative)


def test_a_detector_that_writes_into_its_input_is_found_out():
    with pytest.raises(AssertionError, match="the windows are as they were"):
        testing.check_inputs_stay_as_they_were(Sorts)


def test_a_detector_that_refuses_empty_input_is_found_out():
    with pytest.raises(ValueError, match="nothing to score"):
        testing.check_empty_in_empty_out(Refuses)


def test_an_error_that_the_user_cannot_mend_is_found_out():
    with pytest.raises(ZeroDivisionError):
        testing.check_nothing_to_learn_is_the_users_to_mend(Divides)


def test_a_sound_detector_passes():
    testing.check_detector(NewEvent)
