"""Times are read in every way they are written, and never wrongly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.formats.times import STAMPS, Stamp, epoch, epoch_text, take, unwrap_years

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2068, 12, 31))  # two-digit years reach to 2068
few = settings(max_examples=20, deadline=None)


def read(*texts: str, year: int = 2024) -> list[tuple[datetime | None, str | None]]:
    taken = take(pl.Series("text", texts).to_frame(), year=year)
    return [(row["time"], row["rest"] if row["ok"] else None) for row in taken.to_dicts()]


@pytest.mark.parametrize("stamp", [s for s in STAMPS if s.dated != "clock"], ids=lambda s: s.written)
@few
@given(moment=MOMENTS, ms=st.integers(0, 999))
def test_every_stamp_is_read_as_strftime_wrote_it(stamp: Stamp, moment: datetime, ms: int) -> None:
    if "%e" in stamp.written:
        moment = moment.replace(day=moment.day % 9 + 1)
    moment = moment.replace(microsecond=ms * 1_000)
    written = moment.strftime(stamp.written.replace("%e", str(moment.day)))
    if stamp.written.startswith("%d/%m") and moment.day <= 12:
        return  # month first is what such a text means
    ((time, rest),) = read(f"{written}.{ms:03d} rest", year=moment.year)
    assert time == moment.replace(tzinfo=UTC)
    assert rest == " rest"


@few
@given(moment=MOMENTS, minutes=st.integers(-14 * 60, 14 * 60), digits=st.integers(1, 9))
def test_offsets_and_fractions_of_any_length_are_honoured(moment: datetime, minutes: int, digits: int) -> None:
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    fraction = f"{moment.microsecond:06d}000"[:digits]
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}{sign}{hours:02d}:{rest:02d} x"
    exact = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=UTC) - timedelta(minutes=minutes)
    assert read(text) == [(exact, " x")]


def test_what_follows_a_stamp_is_not_swallowed() -> None:
    at = datetime(2024, 11, 20, 10, 11, 12, tzinfo=UTC)
    assert read(
        "2024-11-20 10:11:12 - 5 left",
        "2024-11-20 10:11:12, Info",
        "2024-11-20 10:11:12 -1500 of them",
        "2024-11-20 10:11:12 Zebra",
        "2024-11-20 10:11:12-14:00x",
        "[2024-11-20 10:11:12]x",
    ) == [
        (at, " - 5 left"),
        (at, ", Info"),
        (at, " -1500 of them"),
        (at, " Zebra"),
        (at, "-14:00x"),
        (at, "x"),
    ]


def test_a_clock_without_a_date_is_a_stamp_without_a_time() -> None:
    assert read("23:59:59,123 x", "24:00:00 x") == [(None, " x"), (None, None)]


@pytest.mark.parametrize("digits", [10, 13, 16, 19])
def test_epochs_are_told_apart_by_their_digits(digits: int) -> None:
    at = datetime(2024, 11, 20, 10, 11, 12, 345678, tzinfo=UTC)
    text = "1732097472345678901"[:digits]
    kept = {10: 0, 13: 345_000, 16: 345_678, 19: 345_678}[digits]
    assert pl.DataFrame({"t": [text]}).select(epoch_text(pl.col("t"))).item() == at.replace(microsecond=kept)
    if digits < 19:  # beyond, a float has no microseconds left
        assert pl.DataFrame({"t": [int(text)]}).select(epoch(pl.col("t"))).item() == at.replace(microsecond=kept)


def test_numbers_that_are_no_epoch_have_no_time() -> None:
    numbers = pl.DataFrame({"t": [0.25, 17.0, -1.0, float("nan"), float("inf"), 1e30]})
    assert numbers.select(epoch(pl.col("t"))).to_series().to_list() == [None] * 6


def test_the_turn_of_the_year_is_followed() -> None:
    lines = ["Dec 31 23:59:58", "Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02", "Jul  1 00:00:00"]
    assert [t.year for t, _ in read(*(f"{line} x" for line in lines), year=2023) if t] == [2023, 2024, 2023, 2024, 2024]


def test_a_jump_forward_is_no_turn_of_the_year() -> None:
    lines = ["Jan  5 00:00:00", "Oct  5 00:00:00", "Dec 31 00:00:00", "Jan  1 00:00:00"]
    assert [t.year for t, _ in read(*(f"{line} x" for line in lines), year=2023) if t] == [2023, 2023, 2023, 2024]


def test_nothing_is_moved_where_the_year_does_not_turn() -> None:
    times = pl.Series("time", [datetime(2024, 5, 1), None, datetime(2024, 4, 30)], dtype=pl.Datetime("us"))
    assert unwrap_years(times).equals(times, null_equal=True)
