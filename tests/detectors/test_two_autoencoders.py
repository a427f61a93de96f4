"""detectors/two_autoencoders.py: a forest between two networks says what the second one learns from."""

from __future__ import annotations

import sys
from math import erf
from typing import Any

import numpy as np
import pytest

from oddlog.detectors import DEFAULT, create, deep, two_autoencoders
from oddlog.detectors.two_autoencoders import TwoAutoencoders
from oddlog.errors import MissingExtraError
from oddlog.features.counts import counts
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import Windows

denoising = pytest.importorskip("oddlog.detectors.deep.denoising")
real = denoising.train


def quick(**more: Any) -> TwoAutoencoders:
    return TwoAutoencoders(**{"steps": 150, "seed": 5, **more})


@pytest.fixture(scope="module")
def fitted() -> TwoAutoencoders:
    return quick().fit(usual_windows(), context())


@pytest.mark.parametrize("paper", [False, True])
def test_it_keeps_the_contract(paper: bool):
    check_detector(lambda: quick(paper=paper))


def test_it_votes_only_where_it_is_named():
    assert create("two-autoencoders", seed=9).seed == 9
    assert "two-autoencoders" not in DEFAULT


def layers(weights: dict[str, Any], x: Any, first: int) -> Any:
    """Run the first layers as the formula stands."""
    gelu = np.vectorize(lambda value: value / 2 * (1 + erf(value / 2**0.5)))
    for i in range(first):
        x = x @ weights[f"w{i}"].astype(np.float64) + weights[f"b{i}"]
        x = gelu(x) if i < len(weights) // 2 - 1 else x
    return x


def test_scores_are_the_error_of_the_second_network(fitted: TwoAutoencoders):
    batch = Windows.concat([usual_windows(20, seed=1), planted_windows()])
    found = counts(batch, 6, columns=fitted._standard.columns)
    x = fitted._standard.of(found.dense())
    error = layers(fitted._second, x, 4) - x
    scores = fitted.score(batch)
    assert scores.window == pytest.approx(np.sqrt((error**2).sum(1))[found.inverse], rel=1e-4)
    first = batch.lengths[0]
    column = fitted._standard.columns.of(batch.template[:first])
    assert scores.event[:first] == pytest.approx(np.abs(error[found.inverse[0], column]), rel=1e-3, abs=1e-4)


def test_as_in_the_paper_the_second_network_restores_the_code_of_the_first():
    fitted, batch = quick(paper=True).fit(usual_windows(), context()), usual_windows(20, seed=1)
    found = counts(batch, 6, columns=fitted._standard.columns)
    code = layers(fitted._first, fitted._standard.of(found.dense()), 2)
    scaled = (code - fitted._scale[0]) / fitted._scale[1]
    error = layers(fitted._second, scaled, 4) - scaled
    scores = fitted.score(batch)
    assert scores.window == pytest.approx(np.sqrt((error**2).sum(1))[found.inverse], rel=1e-3)
    assert np.isnan(scores.event).all()


def test_the_second_network_is_not_shown_what_the_forest_sets_apart(monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []

    def told(x: Any, weight: Any, recipe: Any) -> Any:
        seen.append(float((weight**2).sum()))
        return real(x, weight, recipe)

    monkeypatch.setattr(denoising, "train", told)
    odd = windows([[0, *[3] * 40, 5]] * 4)
    quick(steps=60, left_out=0.05).fit(Windows.concat([usual_windows(96), odd]), context())
    assert seen[0] == pytest.approx(100)
    assert 95 <= seen[1] <= 96.0001  # the four, and no more than one in twenty
    seen.clear()
    quick(steps=2, left_out=0.0).fit(usual_windows(50), context())
    assert seen == pytest.approx([50, 50])


def test_rows_to_learn_from_are_bounded(monkeypatch: pytest.MonkeyPatch):
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(two_autoencoders, "MAX_ROWS", 3)
    monkeypatch.setattr(denoising, "train", lambda x, weight, recipe: shapes.append(x.shape) or real(x, weight, recipe))
    quick(steps=2, left_out=0.0).fit(usual_windows(), context())
    assert shapes == [(3, 7), (3, 7)]


def test_fitted_anew_it_forgets_what_it_was(fitted: TwoAutoencoders):
    again = quick().fit(windows([[5, 5, 5]] * 20), context())
    again.score(usual_windows(3))
    again.fit(usual_windows(), context())
    batch = usual_windows(20, seed=1)
    assert np.array_equal(again.score(batch).window, fitted.score(batch).window)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "oddlog.detectors.deep.denoising", None)
    monkeypatch.delattr(deep, "denoising")
    with pytest.raises(MissingExtraError, match=r"two autoencoders needs the extra 'train'.*pip install"):
        quick().fit(usual_windows(), context())
