"""The text of the last lines, since lines that came over a wire cannot be read again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from oddlog.pipeline.reading import LINE_COLUMNS
from oddlog.types import RECORDS

COLUMNS = (*LINE_COLUMNS, "time", "level", "service")
MOST_BYTES = 64 << 20  # of text: about 600,000 lines
MOST_ASKED = 10_000  # lines of incidents
_OVERHEAD = 40  # bytes of a line beside its text


class Recent:
    """Keeps the last lines, `most_bytes` of them, and those that were asked for lately.

    Stands where `merging.Merging` expects something to read lines `again` from.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._frames: deque[tuple[dict[str, tuple[int, int]], int, pl.DataFrame]] = deque()
        self._bytes = 0
        self._asked = pl.DataFrame(schema={name: RECORDS[name] for name in COLUMNS})

    def add(self, records: pl.DataFrame) -> None:
        """Take in records."""
        frame = records.select(COLUMNS)
        ranges = frame.group_by("source").agg(pl.col("line").min().alias("low"), pl.col("line").max().alias("high"))
        size = int(frame.select(pl.col("text", "message").str.len_bytes().sum()).sum_horizontal()[0]) + _OVERHEAD * len(
            frame
        )
        self._frames.append(({name: (low, high) for name, low, high in ranges.iter_rows()}, size, frame))
        self._bytes += size
        while self._bytes > self._most and len(self._frames) > 1:
            self._bytes -= self._frames.popleft()[1]

    def again(self, wanted: Mapping[str, Collection[int]], columns: Sequence[str] = LINE_COLUMNS) -> pl.DataFrame:
        """Return `columns` of the lines of these numbers, as far as they are still known."""
        pairs = [(source, line) for source, lines in wanted.items() for line in lines]
        asked = pl.DataFrame(pairs, schema={"source": pl.String, "line": pl.UInt64}, orient="row").unique()
        found = [self._asked.join(asked, on=["source", "line"], how="semi")]
        rest = asked.join(found[0], on=["source", "line"], how="anti")
        bounds = {name: (min(lines), max(lines)) for name, lines in wanted.items() if lines}
        for ranges, _, frame in self._frames if len(rest) else ():
            if any(
                name in ranges and ranges[name][0] <= b[1] and b[0] <= ranges[name][1] for name, b in bounds.items()
            ):
                found.append(frame.join(rest, on=["source", "line"], how="semi"))
        told = pl.concat(found).unique(["source", "line"], keep="first", maintain_order=True)
        others = self._asked.join(told, on=["source", "line"], how="anti")
        self._asked = pl.concat([others, told]).tail(MOST_ASKED)
        return told.select(columns)


def _touch(span: tuple[int, int] | None, low: int, high: int) -> bool:
    return span is not None and span[0] <= high and low <= span[1]
