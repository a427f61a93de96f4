"""`--threshold rolling` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import oddlog
from made_orders import orders
from oddlog.pipeline import rolling

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threshold")
    (folder / "usual.log").write_text("\n".join(orders(800, 1, 0.0, 0.35)) + "\n")
    oddlog.fit(folder / "usual.log", detectors=["snn", "new-event"]).save(folder / "app.model")
    (folder / "today.log").write_text("\n".join(orders(300, 2, 20_000.0, 0.24, lost=100)) + "\n")
    return folder / "app.model"


def test_detect_judges_by_it_and_says_so(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rolling, "SIZE", 100)
    monkeypatch.setattr(rolling, "BLOCKS", 2)
    scores = tmp_path / "scores.parquet"
    today = model.parent / "today.log"
    answer = command("detect", today, "-m", model, "--threshold", "rolling", "--scores", scores, terminal=True)
    assert answer.code == 0
    assert "Judged by a threshold that rolls with the windows: sessions at " in answer.out
    orders_ = pl.read_parquet(scores).filter(pl.col("key").str.starts_with("ord-"))
    assert orders_["threshold"].n_unique() > 2
    assert orders_["is_anomaly"].to_list() == (orders_["score"] > orders_["threshold"]).to_list()


def test_backtest_and_report_take_it(command: Command, model: Path, tmp_path: Path):
    today = model.parent / "today.log"
    told = json.loads(command("backtest", today, "-m", model, "--threshold", "rolling", "--json").out)
    assert told["incidents"] == len(told["fired"]) > 0
    answer = command("report", today, "-m", model, "--threshold", "rolling", "-o", tmp_path / "page.html")
    assert answer.code == 0
    assert "Judged by a threshold that rolls" in answer.err


@pytest.mark.parametrize("words", [("detect", "x.log"), ("backtest", "x.log"), ("watch", "x.log"), ("serve",)])
def test_a_kind_that_is_none_is_refused_at_once(command: Command, words: tuple[str, ...], model: Path):
    answer = command(*words, "-m", model, "--threshold", "roling")
    assert answer.code == 2
    assert answer.err.startswith(
        "oddlog: There is no threshold called 'roling' to judge by. Did you mean 'rolling'? There are: learned, rolling."
    )
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("name", ["detect", "watch"])
@pytest.mark.parametrize(
    ("ending", "timed", "why"),
    [
        (0.99999, True, "The usual windows of this model score too much alike for its threshold to roll."),
        (0.35, False, "The model was learned from lines without times, so its threshold cannot roll with them."),
    ],
)
def test_a_model_that_cannot_roll_says_why(
    command: Command, name: str, ending: float, timed: bool, why: str, model: Path, tmp_path: Path
):
    lines = [line if timed else line[24:] for line in orders(200, 1, 0.0, ending)]
    (tmp_path / "usual.log").write_text("\n".join(lines) + "\n")
    oddlog.fit(tmp_path / "usual.log", detectors=["new-event", "snn"]).save(tmp_path / "app.model")
    answer = command(name, model.parent / "today.log", "-m", tmp_path / "app.model", "--threshold", "rolling")
    assert (answer.code, answer.err) == (2, f"oddlog: {why} Judge by the learned one: --threshold learned.\n")


def test_rolling_is_not_learned(command: Command, odd_log: Path, tmp_path: Path):
    answer = command("fit", odd_log, "-m", tmp_path / "m", "--threshold", "rolling")
    assert answer.code == 2
    assert "Any of them may roll while it judges: oddlog detect --threshold rolling" in answer.err
