"""Usual scores of all sites, counted; whose tail a site's threshold comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

from hypothesis import given, settings
from hypothesis import strategies as st

import small_federation
from oddlog.calibration import Tail
from oddlog.features.text import embed
from oddlog.federated.flower import FlowerLink, packed
from oddlog.federated.pooling import ALIKE, GRID, RULE, Pool, closeness, counted, tail_of
from oddlog.federated.server import Federation, Plan
from oddlog.federated.wire import Note
from oddlog.pipeline.learning.members import Calibrated
from small_federation import Sites

PLAN = {"rounds": 2, "steps": 30}


@pytest.fixture(autouse=True)
def one_system(monkeypatch):
    monkeypatch.setattr(small_federation, "TEXTS", small_federation.TEXTS[:1])


def run(sites, **plan):
    made = Federation(FlowerLink(sites.grid, clock=lambda: sites.now, sleep=lambda _s: None), Plan(**{**PLAN, **plan}))
    return made, made.run()


def test_the_rule_is_the_one_that_is_written_down():
    assert (RULE, ALIKE) == (2, 0.65)
    every = np.full(GRID, 10.0)
    assert Pool(every, 0.65, 2_499).decides(0.001)
    assert not Pool(every, 0.65, 2_500).decides(0.001)  # holds 1 in 1,000 by itself
    assert not Pool(every, 0.64, 100).decides(0.001)  # another system
    assert not Pool(np.eye(1, GRID)[0] * 50, 1.0, 50).decides(0.001)  # nobody else


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1e-3, 1e4), min_size=40, max_size=200), st.integers(2, 5))
def test_the_tail_of_summed_counts_is_that_of_all_scores_but_for_the_width_of_a_step(scores, sites):
    values = np.array(scores)
    parts = np.array_split(values, sites)
    pooled = tail_of(sum(counted(part, np.ones(len(part))) for part in parts))
    alone = tail_of(counted(values, np.ones(len(values))))
    assert pooled.quantile(0.001) == alone.quantile(0.001)
    exact = Tail.fit(values)
    for rate in (0.5, 0.2):
        assert pooled.quantile(rate) == pytest.approx(exact.quantile(rate), rel=0.15, abs=1e-2)


def test_a_step_of_the_grid_is_under_one_percent_wide_and_nothing_falls_out_of_it():
    values = np.geomspace(1e-2, 9e4, 500)
    for value in values:
        tail = tail_of(counted(np.array([value]), np.ones(1)))
        assert tail.knot[-1] == pytest.approx(value, rel=0.01)
    assert counted(np.array([-1e9, 0.0, 1e9, np.nan]), np.array([1.0, 2.0, 3.0, 4.0])).sum() == 6


def test_noise_below_nothing_counts_as_nothing():
    count = counted(np.linspace(1, 2, 100), np.ones(100))
    assert tail_of(count - (count == 0) * 5).quantile(0.01) == tail_of(count).quantile(0.01)


def test_a_site_is_compared_with_the_others_and_not_with_itself():
    own, others = np.array([9.0, 1.0, 0.0]), np.array([0.0, 0.0, 5.0])
    assert closeness(own, own + others) < 0.01
    assert closeness(own, own + 3 * own) == pytest.approx(1.0)


def test_summed_securely_the_counts_are_those_in_clear_and_every_site_gets_them(sites):
    _, history = run(sites)
    other = Sites(signed=True)
    run(other, mode="secagg")
    for name, site in sites.sites.items():
        pool = site.local.pool
        assert pool.n_usual == pytest.approx(
            sum(one.local.held.weight.sum() + one.local.judged.weight.sum() for one in sites.sites.values())
        )
        np.testing.assert_allclose(other.sites[name].local.pool.count, pool.count, atol=1e-3)
        assert isinstance(site.local.for_fit, Calibrated)
    assert set(history[-1].kept.values()) == {"common"}


def test_counts_that_are_none_are_left_out_by_name(sites):
    def fate(name, kind, answer):
        if name == "site0" and kind == "query.calibrate":
            answer.content = packed(Note({}, {"count": np.full(GRID, -1.0)}), answer).content
        return answer

    sites.fate = fate
    _, history = run(sites)
    assert history[-1].dropped == {"site0": "counts that are none"}
    others = sum(sites.sites[name].local.pool.own for name in ("site1", "site2"))
    assert sites.sites["site0"].local.pool.n_usual == pytest.approx(others)


def test_where_too_few_sites_count_each_goes_by_its_own(five):
    five.fate = lambda name, kind, answer: None if kind == "query.calibrate" and name != "site0" else answer
    _, history = run(five, mode="secagg")
    assert history[-1].failed.startswith("own thresholds everywhere")
    assert all(site.local.pool is None for site in five.sites.values())
    assert set(history[-1].kept) == set(five.sites)


def test_a_site_of_another_system_keeps_what_is_best_for_itself_and_its_own_thresholds(sites):
    stranger = sites.sites["site2"].local
    words = ("kernel panic", "torus link", "ciod socket", "ddr parity", "rts halted", "mmcs poll")
    templates = replace(stranger.context.templates, text=words, embedding=embed(words))
    stranger.context = replace(stranger.context, templates=templates)
    made, history = run(sites)
    assert not stranger.alike(made.everyone)
    assert sites.sites["site0"].local.alike(made.everyone)
    assert set(history[-1].utility) >= {"site2/common", "site2/local", "site0/common"}
    assert "site0/local" not in history[-1].utility
    assert history[-1].kept["site0"] == "common"
    best = max(("common", "local"), key=lambda name: history[-1].utility[f"site2/{name}"])
    assert history[-1].kept["site2"] == best
    assert stranger.pool is None or not stranger.pool.decides()
