"""detectors/autoencoder.py and deep/denoising.py: trained by PyTorch, scored by ONNX Runtime."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from oddlog.detectors import autoencoder, deep
from oddlog.detectors.autoencoder import DenoisingAutoencoder
from oddlog.errors import MissingExtraError
from oddlog.features.counts import counts
from oddlog.testing import context, planted_windows, usual_windows, windows
from oddlog.types import Windows

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
denoising = pytest.importorskip("oddlog.detectors.deep.denoising")


real = denoising.train


@pytest.fixture(scope="module")
def fitted() -> DenoisingAutoencoder:
    return DenoisingAutoencoder(steps=300).fit(usual_windows(), context())


def torch_errors(fitted: DenoisingAutoencoder, batch: Windows) -> NDArray[np.float64]:
    """The error of each window's features [w, f] as its definition stands: features, network, difference."""
    a = dict(fitted.state().arrays)
    columns = counts(usual_windows(), 6).columns
    found = counts(batch, 6, columns=columns)
    x = np.concatenate([np.log1p(found.dense()), found.dense() > 0], axis=1)
    x = torch.from_numpy(((x - a["mean"]) / a["std"]).astype(np.float32))
    model = denoising.network({n: v for n, v in a.items() if n[0] in "wb" and n[1:].isdigit()})
    with torch.no_grad():
        return (model(x) - x).double().numpy()[found.inverse]


@pytest.mark.parametrize("n", [1, 2, 1024])
def test_onnx_runtime_scores_as_torch_does(fitted: DenoisingAutoencoder, n: int):
    draw = np.random.default_rng(n)
    batch = windows([draw.integers(0, 7, draw.integers(1, 30)).tolist() for _ in range(n)])
    expected = np.sqrt((torch_errors(fitted, batch) ** 2).sum(1))
    assert fitted.score(batch).window == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_an_event_scores_the_error_of_its_type_s_two_features(fitted: DenoisingAutoencoder):
    batch = windows([[0, 3, 3, 9, 4]])
    error = torch_errors(fitted, batch)[0].reshape(2, 7)  # five types, rare, unseen; ln(1 + count), then "is held"
    of_type = np.sqrt((error**2).sum(0))
    assert fitted.score(batch).event == pytest.approx(of_type[[0, 3, 3, 6, 4]], rel=1e-4)


def test_a_row_counts_by_the_square_root_of_its_windows(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(denoising, "train", lambda x, weight, recipe: seen.append(weight) or real(x, weight, recipe))
    DenoisingAutoencoder(steps=1).fit(windows([[0]] * 9 + [[0, 1]] * 4), context(2))
    assert sorted(seen[0].tolist()) == [2.0, 3.0]


def test_it_restores_usual_windows_and_not_planted_ones(fitted: DenoisingAutoencoder):
    usual = fitted.score(usual_windows(100, seed=1)).window
    assert usual.max() < 1.0
    assert fitted.score(planted_windows()).window.min() > 10.0


def test_events_of_the_odd_type_score_highest(fitted: DenoisingAutoencoder):
    event = fitted.score(windows([[0, 1, 2, 9, 4]])).event
    assert event.argmax() == 3
    assert event[3] > 10 * np.delete(event, 3).max()


def test_the_weights_standardise_by_windows_not_by_distinct_rows():
    state = DenoisingAutoencoder(steps=1).fit(windows([[0]] * 3 + [[0, 1]]), context(2)).state()
    logs, held = np.log(2) * np.array([1, 0.25, 0, 0]), np.array([1, 0.25, 0, 0])
    assert state.arrays["mean"] == pytest.approx(np.concatenate([logs, held]))
    spread = np.sqrt(0.25 * 0.75)
    expected = [0.1, np.log(2) * spread + 0.1, 0.1, 0.1, 0.1, spread + 0.1, 0.1, 0.1]
    assert state.arrays["std"] == pytest.approx(expected)


def test_another_seed_gives_other_weights_and_the_context_s_is_the_default():
    usual = usual_windows()

    def weights(made: DenoisingAutoencoder, seed: int) -> NDArray[np.float32]:
        return made.fit(usual, context(seed=seed)).state().arrays["w0"]

    of_context = weights(DenoisingAutoencoder(steps=5), 3)
    assert np.array_equal(of_context, weights(DenoisingAutoencoder(steps=5, seed=3), 0))
    assert not np.array_equal(of_context, weights(DenoisingAutoencoder(steps=5), 4))


def test_more_rows_than_a_step_takes_are_learned_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(autoencoder, "MAX_BATCH", 3)
    made = DenoisingAutoencoder(steps=300).fit(usual_windows(), context())
    usual, planted = made.score(usual_windows(50, seed=1)).window, made.score(planted_windows()).window
    assert planted.min() > 3 * usual.max()


def test_rows_to_learn_from_are_bounded_by_cells_too(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(autoencoder, "MAX_CELLS", 3 * 14)  # five types, rare, unseen: 14 features
    monkeypatch.setattr(denoising, "train", lambda x, weight, recipe: seen.append(x.shape) or real(x, weight, recipe))
    DenoisingAutoencoder(steps=1).fit(usual_windows(), context())
    assert seen == [(3, 14)]


def test_small_blocks_change_nothing(fitted: DenoisingAutoencoder, monkeypatch: pytest.MonkeyPatch):
    batch = usual_windows(50, seed=1)
    whole = fitted.score(batch)
    monkeypatch.setattr(autoencoder, "BLOCK", 1)
    parts = fitted.score(batch)
    assert parts.window == pytest.approx(whole.window, abs=1e-5)
    assert parts.event == pytest.approx(whole.event, abs=1e-5)


def test_training_leaves_torch_s_own_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    DenoisingAutoencoder(steps=2).fit(usual_windows(), context())
    assert torch.equal(before, torch.random.get_rng_state())


def test_without_torch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "oddlog.detectors.deep.denoising", None)
    monkeypatch.delattr(deep, "denoising")
    with pytest.raises(MissingExtraError, match=r"autoencoder needs the extra 'train'.*pip install"):
        DenoisingAutoencoder(steps=1).fit(usual_windows(), context())
