"""detectors/lstm.py, cnn.py, vae.py, next_event.py: what the networks share, as members."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oddlog.detectors import create, deep
from oddlog.detectors.cnn import ConvolutionalAutoencoder
from oddlog.detectors.lstm import LstmAutoencoder
from oddlog.detectors.next_event import NextEvent
from oddlog.detectors.vae import DenseAutoencoder
from oddlog.errors import ConfigError, MissingExtraError
from oddlog.features.fused import Fused
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import NO_TIME, Context, Detector, Number, Windows

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

QUICK = {
    "lstm": lambda **more: LstmAutoencoder(**{"width": 16, "summary": 8, "steps": 60, "batch": 32, "seed": 5, **more}),
    "cnn": lambda **more: ConvolutionalAutoencoder(**{"width": 16, "steps": 60, "batch": 32, "seed": 5, **more}),
    "vae": lambda **more: DenseAutoencoder(**{"width": 16, "steps": 60, "batch": 32, "seed": 5, **more}),
    "next-event": lambda **more: NextEvent(
        **{"embedding": 8, "width": 16, "steps": 60, "batch": 32, "rate": 1e-2, "seed": 5, **more}
    ),
}
"""Small networks, trained for long enough to tell planted windows from usual ones."""
every = pytest.mark.parametrize("name", QUICK)
sequential = pytest.mark.parametrize("name", ["lstm", "cnn", "next-event"])


@pytest.fixture(scope="module")
def fitted() -> dict[str, Detector]:
    return {name: make().fit(usual_windows(), context()) for name, make in QUICK.items()}


@every
def test_every_network_keeps_the_contract(name: str):
    check_detector(QUICK[name])


@every
def test_a_network_is_found_by_its_name_and_says_how_it_is_calibrated(name: str):
    made = create(name, seed=9)
    assert (made.name, made.calibrates, made.seed) == (name, "holdout", 9)
    assert made.requires == ("torch", "onnx")


def test_options_reach_the_constructor_and_unknown_ones_are_answered_with_a_guess():
    assert create("lstm", width=7).width == 7
    assert create("vae", variational=False).variational is False
    with pytest.raises(ConfigError, match=r"'lstm' has no option 'with'\. Did you mean 'width'\? There are: batch"):
        create("lstm", **{"with": 1})
    with pytest.raises(ConfigError, match=r"'new-event' has no option 'width'\. It has none\."):
        create("new-event", width=3)


@every
def test_a_window_of_one_event_and_one_of_a_hundred_thousand_are_scored(fitted: dict[str, Detector], name: str):
    long = [0, *[1, 2] * 49_999, 4]
    scores = fitted[name].score(windows([[0], long, [2]]))
    assert np.isfinite(scores.window).all()
    assert scores.event.shape == (100_002,)
    assert np.isfinite(scores.event).all()


@sequential
def test_an_odd_event_far_into_a_long_window_is_found(fitted: dict[str, Detector], name: str):
    long = [0, *[1, 2] * 2_000, 4]
    odd = [*long[:3_001], 9, *long[3_002:]]
    usual, found = fitted[name].score(windows([long])), fitted[name].score(windows([odd]))
    assert found.window[0] > usual.window[0]
    assert found.event.argmax() == 3_001
    assert found.event[3_001] > 1.5 * usual.event.max()


@every
def test_one_long_window_can_be_learned_from(name: str):
    made = QUICK[name](steps=5)
    scores = made.fit(windows([[0, *[1, 2] * 2_000, 4]]), context()).score(usual_windows(3))
    assert np.isfinite(scores.window).all()


@every
def test_features_that_never_vary_are_learned_from(name: str):
    alike = windows([[0, 1, 2]] * 30)
    same = replace(alike, time_us=np.zeros_like(alike.time_us), numbers=np.full((90, 1), 7, np.float32))
    made = QUICK[name](steps=20).fit(same, replace(context(), numbers=(Number("load"),)))
    assert np.isfinite(made.score(same).window).all()
    assert np.isfinite(made.score(same).event).all()


@sequential
def test_corrupted_orders_score_higher_than_usual_ones(name: str):
    usual = windows([[0, 1, 2, 3, 4, 5]] * 60)
    fitted = QUICK[name](steps=200).fit(usual, context())
    right = fitted.score(windows([[0, 1, 2, 3, 4, 5]])).window[0]
    wrong = fitted.score(windows([[0, 2, 1, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 1, 1, 2, 3, 4, 5]])).window
    assert wrong.min() > 3 * right
    # that the end is missing is odd only where the window is over
    cut = replace(windows([[0, 1, 2], [0, 1, 2]]), closed_by=np.array([1, 5], np.uint8))
    over, bounded = fitted.score(cut).window
    assert over > max(right, bounded)


@every
def test_without_times_and_numbers_it_still_tells_planted_windows(name: str):
    def timeless(batch: Windows) -> Windows:
        return replace(batch, time_us=np.full(len(batch.template), NO_TIME))

    fitted = QUICK[name]().fit(timeless(usual_windows()), context())
    usual = fitted.score(timeless(usual_windows(30, seed=1))).window
    assert fitted.score(timeless(planted_windows())).window.min() > usual.max()


@pytest.mark.parametrize("name", ["lstm", "cnn", "vae"])
def test_a_number_out_of_its_range_scores_higher(name: str):
    with_number = Context(context().templates, (Number("duration", "ms", "log"),))

    def timed(batch: Windows, seed: int) -> Windows:
        draw = np.random.default_rng(seed)
        values = draw.lognormal(4, 0.2, (len(batch.template), 1)).astype(np.float32)
        values[batch.template != 1] = np.nan
        return replace(batch, numbers=values)

    fitted = QUICK[name](steps=200).fit(timed(usual_windows(), 0), with_number)
    usual = timed(windows([[0, 1, 2, 4]]), 1)
    slow = replace(usual, numbers=np.array([[np.nan], [60_000], [np.nan], [np.nan]], np.float32))
    before, after = fitted.score(usual), fitted.score(slow)
    assert after.window[0] > 3 * before.window[0]
    assert after.event.argmax() == 1
    assert "numbers: duration (log)" in fitted.features


@every
def test_training_leaves_torch_s_own_generator_alone(name: str):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    QUICK[name](steps=2).fit(usual_windows(), context())
    assert torch.equal(before, torch.random.get_rng_state())


@every
def test_progress_is_told_and_the_summary_kept(name: str):
    told: list[tuple[int, int, float]] = []
    made = QUICK[name](steps=20, progress=lambda *step: told.append(step)).fit(usual_windows(), context())
    assert [step for step, _, _ in told][-1] == 20
    assert made.training["steps"] == 20
    assert made.training["loss"] == min(loss for _, _, loss in told)
    assert type(made).from_state(made.state(), context()).training == made.training


class Killed(BaseException):
    """As if the process had been ended in the midst of a step."""


@every
def test_killed_and_fitted_again_it_comes_to_the_same_scores(name: str, tmp_path: Path):
    def dying(step: int, _steps: int, _loss: float) -> None:
        if step >= 30:
            raise Killed

    whole = QUICK[name]().fit(usual_windows(), context()).score(planted_windows())
    with pytest.raises(Killed):
        QUICK[name](checkpoints=tmp_path, progress=dying).fit(usual_windows(), context())
    told: list[int] = []
    again = QUICK[name](checkpoints=tmp_path, progress=lambda step, *_: told.append(step))
    found = again.fit(usual_windows(), context()).score(planted_windows())
    assert min(told) >= 24
    assert np.array_equal(found.window, whole.window)
    assert np.array_equal(found.event, whole.event)


@pytest.mark.parametrize("name", ["lstm", "cnn", "vae"])
def test_a_loss_that_is_no_number_stops_and_says_so(name: str):
    made = QUICK[name](rate=1e30).fit(usual_windows(), context())
    assert "not a number" in made.training["stopped"]
    assert np.isfinite(made.score(planted_windows()).window).all()


@every
def test_validation_windows_decide_when_to_stop(name: str):
    told: list[float] = []
    QUICK[name](steps=2, progress=lambda _step, _steps, loss: told.append(loss)).fit(
        usual_windows(), context(), validation=planted_windows()
    )
    odd = told[0]
    QUICK[name](steps=2, progress=lambda _step, _steps, loss: told.append(loss)).fit(
        usual_windows(), context(), validation=usual_windows(10, seed=1)
    )
    assert odd > 1.05 * told[-2]


@every
def test_without_torch_the_error_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch):
    for module in ("training", "reconstruction", "next_event", "export"):
        monkeypatch.setitem(sys.modules, f"oddlog.detectors.deep.{module}", None)
        monkeypatch.delattr(deep, module, raising=False)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'train'.*pip install"):
        QUICK[name](steps=1).fit(usual_windows(), context())


def test_an_empty_window_has_an_opinion_only_where_it_is_over(fitted: dict[str, Detector]):
    empty = windows([[], []])
    empty = replace(empty, closed_by=np.array([1, 5], np.uint8))  # end, bounds
    for name in ("lstm", "cnn", "next-event"):
        assert np.isnan(fitted[name].score(empty).window).tolist() == [False, True]


def test_the_vectors_of_a_detector_are_those_of_its_features(fitted: dict[str, Detector]):
    names = Fused.learn(usual_windows(), context()).names
    for name in ("lstm", "cnn", "vae"):
        assert fitted[name].features == names


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


def test_a_stored_network_scores_the_same_without_torch(fitted: dict[str, Detector], tmp_path: Path):
    batch = Windows.concat([usual_windows(30, seed=1), planted_windows()])
    for name, one in fitted.items():
        state = one.state()
        np.savez(tmp_path / f"{name}.npz", **state.arrays)
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(state.meta)))
        for graph, content in state.graphs.items():
            (tmp_path / f"{name}+{graph}.onnx").write_bytes(content)
    subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA, str(tmp_path), *fitted], check=True, timeout=120)
    for name, one in fitted.items():
        scores, expected = np.load(tmp_path / f"{name}.scores.npz"), one.score(batch)
        assert np.array_equal(scores["window"], expected.window)
        assert np.array_equal(scores["event"], expected.event)
