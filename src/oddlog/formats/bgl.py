"""Blue Gene/L: alert category, epoch, date, node, local time, node, RAS, component, level, message.

::

    - 1732097472 2024.11.20 R77-M0 2024-11-20-02.11.12.112233 R77-M0 RAS KERNEL INFO message
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import microseconds
from oddlog.types import TIME

_COLUMNS = ["f.alert", "epoch", "date", "host", "local", "again", "f.facility", "service", "word", "message"]


class Bgl:
    """One split at spaces. The epoch gives the time in UTC, the local time its microseconds."""

    name = "bgl"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; ``f.alert`` is the category of an alert, null for ``-``."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), _COLUMNS))
        level = by_word(pl.col("word"))
        # some writers leave the level out: then the message starts where it would stand
        whole = pl.concat_str(["word", "message"], separator=" ", ignore_nulls=True)
        return finish(
            frame.with_columns(
                ok=pl.col("epoch").str.contains(r"^[0-9]{9,10}$")
                & (pl.col("date").str.len_chars() == 10)  # noqa: PLR2004 -- 2024.11.20
                & (pl.col("date").str.slice(4, 1) == ".")
                & (pl.col("local").str.slice(10, 1) == "-")
                & pl.col("service").is_not_null(),
                time=(
                    pl.col("epoch").str.to_integer(strict=False) * 1_000_000
                    + microseconds(pl.col("local").str.slice(20))
                ).cast(TIME),
                level=level,
                host=pl.col("host").replace("NULL", None),
                message=pl.when(level.is_null()).then(whole).otherwise("message").fill_null(""),
                **{"f.alert": pl.col("f.alert").replace("-", None)},
            )
        )
