"""The ways in which log lines write their time, read without regular expressions where the width is fixed.

Naive times are taken as UTC; offsets are honoured. A time without a year takes the one it is given, and goes
on to the next year where December turns into January.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, partial

import polars as pl

from oddlog.formats.layout import Step, by_distinct, cascade, on_some
from oddlog.types import TIME

NAIVE = pl.Datetime("us")
# ASCII throughout: Unicode's digits and word boundaries cost several times as much, and no logger writes them.
_ZONE = r"^( ?(?:Z|UTC|GMT|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])|[+-](?:0[0-9]|1[0-4]))(?:$|[^0-9A-Za-z:]|:[^0-9]|:$)"
# Three or six digits of fraction, and what follows cannot be a zone: read by slices alone.
_PLAIN = r"^[{separator}][0-9]{{{n}}}(?:$|[\]|\t]| (?:$|[^+\-ZUG]|- ))"
_ZONE_STARTS = ["+", "-", "Z", "U", "G"]
LOOKED_AT = 8  # lines of a block
HALF_A_YEAR_US = 182 * 86_400_000_000


@dataclass(frozen=True)
class Stamp:
    """One way of writing a time at the head of a line.

    Attributes
    ----------
    written : str
        The directives of `strftime`; each has a fixed width, `%e` is a day of one digit after one space.
    dated : str
        ``full``, ``yearless`` (the year is given), ``clock`` (no date: the time is unknown).

    """

    written: str
    dated: str = "full"
    separator: str = ".,"

    @property
    def width(self) -> int:
        """Characters of the stamp, without fraction and zone."""
        return len(self.example)

    @cached_property
    def shape(self) -> re.Pattern[str]:
        """What the stamp looks like: a guess at the right one, never the judge."""
        digits = re.sub("[0-9]", "[0-9 ]", re.escape(self.example))
        return re.compile(re.sub("Nov|Wed", "[A-Z][a-z]{2}", digits))

    @property
    def example(self) -> str:
        """The stamp of one moment."""
        filled = self.written
        for directive, text in _EXAMPLE.items():
            filled = filled.replace(directive, text)
        return filled


_EXAMPLE = {
    "%Y": "2024",
    "%y": "24",
    "%m": "11",
    "%d": "20",
    "%e": "5",
    "%H": "10",
    "%M": "11",
    "%S": "12",
    "%b": "Nov",
    "%a": "Wed",
}

STAMPS = (
    Stamp("%Y-%m-%d %H:%M:%S"),
    Stamp("%Y-%m-%dT%H:%M:%S"),
    Stamp("%Y/%m/%d %H:%M:%S"),
    Stamp("%y/%m/%d %H:%M:%S"),
    Stamp("%y%m%d %H%M%S"),
    Stamp("%b %d %H:%M:%S", "yearless"),
    Stamp("%b %e %H:%M:%S", "yearless"),
    Stamp("%b %d %Y %H:%M:%S"),
    Stamp("%a %b %d %H:%M:%S %Y"),
    Stamp("%a %b %d %H:%M:%S", "yearless"),
    Stamp("%a, %d %b %Y %H:%M:%S"),
    Stamp("%d/%b/%Y:%H:%M:%S"),
    Stamp("%d/%b/%Y %H:%M:%S"),
    Stamp("%d-%b-%Y %H:%M:%S"),
    Stamp("%d %b %Y %H:%M:%S"),
    Stamp("%d.%m.%Y %H:%M:%S"),
    Stamp("%m/%d/%Y %H:%M:%S"),
    Stamp("%d/%m/%Y %H:%M:%S"),
    Stamp("%Y.%m.%d %H:%M:%S"),
    Stamp("%Y-%m-%d-%H.%M.%S"),
    Stamp("%Y%m%dT%H%M%S"),
    Stamp("%Y%m%d %H%M%S"),
    Stamp("%Y%m%d %H:%M:%S"),
    Stamp("%Y%m%d-%H:%M:%S", separator=".,:"),
    Stamp("%m-%d %H:%M:%S", "yearless"),
    Stamp("%m.%d %H:%M:%S", "yearless"),
    Stamp("%y%m%d %H:%M:%S"),
    Stamp("%H:%M:%S", "clock"),
)
"""Tried in this order; no text fits two of them, but for days and months up to 12 with slashes (month first)."""


def strptime(raw: pl.Expr, written: str, year: int | None = None) -> pl.Expr:
    """Return the naive datetime of `raw`, null where it does not fit; `year` for a stamp without one."""
    written = written.replace("%e", "%d")
    if year is not None:
        raw, written = pl.lit(f"{year} ") + raw, f"%Y {written}"
    return raw.str.strptime(NAIVE, written, strict=False)


def microseconds(digits: pl.Expr) -> pl.Expr:
    """Return a fraction of 1 to 9 digits as microseconds, cut beyond the sixth digit; null becomes 0."""
    return (digits + "000000").str.head(6).str.to_integer(strict=False).fill_null(0)


def zone_us(zone: pl.Expr) -> pl.Expr:
    """Return the offset of ``+05:30``, ``-0800``, ``+02``, ``Z`` from UTC in microseconds; none is 0."""
    digits = zone.str.strip_chars(" ").str.replace(":", "", literal=True)
    hours = digits.str.slice(1, 2).str.to_integer(strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).str.to_integer(strict=False).fill_null(0)
    sign = pl.when(digits.str.starts_with("-")).then(-1).otherwise(1)
    return sign * (hours * 60 + minutes) * 60_000_000


def unwrap_years(time: pl.Series) -> pl.Series:
    """Return naive times of one year [e] in file order, gone on to the next year at each turn of the year.

    A step back of more than half a year is a turn; a step forward as long undoes one (a line that came late).
    """
    step = time.to_frame("time").select(pl.col("time").forward_fill().diff().cast(pl.Int64))["time"]
    if not len(step) or not (step < -HALF_A_YEAR_US).any():
        return time
    turns = ((step < -HALF_A_YEAR_US).cast(pl.Int64) - (step > HALF_A_YEAR_US).cast(pl.Int64)).fill_null(0)
    total = turns.cum_sum()
    below = total.cum_min()
    offset = total - pl.select(pl.min_horizontal(below, pl.lit(0))).to_series()
    at = pl.DataFrame({"time": time, "offset": offset})
    moved = pl.col("time").dt.offset_by(pl.col("offset").cast(pl.String) + "y")
    return at.select(pl.when(pl.col("offset") == 0).then("time").otherwise(moved)).to_series()


def epoch(number: pl.Expr) -> pl.Expr:
    """Return the TIME of epoch seconds, milli-, micro- or nanoseconds (f64 or i64), told apart by their size.

    Seconds reach from 1973 (10^8) to 5138 (10^11), so that each unit has three decades of its own.
    """
    number = number.cast(pl.Float64, strict=False)
    us = (
        pl.when(number.abs() < 1e8)  # noqa: PLR2004 -- see the docstring
        .then(None)
        .when(number.abs() < 1e11)  # noqa: PLR2004
        .then(number * 1e6)
        .when(number.abs() < 1e14)  # noqa: PLR2004
        .then(number * 1e3)
        .when(number.abs() < 1e17)  # noqa: PLR2004
        .then(number)
        .when(number.abs() < 1e19)  # noqa: PLR2004
        .then(number / 1e3)
    )
    return us.round().cast(pl.Int64, strict=False).cast(TIME)


def epoch_text(digits: pl.Expr) -> pl.Expr:
    """Return the TIME of epoch digits as text, exact to the microsecond for 10, 13, 16 and 19 digits."""
    whole = digits.str.head(10).str.to_integer(strict=False)
    rest = digits.str.slice(10).str.replace(r"^\.", "")
    return (whole * 1_000_000 + microseconds(rest)).cast(TIME)


def _zone(tails: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the offset in microseconds and the width of the zone that `tails` [lines] start with."""
    start = tails.str.head(9).alias("start")

    def zone(distinct: pl.Series) -> pl.Series:
        return distinct.str.extract(_ZONE, 1)

    found = by_distinct(start, zone).alias("zone").to_frame()
    us = found.select(zone_us(pl.col("zone"))).to_series()
    return us, found.select(pl.col("zone").str.len_chars().fill_null(0)).to_series()


