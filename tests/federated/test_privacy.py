"""Differential privacy: how much noise, and that nothing is told without it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("opacus", reason="extra 'federated'")
pytest.importorskip("torch", reason="extra 'train'")

import torch
from opacus.grad_sample import GradSampleModule

import small_federation
from oddlog import testing
from oddlog.detectors.deep import denoising, private
from oddlog.detectors.spoken import SpokenAutoencoder
from oddlog.errors import ConfigError
from oddlog.federated.flower import FlowerLink
from oddlog.federated.local import Local
from oddlog.federated.pooling import COARSE, GRID, blurred, counted, tail_of, without_noise
from oddlog.federated.privacy import Privacy, Veil, least_noise, spent
from oddlog.federated.secagg.site import RefusedError
from oddlog.federated.server import Federation, FederationError, Plan
from oddlog.federated.wire import Note
from small_federation import Sites, local_of

PROMISE = Privacy(8.0, 1e-5, 60, 0.3)
HIDDEN = {"weigh": "data", "epsilon": 8.0}


@pytest.fixture(autouse=True)
def one_system(monkeypatch):
    monkeypatch.setattr(small_federation, "TEXTS", small_federation.TEXTS[:1])


def spoken_sites(n=3, **options):
    made = Sites(n, **options)
    for i, site in enumerate(made.sites.values()):
        fake = local_of(i)
        windows = testing.usual_windows(200, seed=10 + i)
        site.make = lambda windows=windows, fake=fake: Local.of_windows(windows, fake.context, "spoken")
    return made


def run(sites, **plan):
    link = FlowerLink(sites.grid, clock=lambda: sites.now, sleep=lambda _s: None)
    made = Federation(link, Plan(**{"rounds": 2, "steps": 5, **plan}))
    return made, made.run()


def test_one_sum_costs_what_the_gaussian_mechanism_is_known_to_cost():
    # Mironov 2017, table II: Rényi divergence alpha / (2 sigma²); its best order gives an upper bound of the exact cost
    assert 4.0 < spent([(1.0, 1.0, 1)], 1e-5) < 5.3
    assert spent([(2.0, 1.0, 4)], 1e-5) == pytest.approx(spent([(1.0, 1.0, 1)], 1e-5), rel=0.01)
    assert spent([], 1e-5) == 0


@pytest.mark.parametrize("epsilon", [8.0, 1.0])
@pytest.mark.parametrize("windows", [40, 3_000])
def test_all_that_is_sent_of_a_window_costs_no_more_than_was_promised(epsilon, windows):
    promise = Privacy(epsilon, 1e-5, 60, 0.3)
    noise, rate = promise.of_training(windows)
    cost = spent([(promise.of_histogram, 1.0, 1), (noise, rate, 60)], 1e-5)
    assert 0.9 * epsilon < cost <= epsilon
    assert 0.9 * epsilon < spent([(promise.of_scores, 1.0, 1)], 1e-5) <= epsilon


def test_more_noise_for_less_epsilon_and_words_where_none_is_enough():
    assert Privacy(1.0, 1e-5, 60, 0.3).of_scores > Privacy(8.0, 1e-5, 60, 0.3).of_scores
    with pytest.raises(ConfigError, match="No noise makes so many steps"):
        least_noise(1e-12, 1e-5, lambda noise: [(noise, 1.0, 10**9)])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"epsilon": -1.0}, "promises nothing"),
        ({"epsilon": 8.0, "delta": 2.0}, "is no chance"),
        ({"epsilon": 8.0, "clip": 0.0}, "cannot be cut"),
        ({"epsilon": 8.0, "weigh": "quality"}, "'weigh: quality' no noise hides"),
        ({"epsilon": 8.0, "tune_steps": 10}, "'tune_steps: 10' no noise hides"),
    ],
)
def test_a_plan_that_promises_nothing_is_refused_in_words(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Plan(**{"weigh": "data", **wrong}).checked()


def test_gradients_are_those_of_opacus_and_each_is_cut_to_one_length():
    recipe = denoising.Recipe((6, 3, 6), 1, 1e-3, 1e-3, 0.1, 8, 0)
    begin = denoising.initial(5, recipe)
    clean = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32))
    noisy = clean + 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Opacus' hooks, of PyTorch
        model = GradSampleModule(denoising.network(begin), loss_reduction="sum")
        ((model(noisy) - clean) ** 2).mean(1).sum().backward()
    each = [p.grad_sample.flatten(1) for p in model.parameters()]
    expected = torch.cat(each, 1).norm(dim=1)
    weights = {name: torch.from_numpy(value).requires_grad_() for name, value in begin.items()}
    summed, length = private.clipped_sum(weights, noisy, clean, 0.2)
    torch.testing.assert_close(length, expected)
    share = (0.2 / expected).clamp(max=1)
    for i, layer in enumerate(m for m in model._module if isinstance(m, torch.nn.Linear)):
        torch.testing.assert_close(summed[f"w{i}"], (layer.weight.grad_sample * share[:, None, None]).sum(0).T)
        torch.testing.assert_close(summed[f"b{i}"], (layer.bias.grad_sample * share[:, None]).sum(0))
    alone, _ = private.clipped_sum(weights, noisy[:1], clean[:1], 0.2)
    assert torch.cat([part.flatten() for part in alone.values()]).norm() <= 0.2 + 1e-6


def test_noise_is_the_same_where_the_same_is_asked_and_a_round_is_answered_once():
    veil = Veil(PROMISE, b"secret", "f")
    weights, others = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert veil.seed("update 1", weights) == veil.seed("update 1", weights)
    assert veil.seed("update 1", weights) != veil.seed("update 2", weights)
    assert Veil(PROMISE, b"another", "f").seed("update 1", weights) != veil.seed("update 1", weights)
    with pytest.raises(ConfigError, match="answered before, for other weights"):
        veil.seed("update 1", others)


def test_without_noise_private_training_learns_what_is_usual():
    windows = testing.usual_windows(300)
    made = SpokenAutoencoder(seed=0)
    made.prepare(windows, testing.context())
    made.set_sums(made.public_sums())
    before = made.score(windows).window.mean()
    made.train_privately(windows, 300, {"rate": 0.3, "clip": 10.0, "noise": 0.0, "seed": 1})
    assert made.score(windows).window.mean() < 0.3 * before


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_sites_learn_behind_noise_and_tell_no_moments_no_utility_and_no_exact_count(mode):
    sites, plain = spoken_sites(signed=True), spoken_sites(signed=True)
    made, history = run(sites, mode=mode, **HIDDEN)
    other, _ = run(plain, mode=mode, weigh="data")
    assert not made.everyone[64:].any()
    assert np.abs(made.everyone[:64] - other.everyone[:64]).max() > 0.5
    assert set(history[1].utility.values()) <= {0.5} | {v for v in history[1].utility.values() if abs(v - 0.5) < 1e-5}
    assert set(history[-1].kept.values()) == {"not told"}
    one = sites.sites["site0"].local
    assert one.pool.n_usual != plain.sites["site0"].local.pool.n_usual
    assert np.isfinite(made.weights).all()


def test_the_same_secrets_give_the_same_updates_and_others_do_not():
    one, again, other = spoken_sites(signed=True), spoken_sites(signed=True), spoken_sites(signed=True)
    for name, site in again.sites.items():
        site.identity, site.roster = one.sites[name].identity, one.sites[name].roster
    first, _ = run(one, **HIDDEN)
    federation, _ = run(other, **HIDDEN)
    assert np.abs(first.weights - federation.weights).max() > 1e-3


def test_a_server_that_forgets_what_was_promised_is_refused():
    sites = spoken_sites()
    made, _ = run(sites, **HIDDEN)
    site = next(iter(sites.sites.values()))
    facts = {**replace(made.plan, epsilon=0.0).facts(), "round": 2}
    with pytest.raises(RefusedError, match="promised another privacy"):
        site.answer("learn", Note(facts, {"weights": made.weights, "everyone": made.everyone}))


def test_a_network_that_cannot_hide_windows_is_refused_by_its_site(sites):
    with pytest.raises(FederationError, match="Nothing was learned"):
        run(sites, rounds=3, **HIDDEN)


def test_counts_with_noise_are_fewer_and_believed_only_above_it():
    scores = np.concatenate([np.full(500, 0.5), np.geomspace(0.5, 5, 40)])
    coarse = blurred(counted(scores, np.ones(540)))
    assert (coarse > 0).sum() < 10
    assert coarse.sum() == 540
    noisy = coarse.copy()
    noisy[COARSE // 2 :: COARSE] += np.random.default_rng(0).normal(0, 1, GRID // COARSE)
    believed = without_noise(noisy, 1.0)
    assert believed[coarse == 0].sum() < 20
    assert 0.5 < tail_of(believed).quantile(0.05) / tail_of(coarse).quantile(0.05) < 2
