"""logfmt: ``ts=2024-11-20T10:11:12Z level=info msg="listening" port=8080`` (Heroku, Go, Grafana)."""

from __future__ import annotations

import polars as pl

from oddlog.formats.fields import assign
from oddlog.formats.layout import finish, lines_of
from oddlog.formats.pairs import PAIR, spread
from oddlog.formats.traces import without_trace

# Bare words may stand between the pairs; a line of prose with one equals sign in it is not logfmt.
ENOUGH_OF_THE_LINE = 0.7
FEWEST_PAIRS = 2


class Logfmt:
    """Pairs from the first character on."""

    name = "logfmt"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a line starts with a pair, has two, and is little else."""
        frame = lines_of(text)
        starts = frame["text"].str.contains(r"^\s*[A-Za-z_@][\w.@/\-]*=")
        if not starts.any():
            return finish(frame.with_columns(ok=pl.lit(value=False)))
        pairs = pl.col("text").str.extract_all(PAIR)
        enough = frame.select(
            (pairs.list.len() >= FEWEST_PAIRS)
            & (
                pairs.list.join(" ").str.len_chars()
                >= ENOUGH_OF_THE_LINE * pl.col("text").str.strip_chars().str.len_chars()
            )
        ).to_series()
        chosen = frame.select(pl.when(pl.lit(starts & enough)).then("text").otherwise(pl.lit("")).alias("text"))
        records = assign(spread(chosen["text"]), frame["text"], year=year)
        return finish(without_trace(records.with_columns(ok=starts & enough)))
