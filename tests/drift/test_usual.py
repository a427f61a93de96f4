"""What blocks of time are usually like, and how far they lie apart."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from oddlog.drift.blocks import Measured
from oddlog.drift.usual import Usual, _ordered, _trimmed

FIRST = 29_540_160  # Monday, 2 March 2026, 00:00 UTC
HOUR = 60


def lines(hours: int, seed: int, *, share: float = 0.2, n: float = 200.0, services: int = 1) -> pl.DataFrame:
    """Return counts of two types by hour, the second one a share of the lines, and a WARNING."""
    draw, rows = np.random.default_rng(seed), []
    for hour in range(hours):
        for service in range(services):
            second = int(draw.binomial(int(n), share))
            minute = FIRST + hour * HOUR + 7
            rows += [(minute, service, 0, 0, int(n) - second), (minute, service, 1, 1, second)]
    return pl.DataFrame(rows, schema=["minute", "service", "template", "gravity", "n"], orient="row")


NO_NUMBERS = pl.DataFrame(
    schema={"minute": pl.Int64, "service": pl.Int64, "field": pl.String, "n": pl.Int64, "asinh": pl.Float64}
)


def learned(hours: int, seed: int = 1, *, services: int = 1) -> Usual:
    usual = Usual.learn(lines(hours, seed, services=services), NO_NUMBERS, 2, hours / 24, (FIRST, FIRST + hours * HOUR))
    assert usual is not None
    return usual


def p_values(usual: Usual, seen: pl.DataFrame) -> dict[str, float]:
    """Return the mean p-value of each aspect of all services."""
    blocked = seen.with_columns(block=pl.col("minute") // HOUR).drop("minute")
    p = usual.p_values(Measured.of(usual.plan, blocked, NO_NUMBERS.rename({"minute": "block"}))).mean(0)
    return {aspect: float(p[x]) for x, (aspect, i) in enumerate(usual.of) if i == 0}


def test_usual_blocks_have_p_values_of_one_half_in_the_mean():
    p = p_values(learned(240), lines(400, 2))
    assert p["types"] == pytest.approx(0.5, abs=0.1)
    assert p["levels"] == pytest.approx(0.5, abs=0.1)
    assert p["unseen"] == pytest.approx(0.5)  # there are none, as in training: ties count by half


@pytest.mark.parametrize(
    ("aspect", "change"), [("types", {"share": 0.35}), ("levels", {"share": 0.35}), ("lines", {"n": 320.0})]
)
def test_blocks_that_differ_lie_further_off_than_all_of_training(aspect: str, change: dict[str, float]):
    p = p_values(learned(240), lines(48, 2, **change))
    assert p[aspect] < 0.05
    assert p["unseen"] > 0.4


def test_types_that_were_never_seen_are_told_by_their_share():
    seen = lines(24, 2).with_columns(template=pl.when(pl.col("template") == 1).then(7).otherwise("template"))
    assert p_values(learned(240), seen)["unseen"] < 0.05


def test_what_happens_in_one_fifth_of_training_only_is_unseen_in_the_others():
    seen = lines(240, 1)
    rare = pl.DataFrame([(FIRST + 100 * HOUR, 0, 2, 0, 40)], schema=seen.columns, orient="row")
    usual = Usual.learn(pl.concat([seen, rare]), NO_NUMBERS, 3, 10.0, (FIRST, FIRST + 240 * HOUR))
    assert usual is not None
    assert usual.unseen[0] == pytest.approx(40 / (240 * 200 + 40))
    assert usual.centre.types[0].max() == pytest.approx(0.8, abs=0.01)  # one block of it does not make it usual


def test_services_are_told_apart_where_there_are_several():
    assert learned(48).plan.services.tolist() == [-1]
    assert learned(48, services=3).plan.services.tolist() == [-1, 0, 1, 2]


def test_three_hours_have_blocks_of_ten_minutes_and_less_is_too_little():
    minutes = lines(180, 1).with_columns(minute=FIRST + (pl.col("minute") - FIRST) // HOUR)
    usual = Usual.learn(minutes, NO_NUMBERS, 2, 0.125, (FIRST, FIRST + 180))
    assert usual is not None
    assert (usual.plan.minutes, usual.blocks) == (10, (18,))
    assert Usual.learn(minutes, NO_NUMBERS, 2, 0.1, (FIRST, FIRST + 140)) is None


def test_how_many_lines_an_hour_has_is_known_from_two_days_on():
    assert np.isnan(p_values(learned(47), lines(24, 2))["lines"])
    assert not np.isnan(p_values(learned(48), lines(24, 2))["lines"])


def test_weekends_are_compared_with_weekends_where_there_are_both():
    assert learned(4 * 24).blocks == (96,)
    assert learned(7 * 24).blocks == (120, 48)


matrix = arrays.arrays(
    np.float64, (12, 3), elements=st.one_of(st.floats(-100, 100, allow_subnormal=False), st.just(np.nan))
)


@settings(deadline=None)
@given(values=matrix)
def test_the_trimmed_mean_is_that_of_what_lies_between(values: np.ndarray):
    found = _trimmed(np.vstack([values, np.ones((1, 3))]))
    ordered, low, high = _ordered(np.vstack([values, np.ones((1, 3))]), 0.1)
    for column in range(3):
        kept = np.sort(np.append(values[:, column], 1.0))[: (~np.isnan(values[:, column])).sum() + 1]
        skip = int(0.1 * (len(kept) - 1))
        assert (low[column], high[column]) == (skip, len(kept) - 1 - skip)
        np.testing.assert_allclose(found[column], kept[skip : len(kept) - skip].mean(), atol=1e-9)
    assert len(ordered) == 13
