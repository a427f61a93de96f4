"""Sources that say nothing for longer than they ever did, or whose lines come late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from made_incidents import incident
from oddlog.feedback import Mark
from oddlog.pipeline.judging.since_deploy import after_deploy
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.quiet import BEYOND, Quiet
from oddlog.types import TIME, LiveIncident, State, Tally

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(now_s: float) -> datetime:
    return START + timedelta(seconds=now_s)


def us(now_s: float) -> int:
    return round(at(now_s).timestamp() * 1e6)


def of(quiet: Quiet, now_s: float) -> list[tuple[str, str]]:
    return [(one.change, one.incident.key) for one in quiet.changed(now_s, at(now_s))]


def talking(sources: list[str], until_s: int, step_s: int = 60) -> Quiet:
    """Return what has seen sources bring a line every so often."""
    quiet = Quiet("m", Tally())
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
    quiet = Quiet("m", Tally())
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


def restarted(quiet: Quiet) -> Quiet:
    other = Quiet("another model", Tally())
    other.restore(unpacked(packed(State(meta=quiet.state()))).meta)
    return other


def test_what_is_silent_stays_so_through_restarts_under_its_id_until_it_is_back():
    quiet = talking(["web", "db"], 7_200)
    quiet.arrived(["web"], 7_700.0)
    (new,) = quiet.changed(7_701.0, at(7_701.0))
    for _ in range(3):
        quiet = restarted(quiet)
        for now_s in range(50, 1_250, 60):
            quiet.arrived(["web"], float(now_s))
            assert of(quiet, now_s + 1.0) == []
        quiet.held_up(400.0)  # that nothing could come ends no silence either
        assert (of(quiet, 1_300.0), quiet.going) == ([], {new.incident.id})
    quiet.arrived(["web", "db"], 1_400.0)
    (over,) = quiet.changed(1_401.0, at(1_401.0))
    assert (over.change, over.incident.id, quiet.going) == ("over", new.incident.id, set())


def test_what_is_gone_for_good_is_over_after_a_day_and_a_half_and_forgotten():
    quiet, told = talking(["web", "pod-1", "pod-2"], 7_200), []
    quiet.arrived(["hardly known"], 7_200.0)
    for now_s in range(7_200, 7_200 + 2 * 86_400, 60):
        quiet.arrived(["web"], float(now_s))
        told += [(now_s, *one) for one in of(quiet, now_s + 1.0)]
        if now_s % 14_400 == 0:
            quiet = restarted(quiet)
    assert [one[1:] for one in told] == [
        (change, f"source silent: pod-{i}") for change in ("new", "over") for i in (1, 2)
    ]
    assert told[-1][0] - told[0][0] == pytest.approx(1.5 * 86_400, abs=1_800)
    assert list(quiet._sources) == ["web"]


def test_where_everything_is_silent_nobody_is_forgotten_and_who_was_silent_before_stays_so():
    quiet = talking(["web", "db", "pay"], 7_200)
    for now_s in range(7_200, 7_800, 60):
        quiet.arrived(["web", "pay"], float(now_s))
        quiet.changed(now_s + 1.0, at(now_s))
    (before,) = quiet.going
    assert of(quiet, 10_000.0) == [("new", "source silent: every source")]
    quiet.arrived(["web", "pay"], 20_000.0)
    assert of(quiet, 20_001.0) == [("over", "source silent: every source")]
    assert quiet.going == {before}
    assert of(quiet, 60_000.0) == [("new", "source silent: every source")]
    assert of(quiet, 60_000.0 + 3 * 86_400) == []
    quiet.arrived(["web"], 400_000.0)
    assert of(quiet, 400_001.0) == [("over", "source silent: every source"), ("over", "source silent: db")]
    assert list(quiet._sources) == ["web", "pay"]


def test_names_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("oddlog.pipeline.live.quiet.MOST_SOURCES", 2)
    tally = Tally()
    quiet = Quiet("m", tally)
    quiet.arrived(["a", "b", "c"], 0.0)
    quiet.arrived(["a", "c", "d"], 1.0)
    assert (tally.counts[BEYOND], tally.examples[BEYOND]) == (3, "c")


def test_it_goes_on_in_another_process_with_another_clock():
    quiet = talking(["web", "db"], 7_200)
    other = Quiet("m", Tally())
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
