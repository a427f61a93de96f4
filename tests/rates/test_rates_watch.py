"""What is odd is found, and what only looks so is not: two weeks of usual traffic, then days with something in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from made_rates import ANSWERED, DAY, FAILED, LOGGED_IN, MONDAY, QUERY, REPORT, More, Silent, Slower, counts, traffic
from oddlog.rates import Watch, rate_of
from oddlog.rates.concentrations import ALL_FAILED
from oddlog.rates.counting import BUCKET

TWO_WEEKS = 14 * DAY
NEXT = MONDAY + TWO_WEEKS  # a Monday
NOON = NEXT + 720


def deployments(first: int, days: int, seed: int) -> Iterator[More]:
    """Yield a burst of three times the usual queries for ten minutes, once a day at some hour of work."""
    draw = np.random.default_rng(seed)
    for day in range(days):
        yield More(QUERY, first + day * DAY + int(draw.integers(8 * 60, 18 * 60)), 10, 8.0)


@pytest.fixture(scope="module")
def watch() -> Watch:
    """What two usual weeks taught, with a burst of queries a day and a report a week."""
    return Watch.learn(counts(traffic(MONDAY, TWO_WEEKS, 1, *deployments(MONDAY, 14, 2))), rate_of(0.5))


def odd(
    watch: Watch, *changes: More | Silent | Slower, first: int = NEXT, days: float = 1, seed: int = 7
) -> pl.DataFrame:
    """Return what is odd in a day with some changes, with what it is of."""
    records = traffic(first, round(days * DAY), seed, *changes)
    found = watch.judge(counts(records, watch.series)).filter("is_odd")
    return found.join(watch.series.frame(), left_on="subject", right_on="series", how="left")


def test_two_weeks_tell_the_hours_of_the_week_apart(watch: Watch):
    assert watch.season.grain == "week"
    assert watch.votes == ("z-score", "silence", "ramp", "mean", "error-share", "concentration")


def test_usual_days_raise_less_than_one_alarm_a_day(watch: Watch):
    found = odd(watch, *deployments(NEXT, 7, 3), days=7)
    episodes = found.sort("minute").select((pl.col("minute").diff().fill_null(1_000) > 30).sum()).item()
    assert episodes <= 3


def test_a_spike_is_found_in_its_minutes_and_with_its_numbers(watch: Watch):
    found = odd(watch, More(ANSWERED, NOON, 6, 60.0)).filter(
        (pl.col("member") == "z-score") & (pl.col("kind") == "template")
    )
    assert found["template"].unique().to_list() == [ANSWERED]
    assert NOON <= found["minute"].min() <= NOON + 1
    assert found["minute"].max() <= NOON + 6 + BUCKET
    top = found.sort("seen").row(-1, named=True)
    assert top["span"] == 10
    assert 340 < top["seen"] < 440  # 6 × 60 and ten usual minutes
    assert 50 < top["usual"] < 65


def test_a_report_at_its_usual_hour_of_the_week_is_not_odd_but_at_another_it_is(watch: Watch):
    sunday = NEXT + 6 * DAY
    kept = odd(watch, first=sunday).filter(pl.col("template") == REPORT)
    assert not len(kept)
    moved = odd(watch, More(REPORT, NOON, 20, 30.0)).filter(pl.col("template") == REPORT)
    assert set(moved["member"]) == {"z-score"}


def test_a_burst_like_those_of_training_is_not_odd_but_a_larger_one_is(watch: Watch):
    assert not len(odd(watch, More(QUERY, NOON + 60, 10, 8.0)).filter(pl.col("template") == QUERY))
    assert len(odd(watch, More(QUERY, NOON + 60, 10, 60.0)).filter(pl.col("template") == QUERY))


def test_a_silent_service_is_found_from_its_last_line_on(watch: Watch):
    found = odd(watch, Silent("auth", NOON, 40)).filter(pl.col("member") == "silence")
    assert set(found["service"]) == {"auth", ""}  # the service, and its only host
    row = found.filter(pl.col("kind") == "lines").row(0, named=True)
    assert (row["minute"] - row["span"] + 1, row["seen"]) == pytest.approx((NOON, 40), abs=4)
    assert row["usual"] > 30


def test_a_service_that_is_quiet_at_night_is_not_silent(watch: Watch):
    night = Silent("auth", NEXT + 180, 12)
    assert not len(odd(watch, night).filter(pl.col("member") == "silence"))


def test_a_service_without_a_line_in_the_whole_input_is_not_called_silent(watch: Watch):
    records = traffic(NEXT, DAY, 7).filter(pl.col("service") != "auth")
    found = watch.judge(counts(records, watch.series)).filter("is_odd")
    assert "silence" not in set(found["member"])


def test_a_latency_that_climbs_for_six_hours_is_a_ramp(watch: Watch):
    found = odd(watch, Slower(NEXT + 540, 360, 3.0)).filter(pl.col("member") == "ramp")
    assert set(found["name"]) == {"duration_ms"}
    assert {"api", "db"} == set(found["service"])
    top = found.sort("score").row(-1, named=True)
    assert NEXT + 780 <= top["minute"] <= NEXT + 930
    assert top["seen"] > 1.5 * top["usual"]


def test_a_latency_that_jumps_is_out_of_range_and_no_ramp(watch: Watch):
    records = traffic(NEXT, DAY, 7)
    then = pl.col("time").to_physical() // 60_000_000
    slow = pl.when(then.is_between(NOON, NOON + 20)).then(pl.col("n.duration_ms") * 4).otherwise("n.duration_ms")
    records = records.with_columns(slow.cast(pl.Float32).alias("n.duration_ms"))
    found = watch.judge(counts(records, watch.series)).filter("is_odd")
    assert set(found["member"]) == {"mean"}
    assert found["minute"].min() >= NOON
    top = found.sort("score").row(-1, named=True)
    assert top["seen"] / top["usual"] == pytest.approx(4, rel=0.35)


def test_one_address_with_most_failures_is_a_concentration(watch: Watch):
    found = odd(watch, More(FAILED, NOON, 10, 20.0, "203.0.113.9")).filter(pl.col("member") == "concentration")
    assert {FAILED, ALL_FAILED} <= set(found["subject"])
    assert found["minute"].min() == NOON + BUCKET - 1
    top = found.filter(pl.col("subject") == FAILED).row(0, named=True)
    assert 160 < top["seen"] < 240


def test_as_many_failures_of_many_addresses_are_none(watch: Watch):
    found = odd(watch, More(FAILED, NOON, 10, 20.0))
    assert "concentration" not in set(found["member"])
    assert {"z-score", "error-share"} <= set(found["member"])


def test_more_traffic_does_not_raise_the_share_of_errors(watch: Watch):
    found = odd(watch, More(FAILED, NOON, 30, 1.5), More(LOGGED_IN, NOON, 30, 15.0))
    assert "error-share" not in set(found["member"])
    assert "z-score" in set(found["member"])


def test_incidents_of_the_training_time_do_not_hide_later_ones():
    storms = [More(FAILED, MONDAY + day * DAY + 700 + 90 * day, 25, 20.0) for day in (2, 5, 9, 11)]
    silences = [Silent("auth", MONDAY + 3 * DAY + 840, 45)]
    taught = Watch.learn(counts(traffic(MONDAY, TWO_WEEKS, 1, *storms, *silences)), rate_of(0.5))
    assert taught.odd_hours["z-score"] >= 4
    found = odd(taught, More(FAILED, NOON, 25, 20.0), Silent("auth", NOON + 300, 45))
    assert {"z-score", "error-share", "silence"} <= set(found["member"])


@pytest.mark.parametrize(("hours", "start"), [(4, 120), (4, 480), (12, 0), (30, 600)])
def test_a_short_training_time_does_not_make_a_flood_of_the_next_day(hours: int, start: int):
    first = MONDAY + start
    taught = Watch.learn(counts(traffic(first, hours * 60, 1)), rate_of(0.5))
    assert taught.season.grain == "none"
    assert "moving-average" in taught.votes
    found = odd(taught, first=first + hours * 60, days=2)
    episodes = found.sort("minute").select((pl.col("minute").diff().fill_null(1_000) > 30).sum()).item()
    assert episodes <= 2


def test_without_a_season_a_storm_is_found_by_the_two_hours_before():
    taught = Watch.learn(counts(traffic(MONDAY + 420, 1_500, 1)), rate_of(0.5))
    found = odd(taught, More(FAILED, MONDAY + DAY + 1_200, 10, 30.0), first=MONDAY + DAY + 600, days=0.5)
    assert {"moving-average"} <= set(found["member"])
    assert found.filter(pl.col("member") == "moving-average")["minute"].min() == pytest.approx(
        MONDAY + DAY + 1_200, abs=2
    )


def test_a_watch_that_was_saved_judges_alike(watch: Watch):
    again = Watch.from_states(watch.states())
    records = counts(traffic(NEXT, DAY, 7, More(FAILED, NOON, 10, 20.0, "203.0.113.9")), watch.series)
    one, other = watch.judge(records), again.judge(records)
    assert one.drop("score", "surprise", "usual").equals(other.drop("score", "surprise", "usual"))
    np.testing.assert_allclose(one["score"], other["score"], rtol=1e-5)


def test_judging_nothing_and_less_than_a_minute_finds_nothing(watch: Watch):
    for records in (traffic(NEXT, DAY, 7).clear(), traffic(NOON, 1, 7), traffic(NOON, 12, 7)):
        assert not watch.judge(counts(records, watch.series))["is_odd"].any()
