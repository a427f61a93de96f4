"""Which network a site keeps: not one that looks better by chance, and not one it has no threshold for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

from oddlog.federated.choosing import Judged, clearly_better
from oddlog.federated.pooling import ALIKE, GRID, Pool
from small_federation import local_of


def judged(seed, gain, n=200):
    """Return a network whose scores of corrupted twins are higher than of usual windows by `gain` deviations."""
    draw = np.random.default_rng(seed)
    return Judged(draw.normal(size=n), np.ones(n), [(draw.normal(gain, 1, n), np.arange(n)) for _ in range(3)])


def test_a_difference_within_chance_is_none_and_a_large_one_is():
    by_chance = sum(clearly_better(judged(seed, 1.0), judged(seed + 100, 1.0)) for seed in range(40))
    assert by_chance <= 3
    assert all(clearly_better(judged(seed, 2.5), judged(seed + 100, 0.5)) for seed in range(10))


def test_the_margin_is_asked_for_beyond_chance():
    one, other = judged(0, 2.0), judged(1, 0.5)
    gain = one.utility() - other.utility()
    assert clearly_better(one, other)
    assert not clearly_better(one, other, margin=gain - 1e-3)


def test_a_network_without_windows_to_judge_by_is_never_better():
    nothing = Judged(np.empty(0), np.empty(0), [])
    assert nothing.utility() == 0.5
    assert not clearly_better(nothing, nothing)


def candidates(local):
    untrained = local.vector
    trained = local.trained(untrained, 300, seed=1)
    return {"common": (untrained, local.moments), "local": (trained, local.moments)}


def test_who_goes_by_the_thresholds_of_all_keeps_the_network_that_these_are_of():
    local = local_of(0)
    found = candidates(local)
    kept, utility = local.chosen(found)
    assert (kept, utility["local"] > utility["common"] + 0.02) == ("local", True)
    local.pool = Pool(np.ones(GRID), closeness=1.0, own=60.0)
    assert local.pool.decides()
    assert local.chosen(found)[0] == "common"
    local.pool = replace(local.pool, closeness=ALIKE - 0.01)
    assert local.chosen(found)[0] == "local"


def test_the_first_is_kept_where_both_are_alike():
    local = local_of(0)
    common, _ = candidates(local).values()
    assert local.chosen({"local": common, "common": common}, 0.0)[0] == "local"


@pytest.mark.parametrize(("said", "alike"), [("yes", True), ("no", False), ("auto", True)])
def test_a_plan_may_say_whether_sites_are_of_one_system(said, alike):
    local = local_of(0)
    sums = 2 * local.sums()  # the other sites have the same words
    assert local.alike(sums, said) == alike
    local.set_pool(np.ones(GRID), sums, said)
    assert local.pool.decides() == alike
