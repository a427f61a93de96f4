"""detectors/crossed.py: several networks, each blind to blocks of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddlog.detectors import create
from oddlog.detectors.crossed import interleaved
from oddlog.errors import ConfigError
from oddlog.pipeline.learning.members import fit_member
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows

pytest.importorskip("torch")
pytest.importorskip("onnx")
SMALL: dict[str, Any] = {"of": "vae", "steps": 60, "options": {"width": 16, "rate": 1e-2}}


def test_it_keeps_the_contract():
    check_detector(lambda: create("crossed", 5, **SMALL))


def test_folds_are_blocks_of_time_scattered_over_all_of_it():
    usual = usual_windows(600)
    fold = interleaved(usual, 3)[np.argsort(usual.start, kind="stable")]
    assert np.bincount(fold).tolist() == [200, 200, 200]
    assert (np.flatnonzero(np.diff(fold)) % 20 == 19).all()  # thirty blocks of twenty neighbours
    assert interleaved(windows([[0]]), 3).tolist() == [0]


def test_every_window_is_scored_by_a_network_that_has_not_seen_it():
    usual, batch = usual_windows(90), usual_windows(5, seed=1)
    fitted = create("crossed", 5, **SMALL).fit(usual, context())
    fold = interleaved(usual, 3)
    blind = [create("vae", 5, steps=60, width=16, rate=1e-2).fit(usual.take(fold != i), context()) for i in range(3)]
    for i, one in enumerate(blind):
        assert np.array_equal(fitted.out_of_fold[fold == i], one.score(usual.take(fold == i)).window)
    assert np.array_equal(fitted.score(batch).window, np.mean([one.score(batch).window for one in blind], axis=0))


def test_a_member_is_calibrated_on_all_usual_windows():
    usual = usual_windows(90)
    member = fit_member("crossed", usual, np.zeros(90, np.int64), context(), SMALL)
    assert member.asked.all()
    assert member.tail.p_value(member.detector.score(planted_windows()).window).max() < 0.05


def test_types_unseen_by_the_model_are_known_by_their_texts_where_the_network_reads_them():
    fitted = create("crossed", 5, of="logsy", folds=2, steps=20).fit(usual_windows(40), context())
    told = fitted.with_texts(["kernel panic on cpu <*>", "quota exceeded"])
    assert told.score(windows([[6], [7]])).window[0] != fitted.score(windows([[6]])).window[0]
    plain = create("crossed", 5, **SMALL).fit(usual_windows(40), context())
    assert plain.with_texts(["x"]).score(windows([[6]])).window == plain.score(windows([[6]])).window


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"folds": 1}, r"takes 2 folds or more, not 1\."),
        ({"of": "snn"}, r"'snn' is no network that learns without labels\."),
        ({"of": "key-cnn"}, r"'key-cnn' is no network that learns without labels\."),
    ],
)
def test_what_cannot_be_crossed_is_said(options: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=says):
        create("crossed", **options)
