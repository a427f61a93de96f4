"""What logs of HTTP requests have in common: what was asked and what came of it make the message."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import words
from oddlog.types import LEVEL

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


def level_of(status: pl.Expr) -> pl.Expr:
    """Return the LEVEL of a status (number): from 500 on ERROR, from 400 on WARNING, else INFO; null for null."""
    level = (
        pl.when(status >= _SERVER_ERROR)
        .then(pl.lit("ERROR"))
        .when(status >= _CLIENT_ERROR)
        .then(pl.lit("WARNING"))
        .when(status.is_not_null())
        .then(pl.lit("INFO"))
    )
    return level.cast(LEVEL)


def phrase(status: pl.Expr) -> pl.Expr:
    """Return the words that belong to a status (text), those of its class for an unusual one; null for null."""
    by_class = status.str.slice(0, 1).replace_strict(_CLASSES, default="", return_dtype=pl.String)
    known = status.replace_strict(_PHRASES, default=by_class, return_dtype=pl.String)
    return pl.when(status.is_not_null()).then(known)


def split_request(frame: pl.DataFrame, *, absolute: bool = False) -> pl.DataFrame:
    """Split ``request`` [lines], ``METHOD target protocol``, into ``f.method`` and ``f.path``; add ``asked``.

    ``asked`` is the request without its query, and `-` for none. Scheme and host of a target go with
    `absolute`, for logs that always write them.
    """
    frame = frame.with_columns(words(frame, pl.col("request"), ["f.method", "target", "protocol"]))
    path = pl.col("target").str.splitn("?", 2).struct.field("field_0")
    if absolute:
        path = path.str.replace(r"^[a-z]+://[^/]*", "").replace("", "/")
    is_request = pl.col("f.method").str.contains(r"^[A-Z_\-]{2,20}$") & pl.col("target").is_not_null()
    asked = pl.concat_str(["f.method", path, "protocol"], separator=" ", ignore_nulls=True)
    return frame.with_columns(
        pl.when(is_request).then(path).alias("f.path"),
        pl.when(is_request).then("f.method").alias("f.method"),
        asked=pl.when(is_request).then(asked).when(pl.col("request") == "").then(pl.lit("-")).otherwise("request"),
    ).drop("target", "protocol")


def with_answer(frame: pl.DataFrame, *, absolute: bool = False) -> pl.DataFrame:
    """Write the message ``METHOD path protocol status phrase`` from ``request`` and ``status`` [lines].

    The phrase is for the template: masking hides the number, and a 404 is another type of message than a 200.
    """
    frame = split_request(frame, absolute=absolute)
    return frame.with_columns(
        message=pl.concat_str("asked", "status", phrase(pl.col("status")), separator=" ", ignore_nulls=True)
    ).drop("asked")
