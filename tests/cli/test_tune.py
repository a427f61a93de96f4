"""`oddlog tune`: from logs to options that `fit` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import oddlog
from oddlog.config import load_options
from oddlog.detectors.vae import DenseAutoencoder

pytest.importorskip("torch")
pytest.importorskip("onnx")


DEFAULTS = {"variational": True, "width": 6, "rate": 1e-3, "steps": 240}


def test_what_is_found_is_written_and_fit_takes_it(
    command, small_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = DenseAutoencoder.__init__
    monkeypatch.setattr(DenseAutoencoder, "search", {"width": (4, 8), "rate": (1e-3, 1e-2)})
    monkeypatch.setattr(made, "__kwdefaults__", {**made.__kwdefaults__, **DEFAULTS})
    best, model = tmp_path / "best.toml", tmp_path / "shop.model"
    asked = ("tune", small_log, "-o", best, "--detectors", "vae", "--trials", "3")
    answer = command(*asked)
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["detector"] == "vae"
    assert told["best_loss"] <= told["default_loss"]
    found = load_options(best)["vae"]
    assert set(found) == {"width", "rate"}
    trials = best.with_suffix(".trials.jsonl").read_text()
    assert len(trials.splitlines()) == told["trials"] >= 5

    assert command(*asked) == answer  # everything stands in the journal
    assert best.with_suffix(".trials.jsonl").read_text() == trials

    answer = command("fit", small_log, "-m", model, "--detectors", "vae", "--options", best)
    assert answer.code == 0, answer.err
    (member,) = oddlog.load(model).views[0].members
    assert {name: getattr(member, name) for name in found} == found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "{tmp}/no/best.toml"), "There is no folder {tmp}/no to write best.toml into. Create it first."),
        (("-o", "{tmp}/b.toml", "--detectors", "snn"), "There is nothing to search for in 'snn'. Did you mean 'cnn'?"),
        (("-o", "{tmp}/b.toml", "--detectors", "lstn"), "There is no detector called 'lstn'. Did you mean 'lstm'?"),
        (("-o", "{tmp}/b.toml", "--detectors", ","), "No detector was named."),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(command, tmp_path: Path, words: tuple[str, ...], said: str):
    answer = command("tune", "nowhere.log", *(word.format(tmp=tmp_path) for word in words))
    assert answer.code == 2
    assert said.format(tmp=tmp_path) in answer.err


def test_options_that_no_detector_takes_are_told_before_anything_is_read(command, tmp_path: Path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[detector.lstm]\nwith = 3\n")
    answer = command("fit", "nowhere.log", "-m", tmp_path / "a.model", "--options", wrong)
    assert answer.code == 2
    assert "The detector 'lstm' has no option 'with'. Did you mean 'width'?" in answer.err
