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
_SIZE = pl.col("text", "message").str.len_bytes().sum()
_COLUMNS = list(COLUMNS)
_OVERHEAD = 40  # bytes of a line beside its text


class Recent:
    """Keeps the last lines, `most_bytes` of them, and those that were asked for lately.

    Stands where `merging.Merging` expects something to read lines `again` from.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._frames: deque[tuple[int, pl.DataFrame]] = deque()
        self._bytes = 0
        self._asked = pl.DataFrame(schema={name: RECORDS[name] for name in COLUMNS})

    def add(self, records: pl.DataFrame) -> None:
        """Take in records."""
        frame = records[_COLUMNS]
        size = sum(frame.select(_SIZE).row(0)) + _OVERHEAD * len(frame)
        self._frames.append((size, frame))
        self._bytes += size
        while self._bytes > self._most and len(self._frames) > 1:
            self._bytes -= self._frames.popleft()[0]

    def again(self, wanted: Mapping[str, Collection[int]], columns: Sequence[str] = LINE_COLUMNS) -> pl.DataFrame:
        """Return `columns` of the lines of these numbers, as far as they are still known."""
        pairs = [(source, line) for source, lines in wanted.items() for line in lines]
        if not pairs:
            return self._asked.clear().select(columns)
        asked = pl.DataFrame(pairs, schema={"source": pl.String, "line": pl.UInt64}, orient="row").unique()
        found = [self._asked.join(asked, on=["source", "line"], how="semi")]
        rest = asked.join(found[0], on=["source", "line"], how="anti")
        for _, frame in reversed(self._frames):  # what is asked for has mostly just come
            if not len(rest):
                break
            some = frame.join(rest, on=["source", "line"], how="semi")
            if len(some):
                found.append(some)
                rest = rest.join(some, on=["source", "line"], how="anti")
        told = pl.concat(found).unique(["source", "line"], keep="first", maintain_order=True)
        others = self._asked.join(told, on=["source", "line"], how="anti")
        self._asked = pl.concat([others, told]).tail(MOST_ASKED)
        return told.select(columns)
