"""Pipe-separated app logs: ``20241120-9:5:3:42|Step_Counter|30002312|message``, numbers of the time not padded."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.times import strptime
from oddlog.types import TIME


class HealthApp:
    """Time, component, process, message, split at pipes."""

    name = "healthapp"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; `ok` where the time can be read and the process is a number."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), ["stamp", "service", "pid", "message"], by="|"))
        frame = frame.with_columns(words(frame, pl.col("stamp").str.slice(9), ["h", "m", "s", "ms"], by=":"))
        number = {c: pl.col(c).str.to_integer(strict=False) for c in ("h", "m", "s", "ms")}
        inside = (
            number["h"].is_between(0, 23)
            & number["m"].is_between(0, 59)
            & number["s"].is_between(0, 59)
            & number["ms"].is_between(0, 999)
        )
        us = ((number["h"] * 60 + number["m"]) * 60 + number["s"]) * 1_000_000 + number["ms"] * 1_000
        day = strptime(pl.col("stamp").str.head(8), "%Y%m%d")
        return finish(
            frame.with_columns(
                ok=inside
                & day.is_not_null()
                & (pl.col("stamp").str.slice(8, 1) == "-")
                & pl.col("pid").str.contains(r"^[0-9]+$"),
                time=(day + pl.duration(microseconds=us)).cast(TIME),
                message=pl.col("message").fill_null(""),
            )
        )
