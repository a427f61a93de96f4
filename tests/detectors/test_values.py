"""detectors/values.py: numbers out of range, and numbers that drift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.detectors.values import ParameterValues
from oddlog.errors import ConfigError
from oddlog.testing import check_detector, context, windows
from oddlog.types import Context, Number, Windows

MS = Number("duration_ms", "ms", "log")
CODE = Number("status", "", "linear")


def numbered(bags: list[list[tuple[int, float]]], *more: list[float]) -> Windows:
    """Return windows of (template, duration) pairs; `more` are further numbers by event."""
    plain = windows([[template for template, _ in bag] for bag in bags])
    columns = [[value for bag in bags for _, value in bag], *more]
    return replace(plain, numbers=np.array(columns, np.float32).T.reshape(len(plain.template), len(columns)))


def of(numbers: tuple[Number, ...] = (MS,), k: int = 4) -> Context:
    return replace(context(k), numbers=numbers)


@pytest.fixture(scope="module")
def usual() -> Windows:
    """400 requests of six lines: two types, one of them about 100 ms, the other about 5 ms, 15 % up and down."""
    draw = np.random.default_rng(0)
    ms = np.exp(draw.normal(np.log([100, 5, 100, 5, 100, 5]), 0.15, (400, 6)))
    return numbered([list(zip([0, 1, 0, 1, 0, 1], row, strict=True)) for row in ms.tolist()])


@pytest.fixture(scope="module")
def fitted(usual: Windows) -> ParameterValues:
    return ParameterValues().fit(usual, of())


def test_it_keeps_the_contract():
    check_detector(ParameterValues)


@pytest.mark.parametrize("slow", [4_200.0, 0.01])
def test_a_value_out_of_range_is_odder_than_every_usual_one(fitted: ParameterValues, usual: Windows, slow: float):
    scores = fitted.score(numbered([[(0, 100.0), (0, slow), (1, 5.0)]]))
    assert scores.window[0] > np.nanmax(fitted.score(usual).window)
    assert scores.event.argmax() == 1


def test_the_same_value_is_usual_for_one_type_and_odd_for_another(fitted: ParameterValues):
    event = fitted.score(numbered([[(0, 100.0), (1, 100.0)]])).event
    assert event[0] < 0.5
    assert event[1] > 5


def test_the_usual_range_is_the_quantiles_of_the_values(fitted: ParameterValues, usual: Windows):
    told = fitted.excursions(numbered([[(0, 100.0)], [(1, 80.0), (0, 4_200.0), (1, 5.0)], [(1, 0.5)]]))
    assert told.window.tolist() == [1, 2]
    assert told.event.tolist() == [2, 4]
    assert told.number.tolist() == [0, 0]
    assert told.value.tolist() == [4_200.0, 0.5]
    of_type = [usual.numbers[usual.template == row, 0] for row in (0, 1)]
    for at, values in enumerate(of_type):
        expected = np.quantile(values, [0.01, 0.99], method="inverted_cdf")
        assert [told.low[at], told.high[at]] == expected.tolist()


def test_many_mildly_high_values_are_found_though_none_is_out_of_range(fitted: ParameterValues, usual: Windows):
    mild = numbered([[(0, 125.0)] * 40])  # 1.5 standard deviations up, below the 99 % quantile of 141 ms
    assert len(fitted.excursions(mild).event) == 0
    assert fitted.score(mild).window[0] > 5 > np.nanmax(fitted.score(usual).window)
    told = fitted.drifts(mild)
    assert (told.window.tolist(), told.n.tolist(), told.median.tolist()) == ([0], [40], [125.0])
    assert told.usual[0] == np.quantile(usual.numbers[usual.template == 0, 0], 0.5, method="inverted_cdf")


def test_windows_that_always_differed_may_differ():
    # each request has a speed of its own, from half to twice as fast: its mean says nothing
    draw = np.random.default_rng(1)
    speed = np.exp(draw.uniform(-0.7, 0.7, 300))
    wide = numbered([[(0, ms) for ms in row] for row in (100 * speed[:, None] * np.ones((1, 8))).tolist()])
    fitted = ParameterValues().fit(wide, of())
    assert fitted.score(numbered([[(0, 160.0)] * 8])).window[0] < 1.5


def test_a_constant_number_that_changes_is_odd_and_by_more_the_more_it_changes():
    usual = numbered([[(0, 200.0), (0, 200.0)]] * 100)
    fitted = ParameterValues().fit(usual, of((CODE,)))
    event = fitted.score(numbered([[(0, 200.0), (0, 201.0), (0, 404.0)]])).event.tolist()
    assert event[0] == 0
    assert 2 < event[1] < 3 < event[2]


def test_what_many_usual_values_are_is_never_odd_however_many_were_learned_from():
    # 0, 1 or 2, a third each: the largest is no tail, and nothing about it depends on how many there were
    scores = []
    for n in (300, 400, 5_000):
        usual = numbered([[(0, float(i % 3))] for i in range(n)])
        fitted = ParameterValues().fit(usual, of((CODE,)))
        scores.append(fitted.score(numbered([[(0, 0.0)], [(0, 1.0)], [(0, 2.0)]])).window.max())
        assert fitted.score(numbered([[(0, 3.0)]])).window[0] >= np.log10(n)
    assert max(scores) - min(scores) < 0.01
    assert max(scores) < 0.5


def test_a_type_with_too_few_values_is_measured_by_the_number_of_all_types():
    usual = numbered([[(0, float(10 + i % 10))] for i in range(100)] + [[(1, 13.0)]] * 19)
    fitted = ParameterValues().fit(usual, of((CODE,)))
    event = fitted.score(numbered([[(1, 17.0), (3, 17.0), (9, 5_000.0)]])).event.tolist()
    assert event[0] == event[1] < 1.5  # types of few values and of none share a range
    assert event[2] > 5  # an unseen type too


def test_without_a_number_there_is_no_opinion(fitted: ParameterValues):
    scores = fitted.score(numbered([[(0, np.nan), (1, np.nan)], [], [(0, 100.0), (1, np.nan)]]))
    assert np.isnan(scores.window).tolist() == [True, True, False]
    assert np.isnan(scores.event).tolist() == [True, True, False, True]


def test_a_number_that_training_never_held_has_no_range():
    usual = numbered([[(0, 7.0)]] * 30, [np.nan] * 30)
    fitted = ParameterValues().fit(usual, of((CODE, MS)))
    scores = fitted.score(numbered([[(0, np.nan)], [(0, 7.0)]], [5.0, 5.0]))
    assert np.isnan(scores.window).tolist() == [True, False]


def test_logs_without_numbers_cannot_be_learned():
    with pytest.raises(ConfigError, match="hold no numbers"):
        ParameterValues().fit(windows([[0]] * 30), context(1))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=20, max_size=80), st.sampled_from([MS, CODE]))
def test_the_farther_out_the_odder(values: list[float], number: Number):
    fitted = ParameterValues().fit(numbered([[(0, v)] for v in values]), of((number,)))
    middle = float(np.quantile(values, 0.5, method="inverted_cdf"))
    for side in (1, -1):
        asked = [middle + side * far for far in (0.0, 1.0, 1e2, 1e4, 1e7, 1e9)]
        event = fitted.score(numbered([[(0, v) for v in asked]])).event
        assert (np.diff(event) >= 0).all()
        assert event[0] == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 100, width=32)), min_size=1, max_size=60), st.randoms())
def test_the_order_of_the_windows_changes_nothing(pairs: list[tuple[int, float]], shuffler: object):
    bags = [[pair] for pair in pairs]
    mixed = list(bags)
    shuffler.shuffle(mixed)
    asked = numbered([[(t, 50.0)] for t in range(4)])
    one, other = (ParameterValues().fit(numbered(b), of()).score(asked).window for b in (bags, mixed))
    assert one == pytest.approx(other, rel=1e-9)


def test_a_weight_is_as_many_equal_windows(usual: Windows):
    some = usual.take(np.arange(50))
    thrice = replace(some, weight=np.full(50, 3.0))
    asked = numbered([[(0, 140.0)], [(1, 90.0)]])
    one = ParameterValues().fit(Windows.concat([some] * 3), of()).score(asked).window
    assert ParameterValues().fit(thrice, of()).score(asked).window.tolist() == pytest.approx(one.tolist())
