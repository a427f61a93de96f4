"""training.py: a search judged on validation windows, gone on from where it was ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from oddlog import training
from oddlog.errors import ConfigError, TooLittleDataError
from oddlog.testing import context, usual_windows, windows
from oddlog.types import Windows

WINDOWS = usual_windows(100)


@dataclass
class Valley:
    """A detector whose loss is lowest at width 4 and rate 0.1, and lower the longer it learns."""

    seed: int = 0
    width: int = 1
    rate: float = 1.0
    steps: int = 900

    search: ClassVar[dict[str, tuple[float, ...]]] = {"width": (1, 2, 4, 8), "rate": (0.01, 0.1, 1.0)}
    fits: ClassVar[list[tuple[Any, ...]]] = []

    def fit(self, learned: Windows, _context: Any, *, validation: Windows) -> Valley:
        Valley.fits.append((self.width, self.rate, self.steps, len(learned), len(validation)))
        loss = abs(self.width - 4) + abs(self.rate - 0.1) + 9 / self.steps
        self.training = {"loss": None if self.width == 8 else loss}
        return self


@pytest.fixture(autouse=True)
def valley(monkeypatch: pytest.MonkeyPatch):
    Valley.fits.clear()
    monkeypatch.setattr(training.plugins, "load", lambda _group, name: {"valley": Valley}.get(name, object))
    monkeypatch.setattr(training.plugins, "found", lambda _group: {"valley": None, "flat": None})
    monkeypatch.setattr(training, "create", lambda _name, seed=0, **options: Valley(seed=seed, **options))


def test_the_best_of_the_space_is_found():
    found = training.tune(WINDOWS, context(), "valley", trials=12)
    assert found.best.options == {"width": 4, "rate": 0.1}
    assert found.best.loss == pytest.approx(0.01)
    assert found.default == training.Trial({"width": 1, "rate": 1.0}, 900, pytest.approx(3.91))


def test_few_are_tried_for_long_and_the_defaults_always_are():
    training.tune(WINDOWS, context(), "valley", trials=12)
    steps = [fit[2] for fit in Valley.fits]
    assert [steps.count(n) for n in (100, 300, 900)] == [12, 4, 3]
    assert (1, 1.0, 900) in {fit[:3] for fit in Valley.fits}


def test_the_last_fifteen_percent_are_not_looked_at():
    training.tune(WINDOWS, context(), "valley", trials=2)
    assert {fit[3:] for fit in Valley.fits} == {(70, 15)}


def test_a_trial_without_a_loss_comes_last():
    found = training.tune(WINDOWS, context(), "valley", trials=12)
    assert found.best.options["width"] != 8
    assert max(trial.loss for trial in found.trials) == float("inf")


def test_the_same_seed_tries_the_same_and_another_something_else():
    def tried(seed: int) -> list[Any]:
        Valley.fits.clear()
        training.tune(WINDOWS, context(), "valley", trials=5, seed=seed)
        return list(Valley.fits)

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


def test_a_space_smaller_than_the_trials_is_tried_whole():
    training.tune(WINDOWS, context(), "valley", trials=50)
    assert len([fit for fit in Valley.fits if fit[2] == 100]) == 12


class Killed(BaseException):
    """As if the process had been ended."""


@pytest.mark.parametrize("after", [1, 7, 13])
def test_a_search_that_was_ended_makes_no_trial_twice(tmp_path: Path, after: int):
    whole = training.tune(WINDOWS, context(), "valley", trials=12)
    Valley.fits.clear()

    def dying(_what: str, n: int) -> None:
        if n > after:
            raise Killed

    with pytest.raises(Killed):
        training.tune(WINDOWS, context(), "valley", trials=12, journal=tmp_path / "t.jsonl", progress=dying)
    again = training.tune(WINDOWS, context(), "valley", trials=12, journal=tmp_path / "t.jsonl")
    assert again == whole
    assert len(Valley.fits) == len(set(Valley.fits)) == len(whole.trials)


def test_a_line_cut_off_while_it_was_written_is_made_again(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    whole = training.tune(WINDOWS, context(), "valley", trials=4, journal=path)
    written = path.read_bytes()
    path.write_bytes(written[:-20])
    Valley.fits.clear()
    assert training.tune(WINDOWS, context(), "valley", trials=4, journal=path) == whole
    assert len(Valley.fits) == 1
    Valley.fits.clear()
    assert training.tune(WINDOWS, context(), "valley", trials=4, journal=path) == whole
    assert Valley.fits == []


def test_trials_on_other_windows_count_for_nothing(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    training.tune(WINDOWS, context(), "valley", trials=3, journal=path)
    n = len(Valley.fits)
    training.tune(usual_windows(100, seed=1), context(), "valley", trials=3, journal=path)
    assert len(Valley.fits) == 2 * n
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line["data"] for line in lines}) == 2


def test_a_detector_without_anything_to_search_for_is_told():
    with pytest.raises(ConfigError, match=r"nothing to search for in 'flat'\. There are: valley\."):
        training.tune(WINDOWS, context(), "flat")


def test_too_few_windows_are_told():
    with pytest.raises(TooLittleDataError, match=r"^1 usual windows are too few to search with\."):
        training.tune(windows([[0]]), context(), "valley")
