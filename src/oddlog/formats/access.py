"""Web access logs, common and combined (Apache httpd, "Log Files"; nginx's default), with or without a vhost.

::

    192.0.2.7 - frank [20/Nov/2024:10:11:12 +0000] "GET /a.png?x=1 HTTP/1.1" 200 2326 "http://…" "Mozilla/…"
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.http import level_of, with_answer
from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.times import Stamp, take

_STAMP = (Stamp("%d/%b/%Y:%H:%M:%S"),)
_PARTS = ["head", "request", "numbers", "f.referer", "gap", "f.agent", "more"]
# The same by a regular expression, for quotes inside quotes.
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_HARD = rf"^([^\"]*){_QUOTED}([^\"]*)(?:{_QUOTED}([^\"]*)(?:{_QUOTED}(.*))?)?$"


def _quotes(frame: pl.DataFrame) -> pl.DataFrame:
    split = frame.with_columns(words(frame, pl.col("text"), _PARTS, by='"'))
    return split.with_columns(ok=~pl.col("text").str.contains("\\", literal=True))


def _escaped_quotes(frame: pl.DataFrame) -> pl.DataFrame:
    found = pl.col("text").str.extract_groups(_HARD)
    parts = [found.struct.field(str(i + 1)).alias(name) for i, name in enumerate(_PARTS)]
    return frame.with_columns(parts).with_columns(ok=pl.col("head").is_not_null())


def _head(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    """Split ``[vhost] client ident user [time] ``."""
    frame = frame.with_columns(words(frame, pl.col("head"), ["who", "stamp"], by="["), whole="text")
    taken = take(frame.with_columns(text=pl.col("stamp").fill_null("")), year=year, only=_STAMP)
    who = pl.col("who").str.strip_chars(" ")
    vhost = who.str.contains(r"^\S+ \S+ \S+ \S+$")
    taken = taken.with_columns(
        service=pl.when(vhost).then(who.str.extract(r"^(\S+?)(?::[0-9]+)? ", 1)),
        who=pl.when(vhost).then(who.str.replace(r"^\S+ ", "")).otherwise(who),
        text="whole",
    )
    return taken.with_columns(words(taken, pl.col("who"), ["f.client", "ident", "f.user"]))


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(words(frame, pl.col("numbers").str.strip_chars(" "), ["status", "size", "time_taken"]))
    status = pl.col("status").str.to_integer(strict=False)
    fits = pl.col("status").str.contains(r"^[1-9][0-9][0-9]$") & (
        pl.col("size").is_null() | pl.col("size").str.contains(r"^(?:[0-9]+|-)$")
    )
    return frame.with_columns(
        pl.col("f.user").replace("-", None),
        pl.col("f.referer").replace("-", None),
        pl.col("f.agent").replace("-", None),
        status.cast(pl.Float32).alias("n.status"),
        pl.col("size").cast(pl.Float32, strict=False).alias("n.bytes"),
        ok=pl.col("ok") & fits & pl.col("f.user").is_not_null(),
        level=level_of(status),
    )


class Access:
    """Client, user, time, request, status, size, referer, agent; a status from 500 on is an ERROR."""

    name = "access"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where client, time, request and status stand in their places."""
        frame = cascade(lines_of(text), [_quotes, _escaped_quotes])
        frame = frame.with_columns([pl.lit(None, pl.String).alias(n) for n in _PARTS if n not in frame.columns]).drop(
            "ok"
        )
        read = _head(frame, year)
        return finish(on_some(_numbers(read), pl.col("ok"), with_answer))
