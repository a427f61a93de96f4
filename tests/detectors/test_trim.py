"""detectors/trim.py: what is probably an anomaly leaves the training windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.detectors import distance_to_share
from oddlog.detectors import trim as module
from oddlog.detectors.trim import _distance_to_share, trim
from oddlog.features.counts import counts
from oddlog.testing import context, planted_windows, usual_windows, windows
from oddlog.types import Windows


@pytest.fixture
def contaminated() -> Windows:
    """200 usual sessions, six anomalies: two kinds, each three times."""
    return Windows.concat([usual_windows(), *[planted_windows()] * 3])


def test_repeated_anomalies_are_left_out_and_usual_windows_stay(contaminated: Windows):
    keep, report = trim(contaminated, context())
    assert keep.tolist() == [True] * 200 + [False] * 6
    assert (report.windows, report.far, report.trimmed) == (206, 6, 6)
    assert (report.distinct, report.distinct_trimmed) == (10, 2)
    assert str(report) == ("6 of 206 windows (2.9%; 2 of 10 distinct) were left out of training: too unlike the others")


def test_a_few_odd_windows_are_kept_and_named():
    keep, report = trim(Windows.concat([usual_windows(1000), planted_windows()]), context())
    assert keep.all()
    assert str(report) == (
        "2 of 1,002 windows (0.2%) are unlike the others; so few may be usual, all were learned from"
    )


def test_clean_windows_lose_nothing():
    keep, report = trim(usual_windows(), context())
    assert keep.all()
    assert report.far == 0
    assert report.share == 0
    assert str(report) == "none of 200 windows is so unlike the others that it was left out of training"


def test_what_makes_up_more_than_its_share_passes_for_usual():
    keep, _ = trim(Windows.concat([usual_windows(100), *[planted_windows()] * 20]), context())
    assert keep.all()


def test_labels_overrule_the_distance(contaminated: Windows):
    labels = np.full(206, -1, np.int8)
    labels[0], labels[200:203] = 1, 0
    keep, report = trim(contaminated, context(), labels)
    assert keep.tolist() == [False] + [True] * 202 + [False] * 3
    assert report.trimmed == 4


def test_weights_count_as_repeated_windows():
    weighted = windows([[0, 1, 2, 4], [0, 1, 2, 1, 2, 4], [9, 9, 9]], weight=[100, 97, 3])
    keep, report = trim(weighted, context())
    assert keep.tolist() == [True, True, False]
    assert report.trimmed == 3


def test_varied_windows_are_not_contaminated():
    draw = np.random.default_rng(0)
    keep, _ = trim(windows([draw.integers(0, 40, 15).tolist() for _ in range(300)]), context(40))
    assert keep.mean() > 0.98


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=15), st.sampled_from([0.05, 0.3, 1.0]))
def test_distances_equal_the_definition_written_out(sequences: list[list[int]], share: float):
    found = counts(windows(sequences), 6)
    expected = distance_to_share(sequences, 6, share)
    assert _distance_to_share(found, share)[found.inverse] == pytest.approx(expected, abs=1e-4)


def test_the_order_of_windows_changes_nothing(contaminated: Windows):
    order = np.random.default_rng(0).permutation(len(contaminated))
    keep, report = trim(contaminated, context())
    shuffled, other = trim(contaminated.take(order), context())
    assert shuffled.tolist() == keep[order].tolist()
    assert other == report


def test_no_windows_lose_nothing():
    keep, report = trim(Windows.empty(), context())
    assert keep.shape == (0,)
    assert report.share == 0


def test_small_blocks_change_nothing(contaminated: Windows, monkeypatch: pytest.MonkeyPatch):
    whole = trim(contaminated, context())
    monkeypatch.setattr(module, "BLOCK", 1)
    parts = trim(contaminated, context())
    assert whole[0].tolist() == parts[0].tolist()
    assert whole[1].trimmed == parts[1].trimmed
