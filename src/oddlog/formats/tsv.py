"""Tab-separated columns without a header, the last of which holds lines of another format."""

from __future__ import annotations

import polars as pl

from oddlog.formats import wrapped
from oddlog.formats.fields import LONGEST_WORD
from oddlog.formats.layout import finish, lines_of, words
from oddlog.types import Format

MOST_COLUMNS = 32
ENOUGH = 0.9  # share of a sample's lines that must have the same number of columns


class Tsv:
    """Columns that say where a line is from, then the line.

    Parameters
    ----------
    width : int
        Number of columns; found by `bind`.
    inner : Format, optional
        How the last column is written.

    """

    name = "tsv"

    def __init__(self, width: int = 0, inner: Format | None = None) -> None:
        self.width = width
        self.inner = inner

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:
        """Find the number of columns and the format of the last one; None if it has none."""
        tabs = sample.str.count_matches("\t", literal=True)
        width = int(tabs.mode().min() or 0) + 1  # type: ignore[arg-type]
        same = (tabs >= width - 1) & (tabs > 0)
        if not 1 < width <= MOST_COLUMNS or float(same.mean() or 0) < ENOUGH:  # type: ignore[arg-type]
            return None
        outer = self._outer(sample, width)
        inner = wrapped.inner_format(outer, year=year, names=("docker", *wrapped.ANYTHING))
        return None if inner is None else Tsv(width, inner)

    @staticmethod
    def _outer(text: pl.Series, width: int) -> pl.DataFrame:
        names = [f"f.column_{i + 1}" for i in range(width - 1)]
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), [*names, "message"], by="\t"))
        cut = [pl.when(pl.col(n) != "").then(pl.col(n).str.head(LONGEST_WORD)).alias(n) for n in names]
        return frame.with_columns(cut, ok=pl.col("message").is_not_null())

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where the last column is ok in its own format."""
        if not self.width:
            bound = self.bind(text.cast(pl.String).fill_null(""), year=year)
            if bound is None:
                return finish(lines_of(text).with_columns(ok=pl.lit(value=False)))
            return bound.parse(text, year=year)
        outer = self._outer(text, self.width)
        return finish(wrapped.unwrap(outer, self.inner, year=year, strict=True))
