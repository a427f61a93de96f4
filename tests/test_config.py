"""Options from text and from TOML."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from oddlog.config import (
    as_time,
    load_config,
    load_options,
    parse_duration,
    parse_false_alarms,
    parse_time,
    parse_window,
    write_options,
)
from oddlog.errors import ConfigError

KNOWN = {"fit": {"session", "false_alarms", "train_share"}, "detect": {"fail_on_anomaly"}}
NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "oddlog.toml"
    path.write_text(text)
    return path


def test_a_file_sets_options_by_their_names_on_the_command_line(tmp_path: Path):
    path = config(tmp_path, '[fit]\nsession = "trace_id"\nfalse-alarms = "5/day"\n\n[detect]\nfail-on-anomaly = true\n')
    assert load_config(path, KNOWN) == {
        "fit": {"session": "trace_id", "false_alarms": "5/day"},
        "detect": {"fail_on_anomaly": True},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[fit]\nsesion = 'x'\n", "Did you mean 'session'?"),
        ("[fitt]\nsession = 'x'\n", "Did you mean 'fit'?"),
        ("session = 'x'\n", "which is no command's table"),
        ("[fit\n", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, says: str):
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        load_config(config(tmp_path, text), KNOWN)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        load_config(tmp_path / "nowhere.toml", KNOWN)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800)]
)
def test_durations(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "0s", "-5s", "five minutes", "1y"])
def test_what_is_no_duration_is_refused_with_examples(text: str):
    with pytest.raises(ConfigError, match="30s, 5min, 2h, 7d"):
        parse_duration(text)


def test_windows_are_a_duration_or_a_number_of_lines():
    assert parse_window("5min") == ("time", 300_000_000)
    assert parse_window("100") == ("count", 100)


@pytest.mark.parametrize("text", ["0", "sixty", "60 lines"])
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(ConfigError, match="--window"):
        parse_window(text)


@pytest.mark.parametrize(("text", "per_day"), [("5/day", 5), ("2", 2), ("1/h", 24), ("7/week", 1)])
def test_false_alarms_a_day(text: str, per_day: float):
    assert parse_false_alarms(text) == pytest.approx(per_day)


@pytest.mark.parametrize("text", ["0/day", "none", "5/fortnight", "-1/day"])
def test_what_is_no_rate_is_refused(text: str):
    with pytest.raises(ConfigError, match="--false-alarms 5/day"):
        parse_false_alarms(text)


def test_times_are_utc_unless_they_say_otherwise():
    assert parse_time("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_time("2026-03-01T12:00:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert parse_time("7d", now=NOW) == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_what_is_no_time_is_refused():
    with pytest.raises(ConfigError, match="how far back: 7d"):
        parse_time("yesterday-ish", now=NOW)


def test_a_caller_may_give_a_time_or_nothing():
    assert as_time("") is None
    assert as_time(datetime(2026, 3, 1, tzinfo=UTC)) == datetime(2026, 3, 1, tzinfo=UTC)


def test_options_of_detectors_are_read_as_they_were_written(tmp_path: Path):
    options = {"lstm": {"width": 48, "rate": 0.005}, "next-event": {"min_steps": 3, "plain": True, "mode": 'a"b'}}
    assert load_options(config(tmp_path, write_options(options))) == options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fit]\nseed = 1\n", "holds 'fit', which is no detector's table. Write [detector.lstm]."),
        ("[detector]\nwidth = 3\n", "holds 'width', which is no detector's table."),
        ("[detector", "is not TOML"),
    ],
)
def test_what_is_no_detector_s_options_is_told(tmp_path: Path, text: str, said: str):
    with pytest.raises(ConfigError) as error:
        load_options(config(tmp_path, text))
    assert said in str(error.value)
