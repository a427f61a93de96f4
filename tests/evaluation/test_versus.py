"""A deep model stands beside the best that trains no network and saw no more labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from oddlog.evaluation.scoring import Cases
from oddlog.evaluation.versus import is_cheap, is_deep, versus_table


def result(detector: str, f1: float, auc: float = 0.5, *, labels: bool = False) -> dict[str, Any]:
    cell = {"set": "jobs", "protocol": "time", "detector": detector, "seed": 0, "recurring": "usual"}
    return {"cell": cell, "ok": True, "learned_from_labels": labels, "figures": {"f1": f1, "roc_auc": auc}}


def cases(one: dict[str, Any]) -> Cases:
    """All of 20 anomalies are found by whoever is better than .5, none by the others."""
    label = np.repeat([1, 0], [20, 80]).astype(np.int8)
    odd = (label == 1) & (one["figures"]["f1"] > 0.5)
    whole = np.arange(100)
    hashes = whole.astype(np.uint64)
    return Cases(pl.Series(map(str, whole)), whole, whole, label, whole * 1.0, odd, hashes, hashes, whole, np.ones(100))


def test_the_best_that_saw_no_more_labels_stands_beside_each_deep_one():
    every = [
        result("deeplog:steps=300", 0.4, 0.9),
        result("pca", 0.3, 0.95),
        result("snn+dae+ocsvm+new-event", 0.8, 0.99),
        result("cart", 0.9, labels=True),
    ]
    table = versus_table(every, cases)
    assert table is not None
    [row] = table.rows
    assert row == (
        "jobs, time",
        "`deeplog:steps=300`",
        "0.400",
        "0.9000",
        "`snn+dae+ocsvm+new-event`",
        "0.800",
        "0.9900",
        "+1.000 (+1.000 to +1.000)",
        "1 of 2",
        "2 of 2",
    )
    assert versus_table(every[1:], cases) is None


def test_what_is_not_installed_is_neither_a_network_nor_without_one():
    assert not is_deep("of-another-time:of=vae")
    assert not is_cheap("of-another-time:of=vae")
    assert not is_deep("default")
    assert is_cheap("default")
    assert is_deep("snn+lstm")
