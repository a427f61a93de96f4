"""OpenStack services (oslo.log): time, process, level, logger, ``[request user project …]``, message.

The loghub collection puts the name of the file in front of each line; it becomes ``f.file``.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import STAMPS, take

_INSTANCE = r"^\[instance: ([0-9a-f\-]{36})\] ?"
_CONTEXT = ["f.request_id", "f.user_id", "f.project_id"]
# A traceback is logged line by line, with the header but without the context.
_WITHOUT_CONTEXT = ["TRACE", "ERROR", "CRITICAL"]


def _header(frame: pl.DataFrame) -> pl.DataFrame:
    split = frame.with_columns(words(frame, pl.col("rest").str.slice(1), ["pid", "level", "service", "tail"]))
    context = pl.col("tail").str.starts_with("[") & ~pl.col("tail").str.starts_with("[instance: ")
    return split.with_columns(
        ok=pl.col("ok")
        & pl.col("pid").str.contains("^[0-9]+$")
        & ~pl.col("service").str.ends_with(":")
        & (context | pl.col("level").is_in(_WITHOUT_CONTEXT)),
        level=by_word(pl.col("level")),
        tail=pl.col("tail").fill_null(""),
    ).drop("pid", "rest")


def _plain(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    return _header(take(frame, year=year, only=STAMPS[:1]))


def _prefixed(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    """Read lines with a file's name before the time."""
    named = pl.col("text").str.contains(r"^\S*\.log\S* [12]\d{3}-")
    if not frame.select(named.any()).item():
        return frame.with_columns(ok=pl.lit(value=False))
    split = frame.with_columns(words(frame, pl.col("text"), ["f.file", "text"]), whole=pl.col("text"))
    read = _header(take(split.with_columns(pl.col("text").fill_null("")), year=year, only=STAMPS[:1]))
    return read.with_columns(text="whole").drop("whole")


def _context(frame: pl.DataFrame) -> pl.DataFrame:
    """Take ``[req-… user project domain …]`` off; ``-`` stands for what is not known."""
    split = frame.with_columns(words(frame, pl.col("tail").str.slice(1), ["context", "message"], by="]"))
    names = [*_CONTEXT, "further"]
    split = split.with_columns(words(split, pl.col("context").str.strip_prefix("None "), names))
    return split.with_columns(
        [pl.when(~pl.col(n).is_in(["-", ""])).then(pl.col(n)).alias(n) for n in _CONTEXT],
        message=pl.col("message").fill_null("").str.strip_prefix(" "),
    ).drop("context", "further")


def _instance(frame: pl.DataFrame) -> pl.DataFrame:
    message = pl.col("message")
    return frame.with_columns(
        message.str.extract(_INSTANCE, 1).alias("f.instance"), message=message.str.replace(_INSTANCE, "")
    )


class OpenStack:
    """Nova, Cinder, Neutron, Glance, Keystone and whatever else logs through oslo.log."""

    name = "openstack"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; request, user, project and instance become fields and leave the message."""
        frame = cascade(lines_of(text), [partial(_plain, year=year), partial(_prefixed, year=year)])
        if not frame["ok"].any():
            return finish(frame)
        frame = frame.with_columns(message="tail")
        context = pl.col("tail").str.starts_with("[") & ~pl.col("tail").str.starts_with("[instance: ")
        frame = on_some(frame, pl.col("ok") & context, _context)
        starts = pl.col("ok") & pl.col("message").str.starts_with("[instance: ")
        return finish(on_some(frame, starts, _instance))
