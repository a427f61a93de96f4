"""What is learned on from remembered counts is what one fit of both logs has learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oddlog
from made_rates import DAY, FAILED, MONDAY, More, traffic, write
from oddlog.model import Model, load
from oddlog.pipeline.learning import remembering
from oddlog.pipeline.learning.remembering import OVERLAP, PART, SHARES, recalled, remembered
from oddlog.rates import Counting
from oddlog.types import Tally

FAST: dict[str, Any] = {"session": "none", "window": "600s", "detectors": ["new-event"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remembered")
    changed = More(FAILED, MONDAY + DAY, 9 * DAY, 1.0)
    write(traffic(MONDAY, DAY, 1), folder / "first.log")
    write(traffic(MONDAY + DAY, 3 * DAY, 2, changed), folder / "second.log")
    write(traffic(MONDAY + 4 * DAY, DAY, 3, changed), folder / "third.log")
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> Model:
    return oddlog.fit(folder / "first.log", **FAST)


@pytest.fixture(scope="module")
def both(folder: Path) -> Model:
    return oddlog.fit([folder / "first.log", folder / "second.log"], **FAST)


@pytest.fixture(scope="module")
def updated(first: Model, folder: Path) -> Model:
    return oddlog.pipeline.update(first, folder / "second.log")


def by_name(model: Model) -> dict[tuple[str, ...], np.ndarray]:
    """Return the season of each series, by what it is of."""
    watch, text = model.rates.watch, model.context.templates.text
    series = watch.series
    keys = zip(series.kind, series.service, series.host, series.name, series.template.tolist(), strict=True)
    named = [(*rest, text[row] if row >= 0 else "") for *rest, row in keys]
    return dict(zip(named, watch.season.rate, strict=True))


def test_rates_are_those_of_one_fit_of_both_logs(first: Model, updated: Model, both: Model):
    assert first.rates.watch.season.grain == "none"
    assert updated.rates.watch.season.grain == both.rates.watch.season.grain == "day"
    mine, theirs = by_name(updated), by_name(both)
    assert mine.keys() == theirs.keys()
    for name, rate in theirs.items():
        np.testing.assert_allclose(mine[name], rate, rtol=1e-5, err_msg=str(name))
    assert updated.rates.watch.threshold == both.rates.watch.threshold
    assert updated.training["rates"]["says"] == both.training["rates"]["says"]


def test_so_are_blocks_of_time_and_shares_within_the_first_bounds(updated: Model, both: Model):
    mine, theirs = updated.rates.drift, both.rates.drift
    assert mine.blocks == theirs.blocks
    np.testing.assert_allclose(mine.centre.lines[0], theirs.centre.lines[0], rtol=1e-5)
    for one, other in zip(mine.distances, theirs.distances, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    for kind in ("mix", "step"):
        one, other = updated.rates.shares.habits[kind], both.rates.shares.habits[kind]
        np.testing.assert_allclose(np.sort(one.usual), np.sort(other.usual), rtol=1e-6)


def test_what_had_drifted_is_usual_after_it_was_learned_on(first: Model, updated: Model, folder: Path):
    files = [folder / "second.log", folder / "third.log"]
    assert any(one.service == "auth" and one.of == "levels" for one in first.detect(files).drift.drifted)
    assert not updated.detect(folder / "third.log").drift.drifted
    rated = [len([i for i in model.detect(folder / "third.log").incidents if "auth" in i.services]) for model in (first, updated)]  # fmt: skip
    assert rated[1] < rated[0]


def test_a_model_that_was_saved_learns_on_and_again(updated: Model, folder: Path):
    updated.save(folder / "updated.model")
    again = oddlog.pipeline.update(load(folder / "updated.model"), folder / "third.log")
    assert again.training["rates"]["hours"] == pytest.approx(5 * 24, abs=0.2)
    assert OVERLAP not in again.training["tally"]["counts"]
    twice = oddlog.pipeline.update(again, folder / "third.log")
    assert twice.training["tally"]["counts"][OVERLAP] > 5_000


def test_a_model_that_remembers_no_counts_keeps_its_rates(first: Model, folder: Path):
    memory = {name: state for name, state in first.memory.items() if name not in (PART, SHARES)}
    old = replace(first, memory=memory)
    new = oddlog.pipeline.update(old, folder / "second.log")
    assert new.rates is not None
    assert new.rates.watch.season.grain == "none"
    assert new.rates.shares is not None


def test_no_address_is_kept_and_what_is_old_ages(first: Model, monkeypatch: pytest.MonkeyPatch):
    counting = Counting(Tally())
    recalled(first.memory[PART], counting)
    assert counting.entities.names
    assert all(name.startswith("remembered ") for name in counting.entities.names)
    last = counting.table("cells")["minute"].max()
    monkeypatch.setattr(remembering, "MOST_MINUTES", 60)
    again = Counting(Tally())
    recalled(remembered(counting), again)
    assert again.table("cells")["minute"].min() == last - 59
    monkeypatch.setattr(remembering, "MOST_ROWS", 10)
    recalled(remembered(counting), few := Counting(Tally()))
    assert 0 < len(few.table("cells")) <= 10
