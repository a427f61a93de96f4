"""What windows speak of, whatever the types are called."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="extra 'train'")

from oddlog import testing
from oddlog.detectors.spoken import FEATURES, SpokenAutoencoder
from oddlog.features.text import embed

OTHER_WORDS = ("begin", "write a block", "block is written", "write again", "end of it", "unused words")


def context_of(texts):
    made = testing.context(len(texts))
    return replace(made, templates=replace(made.templates, text=tuple(texts), embedding=embed(texts)))


def test_it_keeps_the_contract():
    testing.check_detector(partial(SpokenAutoencoder, steps=300))


def test_no_weight_is_sized_by_the_types():
    made = []
    for k in (6, 60):
        made.append(SpokenAutoencoder())
        made[-1].prepare(testing.usual_windows(50), testing.context(k))
    one, other = (m.get_weights() for m in made)
    assert {name: w.shape for name, w in one.items()} == {name: w.shape for name, w in other.items()}
    np.testing.assert_array_equal(one["w0"], other["w0"])
    assert one["w0"].shape[0] == FEATURES


def test_training_goes_on_from_the_weights_that_are_set_to_the_same_bits():
    usual, made = testing.usual_windows(100), [SpokenAutoencoder(), SpokenAutoencoder()]
    for one in made:
        one.prepare(usual, context_of(OTHER_WORDS))
    made[0].train(usual, 30, 1)
    made[1].train(usual, 30, 2)
    made[1].set_weights(made[0].get_weights())
    for one in made:
        one.train(usual, 30, 3)
    np.testing.assert_array_equal(made[0].get_weights()["w1"], made[1].get_weights()["w1"])


def test_in_a_federation_later_rounds_move_the_weights_by_less_however_many_rounds_there_will_be():
    usual, moved = testing.usual_windows(100), []
    for before in (0, 300, 3_000):
        made = SpokenAutoencoder()
        made.prepare(usual, context_of(OTHER_WORDS))
        begun = made.get_weights()["w1"]
        made.train(usual, 20, 1, taken=(before, 300))
        moved.append(float(np.abs(made.get_weights()["w1"] - begun).mean()))
    assert moved[0] > 1.5 * moved[1] > 3 * moved[2] > 0


def test_summed_moments_standardise_like_those_of_all_windows_together():
    usual, made = testing.usual_windows(100), SpokenAutoencoder()
    made.prepare(usual, context_of(OTHER_WORDS))
    whole = made.get_sums()
    parts = []
    for index in (np.arange(40), np.arange(40, 100)):
        part = SpokenAutoencoder()
        part.prepare(usual.take(index), context_of(OTHER_WORDS))
        parts.append(part.get_sums())
    np.testing.assert_allclose(sum(parts), whole)


def test_a_lost_event_is_found_among_types_that_were_told_apart_by_their_words():
    made = SpokenAutoencoder(steps=800).fit(testing.usual_windows(200), context_of(OTHER_WORDS))
    usual, odd = testing.usual_windows(40, seed=1), testing.windows([[0, 1, 2, 1, 4], [0, 1, 2], [0, 0, 1, 2, 4]])
    assert made.score(odd).window.min() > np.quantile(made.score(usual).window, 0.9)


def test_a_type_new_to_the_site_is_usual_where_its_text_says_what_the_network_knows():
    made = SpokenAutoencoder(steps=800).fit(testing.usual_windows(200), context_of(OTHER_WORDS))
    usual = testing.windows([[0, 1, 2, 4]] * 3)
    renamed = testing.windows([[0, 1, 6, 4]] * 3)  # row 6 is behind the six types of the model
    alike, unlike = made.with_texts([OTHER_WORDS[2]]), made.with_texts(["kernel panic: not syncing"])
    np.testing.assert_allclose(alike.score(renamed).window, made.score(usual).window, rtol=1e-6)
    assert unlike.score(renamed).window[0] > 5 * alike.score(renamed).window[0]
    assert made.score(renamed).window[0] > 5 * alike.score(renamed).window[0]
    assert alike.score(renamed).event.shape == (12,)


def test_what_is_told_of_unseen_types_is_no_part_of_the_model():
    made = SpokenAutoencoder(steps=50).fit(testing.usual_windows(60), context_of(OTHER_WORDS))
    told = made.with_texts(["kernel panic"]).with_texts(["disk full", "disk gone"])
    assert made.state().arrays.keys() == told.state().arrays.keys()
    for name, array in made.state().arrays.items():
        np.testing.assert_array_equal(array, told.state().arrays[name])
