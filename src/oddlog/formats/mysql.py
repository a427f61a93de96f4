"""MySQL's and MariaDB's error log.

::

    2024-11-20T10:11:12.345678Z 0 [Note] [MY-010116] [Server] message    MySQL 8
    2024-11-20T10:11:12.345678Z 0 [Note] InnoDB: message                 MySQL 5.7
    2024-11-20  9:11:12 0 [Note] message                                 MariaDB, MySQL 5.6
    241120 10:11:12 [Note] message                                       MySQL 5.5
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, on_some
from oddlog.formats.times import Stamp, take
from oddlog.types import LEVEL

_STAMPS = (Stamp("%Y-%m-%dT%H:%M:%S"), Stamp("%Y-%m-%d %H:%M:%S"), Stamp("%y%m%d %H:%M:%S"))
# "Note" is the label of INFORMATION_LEVEL; "System" marks starts and stops, which are always logged.
_LEVELS = {"System": "NOTICE", "Note": "INFO", "Warning": "WARNING", "Error": "ERROR", "ERROR": "ERROR"}
_HEAD = r"^ +(?:([0-9]+) )?\[([A-Za-z]+)\] ?"
_CODE = r"^\[(MY-[0-9]{6})\] \[([^\]]*)\] ?"
_PART = r"^(InnoDB|Aria|MyISAM|RocksDB|WSREP|NDB|Slave I/O|Slave SQL): "
_SAFE = r"^ +(mysqld_safe|mariadbd-safe) "


def _coded(frame: pl.DataFrame) -> pl.DataFrame:
    found = pl.col("message").str.extract_groups(_CODE)
    return frame.with_columns(
        found.struct.field("1").alias("f.code"),
        service=found.struct.field("2"),
        message=pl.col("message").str.replace(_CODE, ""),
    )


def _spoken(frame: pl.DataFrame) -> pl.DataFrame:
    """Take ``InnoDB: `` off, with which versions before 8 say which part speaks."""
    return frame.with_columns(
        service=pl.col("message").str.extract(_PART, 1), message=pl.col("message").str.replace(_PART, "")
    )


def _safe(frame: pl.DataFrame) -> pl.DataFrame:
    """Read what the script around the server writes, which knows neither thread nor label."""
    return frame.with_columns(
        ok=pl.lit(value=True),
        service=pl.col("rest").str.extract(_SAFE, 1),
        message=pl.col("rest").str.replace(_SAFE, ""),
    )


class MySql:
    """Time, thread, label, from version 8 on code and subsystem, message; the subsystem is the service."""

    name = "mysql"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where one of the four labels follows time and thread."""
        frame = lines_of(text)
        frame = frame.with_columns(whole="text")
        # hours below ten are padded with a space
        padded = pl.col("text").str.replace(r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{6})  ([0-9]:)", "${1} 0${2}")
        taken = take(frame.with_columns(text=padded), year=year, only=_STAMPS).with_columns(text="whole")
        head = taken["rest"].str.extract_groups(_HEAD).struct.unnest()
        taken = taken.with_columns(head["1"].alias("f.thread"), head["2"].alias("word"))
        level = pl.col("word").replace_strict(_LEVELS, default=None, return_dtype=LEVEL)
        frame = taken.with_columns(
            timed=pl.col("ok"),
            ok=pl.col("ok") & level.is_not_null(),
            level=level,
            message=pl.col("rest").str.replace(_HEAD, ""),
            service=pl.lit(None, pl.String),
        )
        coded = pl.col("message").str.starts_with("[MY-")
        spoken = ~coded & pl.col("message").str.contains(_PART)
        frame = on_some(frame, pl.col("ok") & spoken, _spoken)
        frame = on_some(frame, pl.col("ok") & coded, _coded)
        return finish(on_some(frame, pl.col("timed") & pl.col("rest").str.contains(_SAFE), _safe))
