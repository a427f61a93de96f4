"""From what was collected to what is drawn."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from oddlog.pipeline.judging.overview import Overview, ViewScores
from oddlog.reports import figures
from oddlog.reports.wording import number_name
from oddlog.types import SCORES, Templates

MINUTE = 60_000_000
TEMPLATES = Templates(
    ("answered <*> in <*>, <*>",),
    np.zeros(1, np.uint8),
    np.ones(1, np.int64),
    np.array([0xAB], np.uint64),
    np.zeros(1, np.uint32),
    np.zeros((1, 4), np.float32),
)
START = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000


def overview(rates, numbers=(), views=()) -> Overview:
    return Overview(
        MINUTE,
        pl.DataFrame(
            rates,
            schema={"interval": pl.Int64, "service": pl.String, "lines": pl.Int64, "errors": pl.Int64, "odd": pl.Int64},
            orient="row",
        ),
        pl.DataFrame(
            list(numbers),
            schema={"interval": pl.Int64, "name": pl.String, "service": pl.String, "mean": pl.Float64, "n": pl.Int64},
            orient="row",
        ),
        tuple(views),
        pl.DataFrame(),
        0,
        0,
        (),
        {},
    )


def test_a_line_with_a_broken_clock_does_not_stretch_the_chart():
    day = [(START + i * MINUTE, "a", 10, 0, 0) for i in range(1440)]
    far = (START - 20 * 365 * 1440 * MINUTE, "a", 3, 0, 0)
    drawn = figures.domain(overview([far, *day]))
    assert (drawn.low, drawn.outside) == (START, 3)
    assert figures.domain(overview(day)) == figures.Domain(START, START + 1440 * MINUTE)
    assert figures.domain(overview([])) is None


def test_one_moment_is_a_minute_wide():
    assert figures.domain(overview([(START, "a", 1, 0, 0)])) == figures.Domain(START, START + MINUTE)


def test_odd_windows_are_counted_by_weekday_and_hour():
    times = [datetime(2026, 3, 2, 0, 5, tzinfo=UTC), datetime(2026, 3, 8, 23, 59, tzinfo=UTC), None]
    rows = [{"start": time, "is_anomaly": True} for time in [*times, times[1]]]
    rows.append({"start": times[0], "is_anomaly": False})
    counts = figures.hours_and_weekdays(pl.DataFrame(rows, schema=SCORES))
    assert (counts[0, 0], counts[6, 23], counts.sum()) == (1, 2, 3)
    assert figures.hours_and_weekdays(pl.DataFrame(schema=SCORES)).sum() == 0


def test_no_bar_of_the_distribution_lies_on_both_sides_of_the_threshold():
    score = np.array([0.0, 0.5, 1.99, 2.0, 2.01, 7.0], np.float32)
    svg = figures.distribution(ViewScores("sessions", "sessions", 2.0, score, 2))
    bars = re.findall(r'<rect[^>]*class="bar( odd)?"[^>]*><title>score ([\d.]+) to ([\d.]+): (\d+)', svg)
    assert sum(int(n) for *_, n in bars) == len(score)
    assert all((float(low) >= 2.0) == bool(odd) for odd, low, _, _ in bars)
    assert "threshold 2.00, 2 above it" in svg
    assert figures.distribution(ViewScores("a", "b", 2.0, np.empty(0, np.float32), 0)) is None


def test_negative_scores_and_a_threshold_of_nothing_are_drawn():
    assert figures.distribution(ViewScores("a", "b", 0.0, np.array([0.0], np.float32), 0)) is not None
    assert figures.distribution(ViewScores("a", "b", -1.0, np.array([-3.0, 2.0], np.float32), 1)) is not None


def test_a_service_whose_errors_slow_another_is_found_with_its_lag():
    draw = np.random.default_rng(0)
    n = 600
    lines = draw.poisson(30, n)
    errors = draw.poisson(3, n)
    latency = np.full(n, np.nan)
    latency[2:] = np.log1p(100 * lines[:-2])
    rates = [(START + i * MINUTE, "web", int(lines[i]), 0, 0) for i in range(n)]
    rates += [(START + i * MINUTE, "db", int(errors[i]), int(errors[i]), 0) for i in range(n)]
    numbers = [(START + i * MINUTE, "ms", "db", float(latency[i]), 4) for i in range(2, n)]
    told = overview(sorted(rates), numbers)
    step, found = figures.correlations(told, figures.domain(told), TEMPLATES)
    assert step == MINUTE
    assert [(one.service, one.other, one.lag_us, one.n) for one in found] == [("web", "ms of db", 2 * MINUTE, n - 2)]
    assert found[0].r > 0.95


def test_services_are_told_with_most_lines_first():
    rates = [(START, "b", 5, 1, 0), (START, "a", 5, 0, 2), (START + 59 * MINUTE, "c", 9, 9, 0)]
    told = overview(rates)
    rows = figures.services(told, figures.domain(told))
    assert [(one.name, one.lines, one.errors, one.odd) for one in rows] == [
        ("c", 9, 9, 0),
        ("a", 5, 0, 2),
        ("b", 5, 1, 0),
    ]
    assert (rows[0].trend.sum(), rows[0].trend[-1], len(rows[0].trend)) == (9, 9, 60)


@pytest.mark.parametrize("span", [timedelta(seconds=5), timedelta(hours=9), timedelta(days=40), timedelta(days=9_000)])
def test_a_chart_has_a_bounded_number_of_bars(span: timedelta):
    low = START // MINUTE * MINUTE
    high = low + int(span.total_seconds()) * 1_000_000
    step = figures.step_for(high - low, figures.COLUMNS, MINUTE)
    assert step % MINUTE == 0
    assert (high - low) / step <= figures.COLUMNS


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("duration_ms", "duration_ms"),
        ("00000000000000ab:1", "“answered <*> in <#>, <*>”"),
        ("00000000000000ab:0", "“answered <#> in <*>, <*>”"),
        ("00000000000000ab:9", "“answered <*> in <*>, <*>”"),
        ("00000000000000cd:1", "00000000000000cd:1"),
    ],
)
def test_a_number_of_a_message_is_called_by_its_place_in_it(name: str, called: str):
    assert number_name(name, TEMPLATES) == called
