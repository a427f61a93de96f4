"""HDFS's own layout: ``241120 101112 17 INFO dfs.DataNode: message`` (date, time, process, level, logger)."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import strptime


class Hdfs:
    """One split at spaces; the logger ends in a colon."""

    name = "hdfs"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; `ok` where time, process, level and logger stand in their places."""
        frame = lines_of(text)
        frame = frame.with_columns(
            words(frame, pl.col("text").str.slice(14), ["pid", "level", "service", "message"]),
            time=strptime(pl.col("text").str.head(13), "%y%m%d %H%M%S"),
        )
        return finish(
            frame.with_columns(
                ok=pl.col("time").is_not_null()
                & (pl.col("text").str.slice(13, 1) == " ")
                & pl.col("pid").str.to_integer(strict=False).is_not_null()
                & pl.col("service").str.ends_with(":"),
                time=pl.col("time").dt.replace_time_zone("UTC"),
                level=by_word(pl.col("level")),
                service=pl.col("service").str.head(-1),
                message=pl.col("message").fill_null(""),
            )
        )
