"""HPC clusters' event logs: ``900001 rack-12 power.unit supply.lost 1732097472 1 message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.types import TIME

_COLUMNS = ["id", "host", "service", "f.state", "time", "flag", "message"]


class Hpc:
    """Id, node, component, state, epoch seconds, flag, message, split at spaces."""

    name = "hpc"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; `ok` where id, epoch and flag are numbers in their places."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), _COLUMNS))
        return finish(
            frame.with_columns(
                ok=pl.col("id").str.contains(r"^[0-9]+$")
                & pl.col("time").str.contains(r"^[0-9]{9,10}$")
                & pl.col("flag").str.contains(r"^-?[0-9]+$"),
                time=(pl.col("time").str.to_integer(strict=False) * 1_000_000).cast(TIME),
                message=pl.col("message").fill_null(""),
            )
        )
