"""detectors/deep/export.py: the graphs give what the networks give, at any batch and time."""

from __future__ import annotations

import numpy as np
import pytest

from naive import networks as naive
from oddlog.detectors import runtime

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
export = pytest.importorskip("oddlog.detectors.deep.export")
networks = pytest.importorskip("oddlog.detectors.deep.networks")
training = pytest.importorskip("oddlog.detectors.deep.training")

FEATURES = 7
SHARES = np.linspace(0.5, 1.5, FEATURES).astype(np.float32) / FEATURES
SIZES = {"lstm": (10, 5, 2), "cnn": (10, 5)}
BATCHES = [(1, 4), (2, 12), (1024, 8), (3, 64)]


def sequences(b: int, t: int):
    """Sequences [b, t, f] with nothing but zeros behind their ends, and their lengths [b]."""
    draw = np.random.default_rng(b)
    lengths = draw.integers(1, t + 1, b)
    x = draw.normal(size=(b, t, FEATURES)).astype(np.float32)
    x[np.arange(t) >= lengths[:, None]] = 0
    return x, lengths, np.arange(t) < lengths[:, None]


def made(kind: str):
    with training.seeded(2):
        lstm = kind == "lstm"
        model = (networks.SequenceAutoencoder if lstm else networks.ConvolutionalAutoencoder)(FEATURES, *SIZES[kind])
    weights = training.weights_of(model)
    graph = export.sequence_error if lstm else export.convolution_error
    return model, weights, runtime.session(graph(weights, SHARES))


@pytest.mark.parametrize(("b", "t"), BATCHES)
@pytest.mark.parametrize("kind", ["lstm", "cnn"])
def test_restored_sequences_equal_those_of_torch(kind: str, b: int, t: int):
    model, _, session = made(kind)
    x, lengths, real = sequences(b, t)
    with torch.no_grad():
        restored = model(torch.from_numpy(x), torch.from_numpy(lengths)).numpy()
    expected = ((restored - x) ** 2) @ SHARES
    found = session.run(["error"], {"x": x, "lengths": lengths})[0]
    assert found.shape == (b, t)
    assert np.abs(found - expected)[real].max() < 1e-5


@pytest.mark.parametrize(("b", "t"), BATCHES)
def test_sequences_restored_from_one_state_equal_those_of_torch(b: int, t: int):
    with training.seeded(2):
        model = networks.RepeatingAutoencoder(FEATURES, 9)
    x, _, _ = sequences(b, t)
    with torch.no_grad():
        expected = ((model(torch.from_numpy(x)).numpy() - x) ** 2).mean((1, 2))
    session = runtime.session(export.repeating_error(training.weights_of(model)))
    assert np.abs(session.run(["error"], {"x": x})[0] - expected).max() < 1e-5


@pytest.mark.parametrize("kind", ["lstm", "cnn"])
def test_neither_padding_nor_neighbours_are_seen(kind: str):
    _, _, session = made(kind)
    x, lengths, _ = sequences(5, 12)
    together = session.run(["error"], {"x": x, "lengths": lengths})[0]
    for i, n in enumerate(lengths):
        width = -(-int(n) // 4) * 4
        alone = session.run(["error"], {"x": x[i : i + 1, :width], "lengths": lengths[i : i + 1]})[0]
        assert together[i, :n] == pytest.approx(alone[0, :n], abs=1e-6)


def next_event(layers: int):
    with training.seeded(3):
        model = networks.NextEvent(9, 8, 6, 10, layers)
    return model, training.weights_of(model)


@pytest.mark.parametrize(("b", "t"), BATCHES)
def test_surprise_equals_that_of_torch(b: int, t: int):
    model, weights = next_event(2)
    draw = np.random.default_rng(b)
    tokens, targets = draw.integers(0, 9, (b, t)), draw.integers(0, 8, (b, t))
    with torch.no_grad():
        log_p = model(torch.from_numpy(tokens))
        expected = -log_p.gather(2, torch.from_numpy(targets).unsqueeze(2)).squeeze(2).numpy()
    found = runtime.session(export.surprise(weights)).run(["surprise"], {"tokens": tokens, "targets": targets})[0]
    assert np.abs(found - expected).max() < 1e-5


def test_surprise_equals_that_of_the_slow_twin():
    _, weights = next_event(1)
    tokens, targets = np.array([[8, 1, 2, 3]]), np.array([[1, 2, 3, 7]])
    p = naive.next_probabilities(tokens[0].tolist(), weights)
    found = runtime.session(export.surprise(weights)).run(["surprise"], {"tokens": tokens, "targets": targets})[0]
    assert found[0] == pytest.approx(-np.log(p[np.arange(4), targets[0]]), abs=1e-5)


def test_what_was_expected_is_that_of_the_slow_twin():
    _, weights = next_event(1)
    tokens = np.array([[8, 1, 2, 3], [8, 5, 0, 0]])
    feed = {"tokens": tokens, "at": np.array([2, 1]), "target": np.array([4, 7])}
    session = runtime.session(export.expected(weights))
    probability, expected, seen = session.run(["probability", "expected", "seen"], feed)
    for i, (length, at, target) in enumerate([(4, 2, 4), (2, 1, 7)]):
        p = naive.next_probabilities(tokens[i, :length].tolist(), weights)[at]
        assert expected[i].tolist() == np.argsort(-p)[:3].tolist()
        assert probability[i] == pytest.approx(np.sort(p)[::-1][:3], abs=1e-6)
        assert seen[i] == pytest.approx(p[target], abs=1e-6)


@pytest.mark.parametrize("b", [1, 2, 1024])
def test_restored_rows_equal_those_of_torch(b: int):
    with training.seeded(4):
        model = networks.DenseAutoencoder(FEATURES, 6, 3, variational=True)
    x = np.random.default_rng(b).normal(size=(b, FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x), None)[0].numpy()
    found = runtime.session(export.dense(training.weights_of(model))).run(["restored"], {"x": x})[0]
    assert np.abs(found - expected).max() < 1e-5


def test_the_same_weights_give_the_same_bytes():
    _, weights = next_event(1)
    assert export.surprise(weights) == export.surprise({name: value.copy() for name, value in weights.items()})
