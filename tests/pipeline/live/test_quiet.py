"""Sources that say nothing for longer than they ever did, or whose lines come late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from made_incidents import incident
from oddlog.feedback import Mark
from oddlog.pipeline.judging.since_deploy import after_deploy
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.quiet import Quiet
from oddlog.types import TIME, LiveIncident, State

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(now_s: float) -> datetime:
    return START + timedelta(seconds=now_s)


def us(now_s: float) -> int:
    return round(at(now_s).timestamp() * 1e6)


def of(quiet: Quiet, now_s: float) -> list[tuple[str, str]]:
    return [(one.change, one.incident.key) for one in quiet.changed(now_s, at(now_s))]


def talking(sources: list[str], until_s: int, step_s: int = 60) -> Quiet:
    """Return what has seen sources bring a line every so often."""
    quiet = Quiet("m")
    for now_s in range(0, until_s, step_s):
        quiet.arrived(sources, float(now_s))
        assert of(quiet, now_s + 1.0) == []
    return quiet


def test_a_source_is_silent_once_it_pauses_three_times_as_long_as_ever_and_over_when_it_is_back():
    quiet = talking(["web", "db"], 7_200, 120)
    for now_s in range(7_200, 7_600, 60):
        quiet.arrived(["web"], float(now_s))
        expected = [("new", "source silent: db")] if now_s == 7_440 else []
        assert of(quiet, now_s + 1.0) == expected
    quiet.arrived(["web", "db"], 7_700.0)
    assert of(quiet, 7_701.0) == [("over", "source silent: db")]
    told = quiet._sources["db"]
    assert told.longest_s == 620.0  # it was usual once: the next time it takes longer to be noticed


def test_what_is_told_says_for_how_long_and_what_is_usual():
    quiet = talking(["web", "db"], 7_200, 120)
    quiet.arrived(["web"], 7_800.0)
    (one,) = quiet.changed(7_801.0, at(7_801.0))
    assert one.incident.reasons[0].text == "nothing has arrived from db for 12 min, usual are at most 2 min"
    assert (one.incident.urgency, one.incident.start) == ("notice", at(7_080.0))


def test_that_nothing_arrives_from_anybody_is_one_incident():
    quiet = talking(["web", "db", "pay"], 7_200)
    assert of(quiet, 7_600.0) == [("new", "source silent: every source")]
    (kept,) = quiet._told.values()
    assert kept.incident.urgency == "alert"
    quiet.arrived(["web", "db", "pay"], 7_700.0)
    assert of(quiet, 7_701.0) == [("over", "source silent: every source")]


def test_a_source_that_is_hardly_known_may_be_silent():
    quiet = talking(["web"], 7_200)
    quiet.arrived(["job"], 7_200.0)
    for now_s in range(7_260, 20_000, 60):
        quiet.arrived(["web"], float(now_s))
        assert of(quiet, now_s + 1.0) == []


def test_lines_that_come_late_are_lag_and_no_silence():
    quiet = Quiet("m")
    told = []
    for now_s in range(0, 10_800, 60):
        lag = 900.0 if now_s >= 7_200 else 5.0
        quiet.arrived(["web", "db"], float(now_s))
        times = pl.Series("time", [us(now_s), us(now_s - lag)]).cast(TIME)
        quiet.add(pl.DataFrame({"source": ["web", "db"], "time": times}), us(now_s))
        told += quiet.changed(now_s + 1.0, at(now_s))
    (one,) = told
    assert one.incident.key == "source late: db"
    assert one.incident.reasons[0].text.startswith("lines of db arrive ")


def test_it_goes_on_in_another_process_with_another_clock():
    quiet = talking(["web", "db"], 7_200)
    other = Quiet("m")
    other.restore(unpacked(packed(State(meta=quiet.state()))).meta)
    other.arrived(["web"], 50.0)
    assert of(other, 51.0) == []
    other.arrived(["web"], 400.0)
    assert of(other, 401.0) == [("new", "source silent: db")]


def test_an_incident_says_how_long_after_a_deployment_it_began():
    mark = Mark("shop.pay", "3.8.0", START)
    live = LiveIncident(incident("a", start=START + timedelta(minutes=12)), "new", provisional=False)
    assert after_deploy(live, [mark]).incident.notes == ("12 min after deploy shop.pay 3.8.0",)
    assert after_deploy(live, [Mark("shop.web", "1", START)]) == live
    assert after_deploy(live, [Mark("shop.pay", "1", START - timedelta(days=3))]) == live
