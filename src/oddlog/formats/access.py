"""Web access logs, common and combined (Apache httpd, "Log Files"; nginx's default), with or without a vhost.

::

    192.0.2.7 - frank [20/Nov/2024:10:11:12 +0000] "GET /a.png?x=1 HTTP/1.1" 200 2326 "http://…" "Mozilla/…"
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.times import Stamp, take
from oddlog.types import LEVEL

_STAMP = (Stamp("%d/%b/%Y:%H:%M:%S"),)
_PARTS = ["head", "request", "numbers", "f.referer", "gap", "f.agent", "more"]
# The same by a regular expression, for quotes inside quotes.
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_HARD = rf"^([^\"]*){_QUOTED}([^\"]*)(?:{_QUOTED}([^\"]*)(?:{_QUOTED}(.*))?)?$"
_SERVER_ERROR, _CLIENT_ERROR = 500, 400


# RFC 9110, section 15, and RFC 6585. A table of our own: what a key is made of must not change with a library.
_PHRASES = {
    "200": "OK",
    "201": "Created",
    "202": "Accepted",
    "204": "No Content",
    "206": "Partial Content",
    "301": "Moved Permanently",
    "302": "Found",
    "303": "See Other",
    "304": "Not Modified",
    "307": "Temporary Redirect",
    "308": "Permanent Redirect",
    "400": "Bad Request",
    "401": "Unauthorized",
    "403": "Forbidden",
    "404": "Not Found",
    "405": "Method Not Allowed",
    "406": "Not Acceptable",
    "408": "Request Timeout",
    "409": "Conflict",
    "410": "Gone",
    "411": "Length Required",
    "412": "Precondition Failed",
    "413": "Content Too Large",
    "414": "URI Too Long",
    "415": "Unsupported Media Type",
    "416": "Range Not Satisfiable",
    "422": "Unprocessable Content",
    "429": "Too Many Requests",
    "499": "Client Closed Request",
    "500": "Internal Server Error",
    "501": "Not Implemented",
    "502": "Bad Gateway",
    "503": "Service Unavailable",
    "504": "Gateway Timeout",
}
_CLASSES = {"1": "Informational", "2": "Success", "3": "Redirect", "4": "Client Error", "5": "Server Error"}


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


def _message(frame: pl.DataFrame) -> pl.DataFrame:
    """Write ``METHOD path protocol status phrase``: what was asked and what came, without the query.

    The phrase is for the template: masking hides the number, and a 404 is another type of message than a 200.
    """
    frame = frame.with_columns(words(frame, pl.col("request"), ["f.method", "target", "protocol"]))
    path = pl.col("target").str.splitn("?", 2).struct.field("field_0")
    is_request = pl.col("f.method").str.contains(r"^[A-Z_\-]{2,20}$") & pl.col("target").is_not_null()
    asked = pl.concat_str(["f.method", path, "protocol"], separator=" ", ignore_nulls=True)
    return frame.with_columns(
        pl.when(is_request).then(path).alias("f.path"),
        pl.when(is_request).then("f.method").alias("f.method"),
        message=pl.concat_str(
            pl.when(is_request).then(asked).when(pl.col("request") == "").then(pl.lit("-")).otherwise("request"),
            "status",
            _phrase(),
            separator=" ",
        ),
    )


def _phrase() -> pl.Expr:
    by_class = pl.col("status").str.slice(0, 1).replace_strict(_CLASSES, default="", return_dtype=pl.String)
    return pl.col("status").replace_strict(_PHRASES, default=by_class, return_dtype=pl.String)


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(words(frame, pl.col("numbers").str.strip_chars(" "), ["status", "size", "time_taken"]))
    status = pl.col("status").str.to_integer(strict=False)
    level = (
        pl.when(status >= _SERVER_ERROR)
        .then(pl.lit("ERROR"))
        .when(status >= _CLIENT_ERROR)
        .then(pl.lit("WARNING"))
        .otherwise(pl.lit("INFO"))
    )
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
        level=level.cast(LEVEL),
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
        return finish(on_some(_numbers(read), pl.col("ok"), _message))
