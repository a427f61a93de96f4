"""Networks merged layer by layer: what holds of any merge, and against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("flwr", reason="extra 'federated'")

from oddlog.federated.flower import FlowerLink, note_of, packed
from oddlog.federated.layers import KEPT, LARGEST, RIDGE, Layers, names_of
from oddlog.federated.layout import Layout
from oddlog.federated.plan import FIRST_LENGTH, TIMES_LAST, Plan
from oddlog.federated.server import Federation
from oddlog.federated.wire import Note
from small_federation import Sites

LAYOUT = Layout.of({"w0": np.zeros((3, 4)), "b0": np.zeros(4), "w1": np.zeros((4, 2)), "b1": np.zeros(2)})
LAYERS = Layers(LAYOUT, (("w0", "b0"), ("w1", "b1")))


def site(seed, inputs=(3, 4)):
    """Return what a site sends: second moments of 20 random inputs and a 1, and a random update."""
    draw = np.random.default_rng(seed)
    rows = [np.c_[draw.normal(size=(20, i)), np.ones(20)] for i in inputs]
    return LAYERS.packed([row.T @ row / 20 for row in rows]), draw.normal(size=LAYOUT.size).astype(np.float32)


def merged(sites, weight):
    each = list(zip(weight, sites, strict=True))
    return LAYERS.merged(
        sum(w * moments.astype(np.float64) for w, (moments, _) in each),
        sum(w * LAYERS.product(moments, update) for w, (moments, update) in each),
        sum(weight),
    )


def slowly(sites, weight):
    """Return the same from the definition, matrix by matrix."""
    found = {}
    for at, (name, bias) in enumerate(LAYERS.names):
        left = right = 0
        for w, (second, update) in zip(weight, sites, strict=True):
            moments = LAYERS._whole(second)[at]
            moments = KEPT * moments + (1 - KEPT) * np.diag(np.diag(moments)) + RIDGE * np.eye(len(moments))
            delta = LAYOUT.weights(update)
            left = left + w * moments
            right = right + w * moments @ np.vstack([delta[name], delta[bias]])
        both = np.linalg.inv(left) @ right
        found[name], found[bias] = both[:-1], both[-1]
    return LAYOUT.vector(found)


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=4), st.integers(0, 99))
def test_the_merge_is_what_its_definition_says(weight, seed):
    sites = [site(seed + i) for i in range(len(weight))]
    np.testing.assert_allclose(merged(sites, weight), slowly(sites, weight), atol=1e-4)


def test_one_site_alone_or_sites_of_one_mind_get_what_they_sent():
    moments, update = site(1)
    np.testing.assert_allclose(merged([(moments, update)], [0.3]), update, atol=1e-4)
    others = [(site(i)[0], update) for i in (2, 3)]
    np.testing.assert_allclose(merged(others, [0.3, 0.7]), update, atol=1e-4)


def test_sites_with_the_same_inputs_get_their_weighted_mean():
    moments, one = site(1)
    other = site(2)[1]
    np.testing.assert_allclose(
        merged([(moments, one), (moments, other)], [0.25, 0.75]), (one + 3 * other) / 4, atol=1e-4
    )


def test_what_one_site_alone_has_as_input_is_not_outvoted_by_nine_that_never_saw_it():
    rare, common = np.diag([1.0, 0.0, 0.0, 0.0]), np.diag([0.0, 1.0, 1.0, 1.0])
    rest = np.zeros((5, 5))
    knows = LAYOUT.vector({**LAYOUT.weights(np.zeros(LAYOUT.size)), "w0": np.ones((3, 4))})
    others = [(LAYERS.packed([common, rest]), np.zeros(LAYOUT.size, np.float32))] * 9
    found = LAYOUT.weights(merged([(LAYERS.packed([rare, rest]), knows), *others], [0.1] * 10))
    assert found["w0"][0].min() > 0.9  # the mean would have .1
    assert found["w0"][1:].max() < 0.1


@pytest.mark.parametrize(
    "moments",
    [
        np.full(LAYERS.size, np.nan, np.float32),
        np.ones(LAYERS.size - 1, np.float32),
        np.ones(LAYERS.size, np.int64),
        -site(1)[0],
        LAYERS.packed([np.array([[1.0, 9, 0, 0], [9, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), np.eye(5)]),
    ],
    ids=["no numbers", "too few", "whole numbers", "negative", "more alike than the same"],
)
def test_second_moments_that_are_none_are_not_believed(moments):
    assert LAYERS.believed(moments) is None


def test_moments_are_believed_up_to_a_size_and_no_site_has_a_louder_voice_by_larger_ones():
    moments, _ = site(1)
    np.testing.assert_array_equal(LAYERS.believed(moments), moments)
    loud = LAYERS.believed((1e6 * moments).astype(np.float32))
    assert loud.max() == pytest.approx(LARGEST, rel=1e-5)
    np.testing.assert_allclose(loud / loud.max(), moments / moments.max(), rtol=1e-4)


def test_layers_that_are_not_the_whole_network_or_do_not_fit_are_none():
    assert Layers.of(LAYOUT, [["w0", "b0"]]) is None
    assert Layers.of(LAYOUT, [["w0", "b1"], ["w1", "b0"]]) is None
    assert Layers.of(LAYOUT, []) is None
    assert names_of(object()) == []


def test_what_goes_into_the_layers_of_spoken_is_what_its_windows_are():
    torch = pytest.importorskip("torch", reason="extra 'train'")
    from oddlog.detectors.deep import denoising  # noqa: PLC0415 - of the extra

    draw = np.random.default_rng(0)
    x, weight = draw.normal(size=(30, 6)).astype(np.float32), draw.uniform(1, 2, 30)
    recipe = denoising.Recipe((5, 4), 0, 1e-3, 1e-3, 0.0, 8, 0)
    weights = denoising.initial(6, recipe)
    found = denoising.inputs(x, weight, weights, 0.0, 0)
    assert [one.shape for one in found] == [(7, 7), (6, 6), (5, 5)]
    hidden = torch.nn.functional.gelu(torch.from_numpy(x @ weights["w0"] + weights["b0"])).numpy()
    for rows, moments in ((x, found[0]), (hidden, found[1])):
        both = np.c_[rows, np.ones(30)]
        np.testing.assert_allclose(moments, (both * (weight / weight.sum())[:, None]).T @ both, atol=1e-5)


def federation(sites, folder=None, **plan):
    link = FlowerLink(sites.grid, clock=lambda: sites.now, sleep=lambda _s: None)
    return Federation(link, Plan(**{"rounds": 3, "steps": 30, **plan}), folder)


def test_secure_sums_merge_layers_as_visible_ones_do_also_with_a_site_gone():
    gone = Sites(5, layered=True), Sites(5, layered=True)
    for sites in gone:
        sites.fate = lambda name, kind, answer: None if (name, kind) == ("site3", "train.learn") else answer
    visible, secure = federation(gone[0]), federation(gone[1], mode="secagg")
    seen, summed = visible.run(), secure.run()
    assert visible.layers.widths == (10,)
    np.testing.assert_allclose(secure.weights, visible.weights, atol=1e-4)
    assert seen[1].length == pytest.approx(summed[1].length, rel=1e-4)
    assert list(summed[1].dropped) == ["site3"]


def test_merged_layers_are_another_network_than_the_mean_and_a_better_one():
    layers, mean = federation(Sites(layered=True)), federation(Sites(layered=True), rule="mean", extrapolate=False)
    utility = [np.mean(list(made.run()[3].utility.values())) for made in (layers, mean)]
    assert not np.allclose(layers.weights, mean.weights)
    assert utility[0] > utility[1] - 0.01


def test_a_network_that_cannot_tell_its_inputs_and_one_with_noise_are_merged_by_the_mean():
    for sites, plan in ((Sites(), {}), (Sites(layered=True), {"rule": "mean"})):
        made = federation(sites, **plan)
        made.run()
        assert made.layers is None


def test_an_update_without_second_moments_is_refused_by_name_and_the_round_goes_on():
    sites = Sites(layered=True)

    def fate(name, kind, answer):
        if (name, kind) != ("site1", "train.learn"):
            return answer
        note = note_of(answer)
        answer.content = packed(Note(note.facts, {"update": note.arrays["update"]}), answer).content
        return answer

    sites.fate = fate
    history = federation(sites).run()
    assert history[1].dropped == {"site1": "second moments that are none"}
    assert set(history[1].counted) == {"site0", "site2"}


@pytest.mark.parametrize("plan", [{}, {"mode": "secagg"}, {"bits": 8}])
def test_a_server_that_goes_on_merges_to_the_same_bits(tmp_path, plan):
    whole = federation(Sites(layered=True), **plan)
    whole.run()
    sites = Sites(layered=True)
    federation(sites, tmp_path, **{**plan, "rounds": 2}).run()
    later = federation(sites, tmp_path, **plan)
    later.run()
    np.testing.assert_array_equal(later.weights, whole.weights)


def test_how_long_an_update_may_be_is_told_before_each_round_and_follows_what_updates_were():
    sites = Sites(layered=True)
    history = federation(sites).run()
    told = [note_of(asked).facts["norm"] for _, asked, _ in sites.sent if asked.metadata.message_type == "train.learn"]
    assert told[::3] == pytest.approx(
        [FIRST_LENGTH * np.sqrt(90), TIMES_LAST * history[1].length, TIMES_LAST * history[2].length]
    )
    fixed = Plan(norm=4.0, decay=300)
    assert [fixed.allowed(90, history[:n]) for n in (1, 2, 4)] == pytest.approx([4.0, 3.0, 2.0])


@pytest.mark.parametrize("rule", ["layers", "mean"])
def test_an_update_turned_round_is_refused_by_name_however_short_it_is(rule):
    sites = Sites(5, layered=True)

    def fate(name, kind, answer):
        if (name, kind) != ("site2", "train.learn"):
            return answer
        note = note_of(answer)
        turned = {**note.arrays, "update": -note.arrays["update"]}
        answer.content = packed(Note(note.facts, turned), answer).content
        return answer

    sites.fate = fate
    history = federation(sites, rule=rule).run()
    assert [one.dropped for one in history[1:4]] == [{"site2": "update against the others'"}] * 3
    assert set(history[1].counted) == {"site0", "site1", "site3", "site4"}
