"""What would have fired, by service, day and budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oddlog
from made_incidents import incident
from oddlog.errors import InputError
from oddlog.pipeline.judging.backtesting import backtest, fired
from oddlog.pipeline.live.budget import DAY_US, Budget

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR_US = DAY_US // 24


def test_a_quiet_day_is_told_whole_and_a_storm_only_by_what_is_worst():
    budget = Budget(3)
    quiet = [budget.lets(f"q{i}", 4.0, i * HOUR_US) for i in range(3)]
    storm = [budget.lets(f"s{i}", 4.0, 3 * HOUR_US + i) for i in range(50)]
    assert (quiet, storm) == ([True] * 3, [False] * 50)
    assert budget.lets("worst", 40.0, 4 * HOUR_US)
    assert budget.held == 50


def test_the_next_day_has_room_again_but_what_a_week_is_full_of_stays_below_the_bar():
    budget = Budget(2)
    for day in range(8):
        for i in range(40):
            budget.lets(f"{day}.{i}", 1.0 + i / 100, day * DAY_US + i)
    assert budget.bar > 1.3
    assert not budget.lets("faint", 1.0, 9 * DAY_US)
    assert budget.lets("clear", 5.0, 9 * DAY_US)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 40)), max_size=60), st.integers(1, 5))
def test_what_is_among_the_worst_of_its_day_is_told_and_nothing_else(found: list[tuple[float, int]], per_day: int):
    budget, at, told = Budget(per_day), 0, []
    for i, (severity, hours) in enumerate(found):
        at += hours * HOUR_US
        as_pressing = [one for when, one in told if at - when < DAY_US and one >= severity]
        is_told = budget.lets(str(i), severity, at)
        assert is_told == (len(as_pressing) < per_day and severity >= budget.bar)
        if is_told:
            told.append((at, severity))


def test_trifles_of_the_morning_hide_nothing_grave_of_the_day():
    budget = Budget(3)
    severities = (3.9, 3.9, 65.7, 4.0, 12.0, 56.0, 3.9, 5.0)  # by a grave one already told 56 was held back once
    told = [budget.lets(str(i), one, i * HOUR_US) for i, one in enumerate(severities)]
    assert told == [True, True, True, True, True, True, False, False]


def test_it_goes_on_from_its_state():
    one, other = Budget(2), Budget(2)
    for i in range(9):
        one.lets(str(i), float(i), i)
    other.restore(one.state())
    assert [one.lets(f"n{i}", i, 100 + i) for i in range(20)] == [other.lets(f"n{i}", i, 100 + i) for i in range(20)]


def test_incidents_are_asked_in_the_order_of_their_beginnings():
    many = [incident(f"{i}", severity=5.0, start=START + timedelta(hours=9 - i)) for i in range(9)]
    assert [one.incident.id for one in fired(many, Budget(2)) if one.told] == ["8", "7"]


def test_the_backtest_of_the_shop_tells_its_lost_orders_on_their_day(quick_shop: oddlog.Model, odd_log: Path):
    found = backtest(quick_shop, odd_log, budget=1.0)
    assert {name: dict(days) for name, days in found.by_service_and_day().items()} == {
        "shop.ship": {"2026-03-03": (1, 1)}
    }
    told = {one.per_day: (one.told, one.held) for one in found.budgets}
    assert set(told) == {1.0, 2.0, 5.0, 10.0, 20.0, 50.0}
    assert told[1.0] == (1, 0)
    thresholds = [one.thresholds["sessions"] for one in found.budgets]
    assert thresholds == sorted(thresholds, reverse=True)
    assert [one.odd["sessions"] for one in found.budgets] == sorted(one.odd["sessions"] for one in found.budgets)
    assert found.budgets[0].odd["sessions"] >= 3


def test_times_without_a_line_are_said(quick_shop: oddlog.Model, odd_log: Path):
    with pytest.raises(InputError, match=r"None of the [\d,]+ lines lies between"):
        backtest(quick_shop, odd_log, since="2030-01-01")


@pytest.fixture(scope="module")
def quick_shop(small_log: Path) -> oddlog.Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])
