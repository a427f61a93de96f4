from __future__ import annotations

import numpy as np
import pytest

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, START_US, Span
from oddlog.datasets.simulator.datacentre.rhythm import Rhythm

DAY = 24 * 60


def test_all_starts_of_some_minutes_are_those_of_their_parts():
    rhythm = Rhythm(3 * DAY, 50_000)
    for name in ("track a parcel", "scan a parcel"):
        parts = [rhythm.starts(name, first, first + 7) for first in range(0, 3 * DAY, 7) if first + 7 <= 3 * DAY]
        assert sum(parts) == rhythm.starts(name, 0, 7 * len(parts))
        assert rhythm.starts(name, 0, 3 * DAY) > 500


def test_sundays_are_calm_and_scanners_nearly_rest():
    rhythm = Rhythm(7 * DAY, 500_000)
    people, machines = (
        [rhythm.starts(n, d * DAY, (d + 1) * DAY) for d in range(7)] for n in ("log in", "scan a parcel")
    )
    assert people[6] < 0.6 * people[1]
    assert machines[6] < 0.2 * machines[1]


def test_a_burst_is_three_times_as_busy():
    calm, burst = Rhythm(DAY, 10_000), Rhythm(DAY, 10_000, bursts=(600,))
    assert (burst.weights("people", 600, 612) == 3 * calm.weights("people", 600, 612)).all()
    assert (burst.weights("people", 612, 700) == calm.weights("people", 612, 700)).all()


def test_the_time_until_so_many_requests_is_short_by_day_and_long_at_night():
    rhythm = Rhythm(2 * DAY, 100_000)
    noon, night = (
        rhythm.span_of(("log in",), START_US + minute * MINUTE_US, 20, 8, 200) for minute in (12 * 60, 26 * 60)
    )
    assert rhythm.starts("log in", 12 * 60, (noon.end_us - START_US) // MINUTE_US) >= 20
    assert noon.end_us - noon.start_us < night.end_us - night.start_us == 200 * MINUTE_US


def test_half_of_what_happens_has_happened_in_the_afternoon():
    rhythm = Rhythm(DAY, 10_000)
    assert 13 * 60 < rhythm.at(500, 0, DAY) < 16 * 60
    assert rhythm.at(0, 100, DAY) == 100


def test_people_are_busiest_in_the_evening():
    load = Rhythm(DAY, 10_000).load(START_US + np.arange(24) * 60 * MINUTE_US)
    assert load.argmax() == 19
    assert load.min() < 0.1 * load.max()
    assert load.max() <= 1_000


@pytest.mark.parametrize(("time", "value"), [(-5, 16), (0, 16), (30, 48), (60, 80), (90, 80)])
def test_between_follows_a_straight_line_and_stays_at_its_ends(time, value):
    span = Span(0, 60_000_000)
    assert span.between(16, 80, np.array([time * 1_000_000])).tolist() == [value]


def test_spans_touch_where_they_share_a_moment():
    span = Span(10, 20)
    assert span.touches(19, 30)
    assert not span.touches(20, 30)
    assert span.holds(np.array([9, 10, 19, 20])).tolist() == [False, True, True, False]
