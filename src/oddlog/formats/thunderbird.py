"""Clusters' syslog with an alert column (Thunderbird, Spirit, Liberty).

::

    - 1732097472 2024.11.20 xa7 Nov 20 02:11:12 xa7/xa7 crond[78]: message
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, on_some, words
from oddlog.formats.syslog import split_tag
from oddlog.types import TIME

_COLUMNS = ["f.alert", "epoch", "date", "host", "month", "day", "clock", "where", "tail"]


class Thunderbird:
    """One split at spaces, then a syslog tag; the epoch gives the time in UTC."""

    name = "thunderbird"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; ``f.alert`` is the category of an alert, null for ``-``."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), _COLUMNS))
        frame = frame.with_columns(
            ok=pl.col("epoch").str.contains(r"^[0-9]{9,10}$")
            & (pl.col("date").str.slice(4, 1) == ".")
            & pl.col("month").str.contains(r"^[A-Z][a-z]{2}$")
            & pl.col("clock").str.contains(r"^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$")
            & pl.col("where").is_not_null(),
            time=(pl.col("epoch").str.to_integer(strict=False) * 1_000_000).cast(TIME),
            tail=pl.col("tail").fill_null(""),
            **{"f.alert": pl.col("f.alert").replace("-", None)},
        )
        return finish(on_some(frame, pl.col("ok"), split_tag))
