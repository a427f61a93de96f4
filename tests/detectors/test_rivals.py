"""detectors/deeplog.py and the other rivals that PyTorch trains, as they stand and as their papers have them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.detectors import create
from oddlog.detectors.histories import histories
from oddlog.testing import check_detector, context, usual_windows, windows, with_durations
from oddlog.types import Context, Detector, Number

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

SMALL: dict[str, dict[str, Any]] = {
    "deeplog": {"width": 16, "rate": 1e-2},
}
"""Options of small networks, trained for long enough to tell planted windows from usual ones."""
every = pytest.mark.parametrize("name", SMALL)
paper = pytest.mark.parametrize("paper", [False, True], ids=["ours", "paper"])


def rival(name: str, **more: Any) -> Detector:
    return create(name, 5, **{"steps": 60, "batch": 32, **SMALL[name], **more})


@every
@paper
def test_a_rival_keeps_the_contract(name: str, paper: bool):
    check_detector(lambda: rival(name, paper=paper))


sequences = st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=6)


@given(sequences, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_histories_are_those_of_the_slow_twin(given: list[list[int]], most: int):
    expected: Counter[tuple[tuple[int, ...], int]] = Counter()
    for weight, one in enumerate(given, 1):
        for i in range(1, len(one)):
            expected[tuple(one[max(0, i - most) : i]), one[i]] += weight
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in given])]).astype(np.int64)
    token = np.array([token for one in given for token in one], np.int64)
    found = histories(token, offsets, np.arange(1, len(given) + 1, dtype=np.float64), most)
    rows = zip(found.token.tolist(), found.length.tolist(), found.target.tolist(), found.weight.tolist(), strict=True)
    assert {(tuple(t[:n]), after): weight for t, n, after, weight in rows} == dict(expected)
    assert found.target[found.place].tolist() == token[found.event].tolist()


@pytest.mark.parametrize("name", ["deeplog"])
def test_above_one_none_of_the_g_likeliest_came(name: str):
    fitted = rival(name, paper=True, g=1, steps=200).fit(windows([[0, 1, 2, 3, 4, 5]] * 60), context())
    usual, odd, unseen, lone = fitted.score(windows([[0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5], [0, 9], [0]])).window
    assert usual == 1 < odd <= unseen
    assert np.isnan(lone)  # nothing stands before its only event
    # the literal form has no end: a window that was cut off looks usual
    assert fitted.score(windows([[0, 1, 2]])).window[0] == 1
    assert (
        rival(name, steps=200)
        .fit(windows([[0, 1, 2, 3, 4, 5]] * 60), context())
        .score(windows([[0, 1, 2], [0, 1, 2, 3, 4, 5]]))
        .window.argmax()
        == 0
    )


@paper
def test_deeplog_finds_a_number_out_of_range(paper: bool):
    numbered = Context(context().templates, (Number("duration_ms", "ms", "log"),))
    fitted = rival("deeplog", paper=paper).fit(with_durations(usual_windows()), numbered)
    usual = with_durations(windows([[0, 1, 2, 4]]))
    slow = replace(usual, numbers=usual.numbers * np.array([[1], [1], [500], [1]], np.float32))
    before, after = fitted.score(usual), fitted.score(slow)
    assert after.window[0] > max(before.window[0], 1)
    assert np.nanargmax(after.event) == 2
