r"""Container logs as the runtime writes them: Docker's json-file driver and the CRI text format.

::

    {"log":"INFO started\n","stream":"stdout","time":"2024-11-20T10:11:12.123456789Z"}
    2024-11-20T10:11:12.123456789Z stdout F INFO started

The CRI cuts lines at 16 KiB: the parts are marked P, the last one F. The first part's record has the whole message,
the others become lines that continue it.
"""

from __future__ import annotations

import polars as pl

from oddlog.formats import wrapped
from oddlog.formats.fields import assign
from oddlog.formats.json_lines import decoded
from oddlog.formats.layout import cascade, finish, lines_of, words
from oddlog.formats.times import STAMPS, take
from oddlog.types import Format

MOST_JOINED = 64 << 10  # characters of a message put together from parts


def _json_file(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    looks = pl.col("text").str.starts_with("{") & pl.col("text").str.contains('"log"', literal=True)
    if not frame.select(looks.any()).item():
        return frame.with_columns(ok=pl.lit(value=False))
    chosen = frame.select(pl.when(looks).then(pl.col("text").str.strip_chars()).otherwise(pl.lit("{}"))).to_series()
    columns, ok = decoded(chosen)
    if "log" not in columns.columns or columns["log"].dtype.is_nested():
        return frame.with_columns(ok=pl.lit(value=False))
    records = assign(columns, frame["text"], year=year).drop("text")
    is_line = ok & columns["log"].is_not_null()
    cut = pl.col("message").str.strip_chars_end("\r\n")
    return frame.hstack(records).with_columns(ok=is_line, message=cut)


def _cri(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    taken = take(frame, year=year, only=STAMPS[1:2])
    taken = taken.with_columns(words(taken, pl.col("rest").str.strip_chars_start(" "), ["f.stream", "tag", "message"]))
    fits = pl.col("f.stream").is_in(["stdout", "stderr"]) & pl.col("tag").is_in(["F", "P"])
    return taken.with_columns(ok=pl.col("ok") & fits, message=pl.col("message").fill_null("")).drop("rest")


def _joined(frame: pl.DataFrame) -> pl.DataFrame:
    """Put the parts of cut lines together, per stream; a block that begins inside of one has its end as a record."""
    partial = frame["ok"] & (frame["tag"] == "P").fill_null(value=False)
    if not partial.any():
        return frame.drop("tag")
    frame = frame.with_columns(pl.col("f.stream").fill_null("").alias("stream"), partial=partial)
    goes_on = pl.col("ok") & pl.col("tag").is_not_null() & pl.col("partial").shift(1, fill_value=False).over("stream")
    frame = frame.with_columns(goes_on=goes_on).with_columns(
        line=(~pl.col("goes_on")).cum_sum().over("stream"), message=pl.when("ok").then("message")
    )
    whole = pl.col("message").str.join("").over("stream", "line").str.head(MOST_JOINED)
    return frame.with_columns(ok=pl.col("ok") & ~pl.col("goes_on"), message=pl.when("ok").then(whole)).drop(
        "stream", "partial", "goes_on", "line", "tag"
    )


class Docker:
    """A container's output, one line wrapped by the runtime.

    Parameters
    ----------
    inner : Format, optional
        How the container itself writes; found per block if not given.

    """

    name = "docker"

    def __init__(self, inner: Format | None = None) -> None:
        self.inner = inner
        self.bound = inner is not None

    def _outer(self, text: pl.Series, year: int) -> pl.DataFrame:
        steps = [lambda f: _json_file(f, year), lambda f: _cri(f, year)]
        outer = cascade(lines_of(text), steps)
        return _joined(outer) if "tag" in outer.columns else outer

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:
        """Find out how the container writes."""
        outer = self._outer(sample, year)
        if not outer["ok"].any():
            return None
        bound = Docker(wrapped.inner_format(outer, year=year, names=wrapped.ANYTHING))
        bound.bound = True
        return bound

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a runtime wrapped the line."""
        outer = self._outer(text, year)
        inner = self.inner
        if not self.bound and "message" in outer.columns:
            inner = wrapped.inner_format(outer, year=year, names=wrapped.ANYTHING)
        return finish(wrapped.unwrap(outer, inner, year=year))
