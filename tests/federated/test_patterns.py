"""Usual windows of all sites at each of them, which the server cannot read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("sklearn", reason="extra 'train'")

from oddlog import detectors, testing
from oddlog.detectors.standard import Standard
from oddlog.features.counts import counts
from oddlog.federated.patterns import DETECTORS, LEAST_LINES, Patterns, Rows, fitted_together, pseudonyms
from oddlog.types import U64, Windows

SECRET, OTHER = b"s" * 32, b"o" * 32
K = 6


def context(order):
    """The same types at every site, at other rows."""
    made = testing.context(K)
    key = np.arange(100, 100 + K, dtype=np.uint64)
    row = np.argsort(order).astype(np.uint32)
    return replace(made, templates=replace(made.templates, key=key, row=row, count=np.full(K, 500)))


def windows(order, seed):
    """Windows of types in the common order, as they stand at a site's own rows."""
    draw = np.random.default_rng(seed)
    row = np.argsort(order)
    found = [row[draw.integers(0, K - 1, draw.integers(2, 9))].tolist() for _ in range(120)]
    return testing.windows(found, draw.integers(1, 5, 120).astype(float))


ORDERS = ([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4], [2, 4, 0, 5, 1, 3])


def at_the_first(order, of_it):
    """Windows of a site at the rows of the first one."""
    return replace(of_it, template=np.asarray(order, np.uint32)[of_it.template])


@pytest.fixture
def sites():
    return [(context(order), windows(order, seed)) for seed, order in enumerate(ORDERS)]


