"""detectors/ganfl.py: the local model of a federation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oddlog.detectors import create
from oddlog.detectors.ganfl import HIDDEN, LONGEST, Ganfl
from oddlog.errors import ConfigError
from oddlog.features.portable import TYPE
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import Context, Windows

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
attention = pytest.importorskip("oddlog.detectors.deep.attention")
deep = pytest.importorskip("oddlog.detectors.deep.ganfl")
runtime = pytest.importorskip("oddlog.detectors.runtime")
training = pytest.importorskip("oddlog.detectors.deep.training")


def small(**more: Any) -> Ganfl:
    made = create("ganfl", 5, **{"width": 16, "steps": 60, "batch": 32, "rate": 1e-2, **more})
    assert isinstance(made, Ganfl)
    return made


def test_it_keeps_the_contract():
    check_detector(small)


def test_no_weight_is_sized_by_what_a_site_has():
    shapes = []
    for k, batch in ((6, usual_windows()), (40, windows([[i % 40, 39 - i % 40] for i in range(60)]))):
        made = small().prepare(batch, context(k=k))
        assert list(made.get_weights()) == sorted(made.get_weights())
        shapes.append({name: value.shape for name, value in made.get_weights().items()})
    assert shapes[0] == shapes[1]


def test_equal_seeds_begin_with_equal_weights_at_every_site():
    one, other = (small().prepare(usual_windows(n), context(k=k)).get_weights() for n, k in ((200, 6), (30, 9)))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_weights_learned_at_one_site_serve_another_that_knows_other_types():
    ours = small().prepare(usual_windows(), context(k=6))
    assert ours.train(usual_windows(), 80, seed=1) == 80

    def there_as(batch: Windows) -> Windows:
        return replace(batch, template=np.where(batch.template < 6, (batch.template + 6) % 16, 99).astype(np.uint32))

    # the other site has the same texts at other rows, and ten more
    templates = context(k=16).templates
    shifted = Context(replace(templates, text=tuple(f"type {(row + 10) % 16} <*>" for row in range(16))))
    there = small().prepare(there_as(usual_windows(30)), shifted)
    before = there.score(there_as(usual_windows(30, seed=2))).window.mean()
    there.set_weights(ours.get_weights())
    usual = there.score(there_as(usual_windows(30, seed=2))).window
    odd = there.score(there_as(planted_windows())).window
    assert usual.mean() < 0.7 * before
    assert odd.min() > usual.max()


def test_what_get_weights_gives_is_a_copy():
    made = small().prepare(usual_windows(), context())
    before = made.score(planted_windows()).window
    for value in made.get_weights().values():
        value[:] = 0
    assert np.array_equal(made.score(planted_windows()).window, before)


def test_training_in_parts_is_repeatable_and_needs_windows():
    def trained(*parts: tuple[int, int]) -> dict[str, Any]:
        made = small().prepare(usual_windows(), context())
        for steps, seed in parts:
            made.train(usual_windows(), steps, seed)
        return made.get_weights()

    one, again, other = trained((5, 1), (5, 2)), trained((5, 1), (5, 2)), trained((5, 1), (5, 3))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    assert small().prepare(usual_windows(), context()).train(windows([]), 5, 1) == 0


def test_a_proximal_term_keeps_the_weights_near():
    def moved(proximal: float) -> float:
        made = small().prepare(usual_windows(), context())
        before = made.get_weights()
        made.train(usual_windows(), 30, 1, proximal=proximal)
        return sum(float(((value - before[name]) ** 2).sum()) for name, value in made.get_weights().items())

    assert moved(10.0) < moved(0.0) / 2


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda w: {**w, "more": w["end"]}, r"another network: more are not in both"),
        (lambda w: {**w, "end": w["end"][:, :3]}, r"'end' is \(1, 3\), here it is \(1, 16\)"),
        (lambda w: {**w, "end": w["end"] * np.nan}, r"'end' holds what is not a number"),
    ],
)
def test_weights_that_do_not_fit_are_refused(spoil: Any, says: str):
    made = small().prepare(usual_windows(), context())
    with pytest.raises(ConfigError, match=says):
        made.set_weights(spoil(made.get_weights()))


def test_an_odd_event_far_into_a_long_window_is_found():
    fitted = small().fit(windows([[0, *[1, 2] * n, 4] for n in range(70, 90)]), context())
    long = [0, *[1, 2] * 150, 4]
    odd = [*long[:201], 9, *long[202:]]
    usual, found = fitted.score(windows([long])), fitted.score(windows([odd]))
    assert found.window[0] > 1.5 * usual.window[0]
    assert found.event.argmax() == 201


def test_that_the_end_is_missing_is_odd_only_where_the_window_is_over():
    fitted = small(steps=200).fit(windows([[0, 1, 2, 3, 4, 5]] * 60), context())
    cut = replace(windows([[0, 1, 2], [0, 1, 2]]), closed_by=np.array([1, 5], np.uint8))
    over, bounded = fitted.score(cut).window
    assert over > 2 * bounded


@pytest.mark.parametrize(("b", "s"), [(1, 3), (2, 12), (1024, 9), (3, LONGEST)])
def test_the_graphs_equal_torch_at_any_batch_and_length(b: int, s: int):
    with training.seeded(3):
        model = deep.FusedEncoder(HIDDEN + 1, TYPE, 16, 2, LONGEST)
    with torch.no_grad():
        model.centre += 0.3
    weights, draw = training.weights_of(model), np.random.default_rng(b)
    x = draw.normal(size=(b, s, HIDDEN + 1)).astype(np.float32)
    table = draw.normal(size=(7, TYPE)).astype(np.float32)
    targets, lengths = draw.integers(0, 8, (b, s)), draw.integers(1, s + 1, b)
    with torch.no_grad():
        after = model.foretold(torch.from_numpy(x), torch.from_numpy(table))
        restored, far = model.restored(torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(table))
        chosen = [-p.gather(2, torch.from_numpy(targets).unsqueeze(2)).squeeze(2).numpy() for p in (after, restored)]
    feed = {"x": x, "table": table, "targets": targets}
    found = runtime.session(deep.foretold(weights, LONGEST)).run(None, feed)[0]
    assert np.abs(found - chosen[0]).max() < 1e-5
    found, distance = runtime.session(deep.restored(weights, LONGEST)).run(None, {**feed, "lengths": lengths})
    real = np.arange(s) < lengths[:, None]
    assert np.abs(found - chosen[1])[real].max() < 1e-5
    assert np.abs(distance - far.numpy()).max() < 1e-5
