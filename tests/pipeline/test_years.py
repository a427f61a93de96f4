"""Times without a year get that of their file, whatever the season and however many blocks the file has."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import detect_format
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.years import Years

JANUARY_5 = datetime(2026, 1, 5, 9, tzinfo=UTC)
NUMBER = pl.UInt64


def syslog(*days: str) -> list[str]:
    return [f"{day} 08:00:{n % 60:02d} web1 app[7]: request {n} done" for n, day in enumerate(days)]


def block(lines: list[str], first: int = 1) -> pl.DataFrame:
    return pl.DataFrame({"line": range(first, first + len(lines)), "text": lines}, schema_overrides={"line": NUMBER})


def read(years: Years, *blocks: list[str]) -> list[str]:
    """Return the dates that the lines of a source have, read in these blocks."""
    found, dates, line = detect_format(pl.Series(blocks[0]), year=2026), [], 1
    for lines in blocks:
        dates += years.parse(block(lines, line), found)["time"].dt.strftime("%Y-%m-%d").to_list()
        line += len(lines)
    return dates


def test_a_file_last_changed_in_january_begins_in_december_of_the_year_before():
    lines = syslog("Dec 30", "Dec 31", "Jan  1", "Jan  5")
    assert read(Years(JANUARY_5), lines) == ["2025-12-30", "2025-12-31", "2026-01-01", "2026-01-05"]


def test_a_file_of_this_year_keeps_its_year_also_where_clocks_differ_by_some_hours():
    assert read(Years(JANUARY_5), syslog("Jan  2", "Jan  4", "Jan  6")) == ["2026-01-02", "2026-01-04", "2026-01-06"]


def test_times_with_a_year_stay_as_they_are_written():
    lines = [f"2031-0{month}-03 08:00:00,000 INFO shop.web: request {month} done" for month in (1, 2, 9)]
    assert read(Years(JANUARY_5), lines[:2], lines[2:]) == ["2031-01-03", "2031-02-03", "2031-09-03"]


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 6])
def test_where_a_file_is_cut_into_blocks_makes_no_difference(cut: int):
    lines = syslog("Dec 30", "Dec 31", "Jan  1", "Dec 31", "Jan  1", "Jan  2", "Jan  5")
    dates = ["2025-12-30", "2025-12-31", "2026-01-01", "2025-12-31", "2026-01-01", "2026-01-02", "2026-01-05"]
    assert read(Years(JANUARY_5), lines[:cut], lines[cut:]) == dates


def test_a_year_may_turn_between_two_blocks():
    assert read(Years(JANUARY_5), syslog("Dec 30", "Dec 31"), syslog("Jan  1", "Jan  5"), syslog("Jan  5")) == [
        "2025-12-30",
        "2025-12-31",
        "2026-01-01",
        "2026-01-05",
        "2026-01-05",
    ]


def test_a_line_that_is_read_again_has_the_year_it_had():
    years = Years(JANUARY_5)
    assert years.at(3) == 2026  # nothing is known yet: the year of the last change
    read(years, syslog("Dec 30", "Dec 31"), syslog("Dec 31", "Jan  1", "Jan  1"), syslog("Jan  2"))
    assert [years.at(line) for line in (1, 3, 4, 6)] == [2025, 2025, 2026, 2026]


@pytest.mark.parametrize("step", [200, 8 << 20])
def test_reading_and_reading_again_agree_on_the_year(tmp_path: Path, step: int):
    file = tmp_path / "messages"
    lines = syslog(*["Dec 30"] * 20, *["Dec 31"] * 20, *["Jan  1"] * 20)
    file.write_text("\n".join(lines) + "\n")
    os.utime(file, (JANUARY_5.timestamp(), JANUARY_5.timestamp()))
    reading = Reading(_step=step)
    times = dict(pl.concat(reading.records(file)).select("line", "time").iter_rows())
    assert {line: time.year for line, time in times.items()} == dict.fromkeys(range(1, 41), 2025) | dict.fromkeys(
        range(41, 61), 2026
    )
    for line in (1, 40, 41, 60):
        again = reading.again({str(file): {line}}, ("line", "time"))
        assert dict(again.iter_rows()) == {line: times[line]}
