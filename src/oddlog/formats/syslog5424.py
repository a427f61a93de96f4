"""Syslog of RFC 5424: ``<165>1 2024-11-20T10:11:12.003Z web-1 app 4711 ID47 [data@32473 key="value"] message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.fields import LONGEST_WORD
from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.levels import by_priority
from oddlog.formats.pairs import spread
from oddlog.formats.times import STAMPS, take

_COLUMNS = ["version", "stamp", "host", "service", "f.pid", "f.msgid", "tail"]
# Section 6.3: elements in brackets; inside a value, quote, backslash and bracket are escaped.
_DATA = r'^(-|(?:\[[^\s\]="]+(?: [^\s\]="]+="(?:[^"\\\]]|\\.)*")*\])+)(?: |$)'
_PARAMETER = r'[^\s\]="\[]+="(?:[^"\\\]]|\\.)*"'
_NUMBER = r"^-?\d{1,15}(?:\.\d+)?$"


def _nil(name: str) -> pl.Expr:
    """``-`` is the nil value of every header field (section 6)."""
    return pl.col(name).replace("-", None).alias(name)


def _fields(data: pl.Series) -> list[pl.Series]:
    """Return the parameters of structured data [lines] as found fields."""
    columns = []
    for column in spread(data, _PARAMETER):
        is_number = column.str.contains(_NUMBER)
        if is_number.any() and (is_number | column.is_null()).all():
            columns.append(column.cast(pl.Float32).alias(f"n.{column.name}"))
        else:
            columns.append(column.str.head(LONGEST_WORD).alias(f"f.{column.name}"))
    return columns


class Syslog5424:
    """The header is one split; structured data become fields."""

    name = "syslog5424"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where priority, version and time are those of the RFC (nil time allowed)."""
        frame = lines_of(text)
        looks = frame["text"].str.contains(r"^<\d{1,3}>[1-9]\d? ")
        if not looks.any():
            return finish(frame.with_columns(ok=pl.lit(value=False)))
        frame = frame.with_columns(words(frame, pl.col("text"), _COLUMNS), whole="text")
        taken = take(frame.with_columns(text=pl.col("stamp").fill_null("")), year=year, only=STAMPS[1:2])
        data = pl.col("tail").str.extract(_DATA, 1)
        message = pl.col("tail").str.replace(_DATA, "").str.strip_prefix("\ufeff")
        priority = pl.col("version").str.extract(r"^<(\d+)>", 1).str.to_integer(strict=False)
        frame = taken.with_columns(
            ok=pl.lit(looks) & (pl.col("ok") | (pl.col("stamp") == "-")) & data.is_not_null() & (priority <= 191),  # noqa: PLR2004 -- 23 facilities x 8 + 7
            level=by_priority(priority),
            message=message,
            data=data.fill_null(""),
            text="whole",
        ).with_columns([_nil(n) for n in ("host", "service", "f.pid", "f.msgid")])
        return finish(frame.with_columns(_fields(frame["data"])))
