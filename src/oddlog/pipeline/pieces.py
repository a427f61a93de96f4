"""Lines that a container's runtime has cut: chosen lines of them cannot be read again without those behind.

::

    … stderr P first part,     wanted ──► read with the lines behind it, up to `MOST_PIECES`,
    … stderr F  its end                   and each stretch of neighbours by itself
    … stderr F another line
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

MOST_PIECES = 16  # of 16 KiB, as the runtime cuts them: what is shown of a line is far less
_PIECE = r"^\S+ std(?:out|err) P "


def behind(lines: pl.DataFrame) -> set[int]:
    """Return the numbers of the lines that may hold the rest of some of `lines`."""
    cut = lines.filter(pl.col("text").str.contains(_PIECE))["line"].to_list()
    return {number + i for number in cut for i in range(1, MOST_PIECES + 1)}


def neighbours(lines: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the stretches of `lines` without a gap between their numbers."""
    gap = (pl.col("line").cast(pl.Int64).diff().fill_null(1) != 1).cum_sum()
    for stretch in lines.with_columns(stretch=gap).partition_by("stretch", maintain_order=True):
        yield stretch.drop("stretch")
