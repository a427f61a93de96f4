"""Proxifier: ``[11.20 10:11:12] chrome.exe - message``, the program perhaps with ``*64`` behind it."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.times import strptime, unwrap_years
from oddlog.types import TIME


class Proxifier:
    """Month, day and time in brackets; the program is the service, its bitness is not part of the name."""

    name = "proxifier"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a program follows the time."""
        frame = lines_of(text)
        time = strptime(pl.col("text").str.slice(1, 14), "%m.%d %H:%M:%S", year)
        frame = frame.with_columns(
            words(frame, pl.col("text").str.slice(17), ["service", "message"], by=" - "), time=time
        )
        ok = (
            pl.col("time").is_not_null()
            & (pl.col("text").str.slice(15, 2) == "] ")
            & (pl.col("text").str.head(1) == "[")
        )
        return finish(
            frame.with_columns(
                ok=ok & pl.col("message").is_not_null(),
                time=unwrap_years(frame["time"]).cast(TIME),
                service=pl.col("service").str.strip_suffix(" *64"),
            )
        )