def _with_tail(frame: pl.DataFrame, stamp: Stamp) -> pl.DataFrame:
    """Add fraction and zone to ``time``; ``rest`` is what follows them."""
    tail = frame["text"].str.slice(stamp.width, 20).alias("tail")
    if (tail.str.starts_with(" ") & ~tail.str.slice(1, 1).is_in(_ZONE_STARTS)).all():
        return frame.with_columns(rest=pl.col("text").str.slice(stamp.width))
    for n in (3, 6):
        if tail.str.contains(_PLAIN.format(separator=stamp.separator, n=n)).all():
            us = tail.str.slice(1, n).str.to_integer(strict=False) * 10 ** (6 - n)
            return frame.with_columns(
                time=pl.col("time") + pl.duration(microseconds=pl.lit(us)),
                rest=pl.col("text").str.slice(stamp.width + 1 + n),
            )
    first = tail.str.head(1)
    separated = first == stamp.separator[0]
    for other in stamp.separator[1:]:
        separated |= first == other
    after = tail.str.slice(1)
    beyond = after.str.strip_chars_start("0123456789")
    n_digits = after.str.len_bytes() - beyond.str.len_bytes()
    parts = pl.DataFrame({"tail": tail, "after": after, "beyond": beyond, "n": n_digits, "fits": separated})
    fraction = pl.col("fits") & (pl.col("n") > 0)
    parts = parts.with_columns(
        us=pl.when(fraction).then(microseconds(pl.col("after").str.head(pl.col("n")))).otherwise(0),
        width=pl.when(fraction).then(pl.col("n") + 1).otherwise(0),
        zone=pl.when(fraction).then("beyond").otherwise("tail"),
    )
    offset, zone_width = _zone(parts["zone"])
    return frame.with_columns(
        time=pl.col("time") + pl.duration(microseconds=pl.lit(parts["us"] - offset)),
        rest=pl.col("text").str.slice(pl.lit(stamp.width + parts["width"] + zone_width)),
    )


