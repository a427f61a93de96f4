"""PostgreSQL's log with any usual `log_line_prefix` that begins with a time.

::

    2024-11-20 10:11:12.345 UTC [17] LOG:  message                               %m [%p]
    2024-11-20 10:11:12.345 CET [17] anna@shop ERROR:  message                   %m [%p] %q%u@%d
    2024-11-20 10:11:12 UTC:192.0.2.7(5432):anna@shop:[17]:LOG:  message         %t:%r:%u@%d:[%p]:
    2024-11-20 10:11:12 UTC [17]: [3-1] user=anna,db=shop,app=psql,client=192.0.2.7 LOG:  message
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import by_distinct, finish, lines_of, on_some
from oddlog.formats.levels import by_word
from oddlog.formats.times import STAMPS, take

# Two spaces stand behind the severity in every version, and in hardly any other log.
_BEHIND = ":  "
# Lines that follow a message and say more of it (elog.c, send_message_to_server_log).
_PARTS = ("DETAIL", "HINT", "CONTEXT", "STATEMENT", "QUERY", "LOCATION", "BACKTRACE")
_HOUR_US = 3_600_000_000
# Of the abbreviations that `%m` writes those that mean one thing (timezonesets/Default); others are read as UTC.
_ZONES = {
    **dict.fromkeys(["UTC", "GMT", "WET"], 0),
    **dict.fromkeys(["CET", "WEST", "BST"], 1),
    **dict.fromkeys(["CEST", "EET", "SAST"], 2),
    **dict.fromkeys(["EEST", "MSK"], 3),
    **dict.fromkeys(["JST", "KST"], 9),
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
_ZONE = r"^ ([A-Z]{3,5})(?:[^0-9A-Za-z]|$)"
_SOMEONE = r"((?:\[unknown\]|[^\s@:,\[\]]+))"
_PREFIX = {
    "f.pid": [r"\[([0-9]+)(?:-[0-9]+)?\]"],
    "f.user": [r"\buser=([^,\s]+)", rf"(?:^|[\s:]){_SOMEONE}@"],
    "f.database": [r"\b(?:db|database)=([^,\s]+)", rf"@{_SOMEONE}"],
    "f.app": [r"\b(?:app|application)=([^,]*[^,\s])"],
    "f.client": [r"\b(?:client|host|remote)=([^,\s(]+)", r"^:([0-9A-Fa-f:.]+)\([0-9]+\):"],
    "f.sqlstate": [r"(?:^|[\s:=])([0-9][0-9A-Z]{4}|[FHPX][0-9VX][0-9A-Z]{3})[\s:]*$"],
}


def _zoned(frame: pl.DataFrame) -> pl.DataFrame:
    """Read an abbreviation of a time zone behind the time, where there is one."""
    zone = by_distinct(frame["rest"].str.head(8), lambda rest: rest.str.extract(_ZONE, 1)).alias("zone")
    if not zone.null_count() < len(zone):
        return frame
    hours = pl.col("zone").replace_strict(_ZONES, default=0, return_dtype=pl.Int64)
    width = pl.when(pl.col("zone").is_not_null()).then(pl.col("zone").str.len_bytes() + 1).otherwise(0)
    return frame.with_columns(zone).with_columns(
        time=pl.col("time") - pl.duration(microseconds=hours * _HOUR_US), rest=pl.col("rest").str.slice(width)
    )


def _prefix(prefix: pl.Series) -> list[pl.Series]:
    """Return what stands between time and severity [lines] as found fields."""
    distinct = prefix.unique()
    columns = []
    for name, patterns in _PREFIX.items():
        found = pl.coalesce([pl.col("prefix").str.extract(pattern, 1) for pattern in patterns])
        value = distinct.alias("prefix").to_frame().select(pl.when(found != "[unknown]").then(found)).to_series()
        if value.null_count() < len(value):
            columns.append(prefix.replace_strict(distinct, value, return_dtype=pl.String).alias(name))
    return columns


def _severity(frame: pl.DataFrame) -> pl.DataFrame:
    frame = _zoned(frame)
    split = frame["rest"].str.splitn(_BEHIND, 2).struct.unnest()
    word = split["field_0"].str.extract(r"(?:^|[\s:>])([A-Z]+[1-5]?)$", 1).alias("word")
    part = pl.col("word").is_in(_PARTS)
    level = by_word(pl.when(part).then(pl.lit("INFO")).otherwise("word"))
    frame = frame.with_columns(word, split["field_1"].alias("message")).with_columns(
        pl.when(part).then(pl.col("word").str.to_lowercase()).alias("f.part"),
        ok=level.is_not_null() & pl.col("message").is_not_null(),
        level=level,
        prefix=pl.lit(split["field_0"]).str.strip_suffix(pl.col("word")).str.strip_chars_start(" "),
    )
    return on_some(frame, pl.col("ok"), lambda some: some.with_columns(_prefix(some["prefix"])))


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    duration = pl.col("message").str.extract(r"^duration: ([0-9.]+) ms", 1)
    return frame.with_columns(duration.cast(pl.Float64, strict=False).alias("n.duration_ms"))


class Postgres:
    """Time, process, perhaps user, database, application and client, severity, message.

    Lines that say more of the message before (DETAIL, HINT, CONTEXT, STATEMENT, …) are INFO; ``f.part`` says which.
    """

    name = "postgres"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a severity, a colon and two spaces stand behind a time."""
        frame = lines_of(text)
        frame = frame.with_columns(whole="text", text=pl.col("text").str.strip_prefix("< "))
        taken = take(frame, year=year, only=STAMPS[:1]).with_columns(text="whole")
        looks = pl.col("ok") & pl.col("rest").str.contains(_BEHIND, literal=True)
        frame = on_some(taken.with_columns(ok=looks), pl.col("ok"), _severity)
        timed = pl.col("ok") & pl.col("message").str.starts_with("duration: ") if "message" in frame.columns else None
        return finish(frame if timed is None else on_some(frame, timed, _numbers))
