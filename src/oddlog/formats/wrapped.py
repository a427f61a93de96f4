"""Lines inside lines: the outer one says where and when, the inner one how bad, from whom and what."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from oddlog.formats.layout import RECORD, cascade, finish, lines_of, type_of_field
from oddlog.formats.traces import without_trace
from oddlog.types import LEVEL, Format

SURE = 0.3  # share of the lines left that an inner format must read
FEW = 0.02  # share of the lines for which no further format is looked for
MOST_INNER = 4  # formats in one source
MOST_UNREAD = 0.5  # share of the inner lines without a header up to which there is a format at all

WITH_HEADER = (
    "journald",
    "windows_event",
    "gelf",
    "cloudflare",
    "zeek",
    "json",
    "elb",
    "haproxy",
    "access",
    "nginx_error",
    "postgres",
    "mysql",
    "redis",
    "cef",
    "syslog5424",
    "syslog",
    "apache_error",
    "glog",
    "openstack",
    "zookeeper",
    "hdfs",
    "log4j",
    "python",
)
"""Formats whose header is a sure sign, looked for inside a message that already is one."""

ANYTHING = (*WITH_HEADER, "bgl", "thunderbird", "android", "logfmt", "timestamp")
"""Formats looked for inside a wrapper that says nothing of its own."""


def inner_format(outer: pl.DataFrame, *, year: int, names: Sequence[str]) -> Format | None:
    """Return the format of the messages of `outer` [lines]; None if they have no header."""
    from oddlog.formats.detection import detect_format  # noqa: PLC0415 -- detection knows all formats, this one too

    # a line without a message of its own has its text for one: looking into it again would never end
    has_own = pl.col("message").is_not_null() & (pl.col("message") != pl.col("text"))
    messages = outer.filter(pl.col("ok") & has_own)["message"]
    if not len(messages):
        return None
    found: list[Format] = []
    left = messages
    while len(found) < MOST_INNER and len(left) > FEW * len(messages):
        detected = detect_format(left, year=year, names=names)
        if detected.confidence < SURE:
            break
        found.append(detected.format)
        left = left.filter(~detected.format.parse(left, year=year)["ok"])
    if not found or len(left) > MOST_UNREAD * len(messages):
        return None
    return found[0] if len(found) == 1 else AnyOf(found)


class AnyOf:
    """Several formats in one source: containers of different makes whose lines were collected together.

    Parameters
    ----------
    formats : sequence of Format
        Tried in turn, line by line.

    """

    def __init__(self, formats: Sequence[Format]) -> None:
        self.formats = formats
        self.name = " + ".join(one.name for one in formats)

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return what the first format that can read a line makes of it."""

        def step(frame: pl.DataFrame, one: Format) -> pl.DataFrame:
            return frame.hstack(one.parse(frame["text"], year=year))

        return finish(cascade(lines_of(text), [partial(step, one=one) for one in self.formats]))


def unwrap(outer: pl.DataFrame, inner: Format | None, *, year: int, strict: bool = False) -> pl.DataFrame:
    """Return `outer` [lines] with what `inner` reads in its messages.

    The inner line gives the level and the message, and the time where it has a date; the outer one host and
    service, as far as it knows them. A logger that does not become the service is kept as ``f.logger``. If
    `strict`, a line whose inner one cannot be read is not ok.
    """
    if "message" not in outer.columns:
        return outer
    if inner is None:
        return without_trace(outer)
    missing = [pl.lit(None, dtype).alias(n) for n, dtype in RECORD.items() if n not in outer.columns]
    outer = outer.with_columns(missing)
    read = inner.parse(outer["message"].fill_null(""), year=year)
    read = read.rename({name: f"inner {name}" for name in read.columns})
    read_fields = {n for n in read.columns if n[6:8] in type_of_field}
    both = outer.hstack(read)
    fits = pl.col("ok") & pl.col("inner ok")
    chosen = [
        pl.when(fits).then(pl.coalesce("inner time", "time")).otherwise("time").alias("time"),
        pl.when(fits)
        .then(pl.coalesce("inner level", pl.col("level").cast(LEVEL)))
        .otherwise(pl.col("level").cast(LEVEL))
        .alias("level"),
        pl.coalesce("service", pl.when(fits).then("inner service")).alias("service"),
        pl.coalesce("host", pl.when(fits).then("inner host")).alias("host"),
        pl.when(fits).then("inner message").otherwise("message").alias("message"),
    ]
    if "f.logger" not in outer.columns and outer["service"].null_count() < len(outer):
        logger = pl.when(fits & pl.col("service").is_not_null()).then("inner service")
        further = ["inner f.logger"] if "inner f.logger" in read.columns else []
        chosen.append(pl.coalesce(logger, *further).alias("f.logger"))
        read_fields.discard("inner f.logger")
    for name in sorted(read_fields):
        field = name.removeprefix("inner ")
        value = pl.when(fits).then(name)
        chosen.append((pl.coalesce(value, field) if field in outer.columns else value).alias(field))
    if strict:
        chosen.append(fits.alias("ok"))
    return without_trace(both.with_columns(chosen).drop(read.columns))