def _step(frame: pl.DataFrame, stamp: Stamp, year: int) -> pl.DataFrame:
    given = year if stamp.dated == "yearless" else None
    time = strptime(pl.col("text").str.head(stamp.width), stamp.written, given)
    if stamp.dated == "clock":
        clock = pl.col("text").str.head(stamp.width).str.contains(r"^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d$")
        time = pl.when(clock).then(pl.lit(0).cast(NAIVE))
    frame = frame.with_columns(time=time).with_columns(ok=pl.col("time").is_not_null())
    if not frame["ok"].any():
        return frame
    if given is not None:
        frame = frame.with_columns(unwrap_years(frame["time"]))
    frame = _with_tail(frame, stamp)
    time = pl.col("time").cast(TIME)
    return frame.with_columns(time=pl.lit(None, TIME) if stamp.dated == "clock" else time)


def _epoch_step(frame: pl.DataFrame) -> pl.DataFrame:
    raw = pl.col("text").str.extract(r"^([12]\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?)(?:[\s,;|:\]]|$)", 1)
    return (
        frame.with_columns(raw=raw)
        .with_columns(
            ok=pl.col("raw").is_not_null(),
            time=epoch_text(pl.col("raw")),
            rest=pl.col("text").str.slice(pl.col("raw").str.len_chars()),
        )
        .drop("raw")
    )


def _twelve_hours(frame: pl.DataFrame) -> pl.DataFrame:
    """Read ``Nov 5, 2024 3:04:05 PM`` (java.util.logging) and ``11/5/2024 3:04:05 PM``."""
    shape = r"^((?:[A-Z][a-z]{2} \d{1,2}, |\d{1,2}/\d{1,2}/)\d{4},? \d{1,2}:\d\d:\d\d [AP]M)\b"
    raw = pl.col("text").str.extract(shape, 1)
    tidy = pl.col("raw").str.replace(r"(\d{4}),", "$1")
    time = pl.coalesce(strptime(tidy, "%b %d, %Y %I:%M:%S %p"), strptime(tidy, "%m/%d/%Y %I:%M:%S %p"))
    return (
        frame.with_columns(raw=raw)
        .with_columns(
            ok=time.is_not_null(),
            time=time.cast(TIME),
            rest=pl.col("text").str.slice(pl.col("raw").str.len_chars()),
        )
        .drop("raw")
    )


def _likely_first(text: pl.Series, stamps: tuple[Stamp, ...]) -> list[Stamp]:
    """Return the stamps, those first that the first lines look like. Saves the search, changes no result.

    Of those that look alike the order stays: a month is tried before a day.
    """
    heads = text.head(LOOKED_AT).to_list()
    return sorted(stamps, key=lambda stamp: not any(stamp.shape.match(head) for head in heads))


def take(frame: pl.DataFrame, *, year: int, only: tuple[Stamp, ...] = STAMPS) -> pl.DataFrame:
    """Take a time off the head of ``text`` [lines], brackets around it included.

    Adds ``ok`` (there is one), ``time`` (null where it has no date) and ``rest``, what follows it. Fractions
    after a dot or comma and offsets (``Z``, ``+05:30``, ``-0800``, `` UTC``) belong to it.
    """
    text = frame["text"]
    bracket = text.str.starts_with("[")
    if bracket.any():
        frame = frame.with_columns(text=pl.when(pl.lit(bracket)).then(pl.col("text").str.slice(1)).otherwise("text"))
    steps: list[Step] = [partial(_step, stamp=stamp, year=year) for stamp in _likely_first(frame["text"], only)]
    if only is STAMPS:
        steps += [_epoch_step, _twelve_hours]
    first = pl.col("text").str.head(1)
    could = first.is_in(list("0123456789JFMASONDTW"))
    frame = on_some(frame, could, lambda some: cascade(some, steps))
    missing = {"ok": pl.lit(value=False), "time": pl.lit(None, TIME), "rest": pl.lit(None, pl.String)}
    frame = frame.with_columns(**{k: v for k, v in missing.items() if k not in frame.columns})
    if not bracket.any():
        return frame
    closed = pl.lit(bracket) & pl.col("rest").str.starts_with("]")
    rest = pl.when(closed).then(pl.col("rest").str.slice(1)).otherwise("rest")
    return frame.with_columns(text, rest=rest)
