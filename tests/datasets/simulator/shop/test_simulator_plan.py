from __future__ import annotations

import numpy as np
import pytest

from oddlog.datasets.simulator.shop.plan import MINUTE_US, Period, Plan
from oddlog.datasets.simulator.shop.scenarios import BY_NAME, SCENARIOS
from oddlog.datasets.simulator.tables import times


def said(*time_us):
    return [text[:19] for text in times(np.array(time_us))]


def test_by_default_one_learns_from_monday_morning_to_tuesday_morning_and_looks_at_the_day():
    plan = Plan.of(60_000, 1.5)
    assert said(plan.train.start_us, plan.train.end_us) == ["2026-03-02T06:00:00", "2026-03-03T09:00:00"]
    assert said(plan.today.start_us, plan.today.end_us) == ["2026-03-03T09:00:00", "2026-03-03T18:00:00"]
    assert said(*plan.attack) == ["2026-03-03T11:42:00", "2026-03-03T11:52:00"]
    assert said(*plan.storm) == ["2026-03-03T13:58:30", "2026-03-03T14:13:30"]


def test_the_storm_stands_between_two_deployments_of_payments_and_other_deployments_are_harmless():
    today = Plan.of(60_000, 1.5).today
    assert [(d.service, d.version, d.harmless) for d in today.deployments] == [
        ("cart", "4.4.1", True),
        ("payments", "3.8.0", False),
        ("payments", "3.7.2", False),
        ("mailer", "1.6.3", True),
    ]
    assert all(d.harmless for d in Plan.of(60_000, 1.5).train.deployments)


@pytest.mark.parametrize("days", [0.25, 1.0, 30.0])
def test_the_incidents_fit_into_today_and_do_not_overlap(days):
    plan = Plan.of(60_000, days)
    assert plan.today.start_us < plan.attack[0] < plan.attack[1] <= plan.storm[0] - 90_000_000
    assert plan.storm[1] + 60_000_000 < plan.today.end_us


def test_the_rhythm_follows_the_hours_and_a_burst_is_three_times_as_busy():
    noon = 12 * 60 * MINUTE_US
    calm = Period("train", noon, 60, 1_000, (), (), ())
    burst = Period("train", noon, 60, 1_000, (10,), (), ())
    assert calm.rhythm[0] == 96 * 60
    assert calm.rhythm[30] == (96 + 90) * 30
    assert (burst.rhythm[10:22] == 3 * calm.rhythm[10:22]).all()
    assert (burst.rhythm[22:] == calm.rhythm[22:]).all()


def test_scenarios_are_drawn_by_their_weight_and_rare_ones_often_enough():
    starts = Plan.of(60_000, 1.5).train.starts(40_000, at_least=3)
    assert sum(starts[s.name] * s.mean_lines for s in SCENARIOS) == pytest.approx(40_000, rel=0.01)
    assert starts["search"] / starts["view cart"] == pytest.approx(1150 / 420, rel=0.02)
    assert min(Plan.of(20_000, 1.5).train.starts(1_000, at_least=3).values()) == 3


def test_the_mean_number_of_lines_counts_steps_that_repeat_are_left_out_or_replaced():
    # request 1, TLS .3, someone 1 (either or), listing 1, thumbnails 1 to 9, compressed .2, answer 1
    assert BY_NAME["listing with missing thumbnails"].mean_lines == pytest.approx(9.5)
