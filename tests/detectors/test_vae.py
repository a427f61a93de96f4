"""detectors/vae.py: whole windows restored from a narrow code."""

from __future__ import annotations

import numpy as np
import pytest

from oddlog.detectors import vae
from oddlog.detectors.vae import DenseAutoencoder
from oddlog.testing import context, planted_windows, usual_windows, windows
from oddlog.types import Windows

pytest.importorskip("torch")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def fitted() -> DenseAutoencoder:
    return DenseAutoencoder(steps=200, seed=1).fit(usual_windows(), context())


def test_a_window_is_the_mean_and_deviation_of_its_vectors_and_its_length(fitted: DenseAutoencoder):
    batch = windows([[0, 1, 2, 4], [3], []])
    event = np.arange(5)
    vectors = fitted._fused.vectors(batch, batch.offsets[:-1][batch.window_of_event], event)
    pooled = fitted._pooled(batch)
    d = fitted._fused.width
    assert pooled[0, :d] == pytest.approx(vectors[:4].mean(0), abs=1e-6)
    assert pooled[0, d : 2 * d] == pytest.approx(vectors[:4].std(0), abs=1e-5)
    assert pooled[1, d : 2 * d] == pytest.approx(0, abs=1e-5)
    assert pooled[:, -1] == pytest.approx(np.log([5, 2, 1]))


def test_blocks_of_events_change_nothing(fitted: DenseAutoencoder, monkeypatch: pytest.MonkeyPatch):
    batch = Windows.concat([usual_windows(20, seed=1), planted_windows()])
    whole = fitted.score(batch)
    monkeypatch.setattr(vae, "MAX_CELLS", 8)
    parts = fitted.score(batch)
    assert parts.window == pytest.approx(whole.window, rel=1e-5)
    assert parts.event == pytest.approx(whole.event, rel=1e-4, abs=1e-6)


def test_the_parts_of_events_make_up_the_error_of_the_means(fitted: DenseAutoencoder):
    batch = windows([[0, 1, 2, 9, 4], [0, 1, 2, 4]])
    scores = fitted.score(batch)
    of_window = np.add.reduceat(scores.event, batch.offsets[:-1])
    assert (of_window <= scores.window * (1 + 1e-6)).all()
    assert of_window[0] > 0.3 * scores.window[0]
    assert scores.event[:5].argmax() == 3


def test_plain_and_variational_are_two_networks_of_one_scale(fitted: DenseAutoencoder):
    plain = DenseAutoencoder(steps=200, seed=1, variational=False).fit(usual_windows(), context())
    assert "spread.weight" in fitted.state().arrays
    assert "spread.weight" not in plain.state().arrays
    for made in (plain, fitted):
        usual = made.score(usual_windows(30, seed=1)).window
        assert made.score(planted_windows()).window.min() > 10 * usual.max()


def test_scoring_draws_nothing(fitted: DenseAutoencoder):
    one, two = (fitted.score(usual_windows(5)).window for _ in range(2))
    assert np.array_equal(one, two)


def test_windows_alone_score_as_with_their_events(fitted: DenseAutoencoder):
    some = usual_windows(20)
    assert (fitted.score_windows(some) == fitted.score(some).window).all()
