"""Vectors like the rare ones, outside what is usual, and only where they help."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="extra 'train'")
pytest.importorskip("sklearn", reason="extra 'train'")
pytest.importorskip("cryptography", reason="extra 'federated'")

from oddlog.errors import TooLittleDataError
from oddlog.federated.wgan import WAYS, Recipe, ablation, learn, more, outside

QUICK = Recipe(steps=150, rate=1e-3)


def made(n=300, d=6, seed=0):
    draw = np.random.default_rng(seed)
    usual = draw.normal(0, 1, (n, d)).astype(np.float32)
    rare = draw.normal(0, 0.3, (40, d)).astype(np.float32)
    kind = np.arange(40) % 2
    rare[:, 0] += np.where(kind == 0, 6, -6)
    return usual, rare, kind


def test_what_is_drawn_is_like_what_was_learned_from_of_each_kind():
    _, rare, kind = made()
    generator = learn(rare, kind, QUICK)
    drawn = generator.drawn(400, 1)
    assert drawn.shape == (400, 6)
    assert (np.abs(drawn[:, 0]) > 3).mean() > 0.8  # both kinds, hardly anything between them
    assert 0.3 < (drawn[:, 0] > 0).mean() < 0.7
    assert abs(generator.distances[-1]) < max(generator.distances)


def test_the_same_seed_draws_the_same():
    _, rare, kind = made()
    one, other = (learn(rare, kind, Recipe(steps=5)).drawn(20, 3) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_usual_vectors_are_not_outside_and_far_ones_are():
    usual, rare, _ = made()
    again = made(seed=9)[0]
    assert outside(again, usual).mean() < 0.1
    assert outside(rare, usual).all()


def test_only_vectors_outside_the_usual_region_are_taken():
    usual, rare, kind = made()
    drawn = more("wgan", rare, kind, usual, 50, recipe=Recipe(steps=40, rate=1e-3))
    assert outside(drawn, usual).all()
    assert len(drawn) <= 50


def test_in_the_papers_reading_what_is_drawn_is_usual():
    usual, rare, kind = made()
    drawn = more("wgan", rare, kind, usual, 100, fidelity="paper", recipe=Recipe(steps=40, rate=1e-3))
    assert np.abs(drawn.mean(0)).max() < 1.5
    assert outside(drawn, usual).mean() < 0.9


@pytest.mark.parametrize("way", ["smote", "jitter"])
def test_the_rivals_stay_near_the_rare_vectors(way):
    usual, rare, kind = made()
    found = more(way, rare[kind == 0], kind[kind == 0], usual, 100)
    assert found.shape == (100, 6)
    assert np.abs(found[:, 0] - 6).max() < 2


def test_where_nothing_is_to_be_gained_the_generator_is_not_chosen():
    usual, rare, kind = made()
    found = ablation(usual, rare, kind, n=20, repeats=2, recipe=Recipe(steps=20))
    assert set(found.gains) == set(WAYS)
    assert found.gains["none"][0] > 0.99
    assert found.chosen != "wgan"


def test_too_few_rare_vectors_are_told():
    usual, rare, kind = made()
    with pytest.raises(TooLittleDataError, match="7 rare windows are too few to compare by"):
        ablation(usual, rare[:7], kind[:7])
    with pytest.raises(TooLittleDataError, match="3 rare windows are too few to learn from"):
        learn(rare[:3], kind[:3])
