"""detectors/__init__.py: what there is, and that each keeps the contract."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oddlog import detectors
from oddlog.detectors import DEFAULT, create, installed
from oddlog.errors import ConfigError, install
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import Windows

FEW_STEPS = 150
"""Steps of the autoencoder: enough to tell planted windows from usual ones."""


def quick(name: str) -> object:
    made = create(name, seed=5)
    if name == "dae":
        made.steps = FEW_STEPS
    return made


@pytest.mark.parametrize("name", DEFAULT)
def test_every_built_in_keeps_the_contract(name: str):
    check_detector(lambda: quick(name))


@pytest.mark.parametrize("name", DEFAULT)
def test_the_name_is_the_one_it_is_found_by(name: str):
    assert create(name).name == name


def test_the_seed_goes_where_it_is_taken():
    assert create("dae", seed=9).seed == 9
    assert not hasattr(create("snn", seed=9), "seed")


def test_an_unknown_name_is_answered_with_a_guess():
    with pytest.raises(ConfigError, match=r"no detector called 'sn'\. Did you mean 'snn'\? There are: "):
        create("sn")


def test_everything_is_installed_here():
    assert installed() == (DEFAULT, "")


def test_without_the_extra_the_others_do_the_work_and_say_so(monkeypatch: pytest.MonkeyPatch):
    real = importlib.util.find_spec

    def without(name: str) -> object:
        return None if name in {"torch", "sklearn"} else real(name)

    monkeypatch.setattr(detectors, "find_spec", without)
    present, hint = installed()
    assert present == ("snn", "new-event")
    assert hint == (
        "Without the extra 'train' there is no dae, no ocsvm; snn and new-event do the work. "
        f"Install it with: {install('train')}"
    )


def test_windows_without_a_known_label_are_learned_from():
    usual, batch = usual_windows(), usual_windows(20, seed=1)
    unknown = create("snn").fit(usual, context(), np.full(len(usual), -1, np.int8)).score(batch)
    assert np.array_equal(unknown.window, create("snn").fit(usual, context()).score(batch).window)


WITHOUT_THE_EXTRA = """
import json, sys
from pathlib import Path
import numpy as np

# None in sys.modules: the import fails as if the package were not there
sys.modules.update(dict.fromkeys(["torch", "sklearn", "scipy", "onnx", "onnxscript"]))
from oddlog import plugins
from oddlog.testing import context, planted_windows, usual_windows
from oddlog.types import State, Windows

folder = Path(sys.argv[1])
batch = Windows.concat([usual_windows(30, seed=1), planted_windows()])
for name in sys.argv[2:]:
    arrays = dict(np.load(folder / f"{name}.npz"))
    meta = json.loads((folder / f"{name}.json").read_text())
    graphs = {p.name.removesuffix(".onnx").split("+")[1]: p.read_bytes() for p in folder.glob(f"{name}+*.onnx")}
    fitted = plugins.load("oddlog.detectors", name).from_state(State(arrays, meta, graphs), context())
    scores = fitted.score(batch)
    np.savez(folder / f"{name}.scores.npz", window=scores.window, event=scores.event)
"""


def test_a_stored_detector_scores_the_same_without_torch_and_scikit_learn(tmp_path: Path):
    batch = Windows.concat([usual_windows(30, seed=1), planted_windows()])
    expected = {}
    for name in DEFAULT:
        fitted = quick(name).fit(usual_windows(), context())
        state = fitted.state()
        np.savez(tmp_path / f"{name}.npz", **state.arrays)
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(state.meta)))
        for graph, content in state.graphs.items():
            (tmp_path / f"{name}+{graph}.onnx").write_bytes(content)
        expected[name] = fitted.score(batch)
    subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA, str(tmp_path), *DEFAULT], check=True, timeout=120)
    for name in DEFAULT:
        scores = np.load(tmp_path / f"{name}.scores.npz")
        assert np.array_equal(scores["window"], expected[name].window)
        assert np.array_equal(scores["event"], expected[name].event, equal_nan=True)


@pytest.mark.parametrize("name", DEFAULT)
def test_windows_of_one_event_and_of_a_hundred_thousand_are_scored(name: str):
    fitted = quick(name).fit(usual_windows(), context())
    scores = fitted.score(windows([[0], [0, *[1, 2] * 49_999, 4], [2]]))
    assert np.isfinite(scores.window).all()
    assert scores.event.shape == (100_002,)
    assert scores.window[1] >= fitted.score(windows([[0, 1, 2, 4]])).window[0]  # new-event counts nothing


@pytest.mark.parametrize("name", DEFAULT)
def test_features_that_never_vary_are_learned_from(name: str):
    fitted = quick(name).fit(windows([[0, 1, 2]] * 50), context())
    scores = fitted.score(windows([[0, 1, 2], [0, 1, 2, 3], [0, 1]])).window
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0]