def test_what_a_site_computes_of_sealed_windows_is_what_one_place_would_to_a_billionth(sites):
    boxes = {
        f"site{i}": Patterns.of_windows(own, of_it, SECRET).sealed(SECRET, "fed", f"site{i}")
        for i, (of_it, own) in enumerate(sites)
    }
    others = {name: Patterns.unsealed(box, SECRET, "fed", name) for name, box in boxes.items() if name != "site0"}
    first, own = sites[0]
    central = Windows.concat([at_the_first(order, of_it[1]) for order, of_it in zip(ORDERS, sites, strict=True)])
    together = fitted_together(own, first, others, SECRET, 0)
    assert sorted(together) == sorted(DETECTORS)
    asked = at_the_first(ORDERS[1], windows(ORDERS[1], 99))
    for name in ("snn", "ocsvm", "new-event"):
        alone = detectors.create(name, 0).fit(central, first)
        np.testing.assert_allclose(together[name].score(asked).window, alone.score(asked).window, rtol=1e-9, atol=1e-9)
    union = Windows.concat([own, *(others[name].windows(Rows(first, SECRET)) for name in sorted(others))])
    for one, other in zip(moments(union), moments(central), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def moments(of_it):
    """Document frequencies, spreads and standardisation: what members that read counts know of all windows."""
    found = counts(of_it, K)
    dense = found.dense()
    order = np.lexsort(dense.T)
    standard = Standard.fit(found.columns, dense, found.weight)
    held = dense > 0
    return held.sum(0), dense[order], found.weight[order], *standard.arrays().values()


def test_two_windows_are_compared_by_what_the_other_sites_know(sites):
    first, own = sites[0]
    strange = replace(own, template=np.full(len(own.template), 5, np.uint32))  # a type that the first site never saw
    there = Patterns.of_windows(strange, first, SECRET)
    alone, both = (fitted_together(own, first, others, SECRET, 0)["snn"] for others in ({}, {"site1": there}))
    assert alone.score(strange).window.min() > 1
    assert both.score(strange).window.max() == 0


def test_types_of_fewer_than_twenty_lines_do_not_leave_a_site(sites):
    first, own = sites[0]
    count = np.full(K, LEAST_LINES)
    count[2] = LEAST_LINES - 1
    rare = replace(first, templates=replace(first.templates, count=count))
    found = Patterns.of_windows(own, rare, SECRET)
    assert 2 not in found.of
    assert pseudonyms(np.array([102], np.uint64), SECRET).tobytes() not in [one.tobytes() for one in found.name]
    holds = np.array([2 in own.template[a:b] for a, b in zip(own.offsets[:-1], own.offsets[1:], strict=True)])
    assert found.left_out == own.weight[holds].sum()
    assert found.weight.sum() == own.weight[~holds].sum()


def test_a_type_that_a_site_has_not_is_unseen_there(sites):
    first, own = sites[0]
    key: U64 = first.templates.key + np.uint64(1_000)
    elsewhere = replace(first, templates=replace(first.templates, key=key))
    found, rows = Patterns.of_windows(own, first, SECRET), Rows(elsewhere, SECRET)
    seen = found.windows(rows)
    assert min(seen.template) == K
    assert rows.elsewhere == len(set(own.template.tolist()))
    np.testing.assert_array_equal(found.windows(rows).template, seen.template)  # of a third site: the same rows
    assert rows.elsewhere == len(set(own.template.tolist()))


def test_new_event_counts_in_how_many_windows_of_all_sites_each_type_of_this_one_stands(sites):
    """One site lacks a type that the others have: to it that is new, of all others it says what one place would."""
    first, own = sites[0]
    lacking = np.array([4 not in own.template[a:b] for a, b in zip(own.offsets[:-1], own.offsets[1:], strict=True)])
    own = own.take(lacking)
    t = first.templates
    kept = np.array([0, 1, 2, 3, 5])
    row = np.zeros(len(kept), np.uint32)
    row[:] = np.arange(len(kept))
    here = replace(t, text=tuple(t.text[i] for i in kept), level=t.level[kept], count=t.count[kept])
    here = replace(here, key=t.key[kept], row=row, embedding=t.embedding[kept])
    context_here = replace(first, templates=here)
    moved = np.array([0, 1, 2, 3, 99, 4], np.uint32)
    others = {f"site{i}": Patterns.of_windows(of_it[1], of_it[0], SECRET) for i, of_it in enumerate(sites) if i}
    central = Windows.concat([own, *(at_the_first(ORDERS[i], sites[i][1]) for i in (1, 2))])
    alone = detectors.create("new-event", 0).fit(central, first)
    both = fitted_together(replace(own, template=moved[own.template]), context_here, others, SECRET, 0)["new-event"]
    asked = at_the_first(ORDERS[1], windows(ORDERS[1], 99))
    known = asked.template != 4
    said = both.score(replace(asked, template=moved[asked.template])).event
    np.testing.assert_allclose(said[known], alone.score(asked).event[known], rtol=1e-9)
    assert (said[~known] == both.score(testing.windows([[77]], np.ones(1))).event[0]).all()
    assert len(set(said[known].tolist())) > 1


def test_without_the_secret_nothing_is_read_and_of_another_site_or_federation_nothing_is_believed(sites):
    first, own = sites[0]
    made = Patterns.of_windows(own, first, SECRET)
    box = made.sealed(SECRET, "fed", "site0")
    assert Patterns.unsealed(box, OTHER, "fed", "site0") is None
    assert Patterns.unsealed(box, SECRET, "fed", "site1") is None
    assert Patterns.unsealed(box, SECRET, "other", "site0") is None
    assert Patterns.unsealed(box[:-1] + b"?", SECRET, "fed", "site0") is None
    assert Patterns.unsealed(box, SECRET, "fed", "site0").weight.sum() == own.weight.sum()


def test_names_and_sizes_tell_nothing_to_who_lacks_the_secret(sites):
    first, own = sites[0]
    key = first.templates.key
    assert not set(map(bytes, pseudonyms(key, SECRET))) & set(map(bytes, pseudonyms(key, OTHER)))
    few = Patterns.of_windows(own.take(np.arange(20)), first, SECRET)
    more = Patterns.of_windows(own.take(np.arange(40)), first, SECRET)
    assert len(few.sealed(SECRET, "fed", "a")) == len(more.sealed(SECRET, "fed", "a"))
