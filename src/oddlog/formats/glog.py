"""glog, klog, absl: ``I1120 10:11:12.345678   17 server.go:42] message`` (Kubernetes, Google's C++ and Go)."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.levels import by_letter
from oddlog.formats.times import microseconds, strptime, unwrap_years
from oddlog.types import TIME


class Glog:
    """Fixed places up to the thread; the file is the service."""

    name = "glog"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where letter, time and ``file:line]`` stand in their places."""
        frame = lines_of(text)
        looks = frame["text"].str.contains(r"^[IWEFD][0-9]{4} [0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]{3,9} ")
        if not looks.any():
            return finish(frame.with_columns(ok=pl.lit(value=False)))
        frame = frame.with_columns(
            words(frame, pl.col("text").str.slice(14), ["fraction", "tail"]),
            ok=looks,
            time=strptime(pl.col("text").str.slice(1, 13), "%m%d %H:%M:%S", year),
        )
        frame = frame.with_columns(words(frame, pl.col("tail"), ["where", "message"], by="]"))
        years = unwrap_years(frame["time"])
        where = pl.col("where").str.strip_chars(" ").str.extract_groups(r"^(?:([0-9]+) +)?(\S+):(-?[0-9]+)$")
        fraction = pl.col("fraction").str.slice(1)
        return finish(
            frame.with_columns(
                ok=pl.col("ok")
                & pl.col("time").is_not_null()
                & where.struct.field("2").is_not_null()
                & pl.col("message").is_not_null(),
                time=(pl.lit(years) + pl.duration(microseconds=microseconds(fraction))).cast(TIME),
                level=by_letter(pl.col("text").str.head(1)),
                service=where.struct.field("2"),
                message=pl.col("message").str.strip_prefix(" "),
                **{"f.thread": where.struct.field("1")},
            )
        )
