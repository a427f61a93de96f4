"""Access logs of AWS's load balancers, classic and application (Elastic Load Balancing user guides, "Access logs").

::

    2024-11-20T10:11:12.345678Z shop-lb 192.0.2.7:2817 198.51.100.1:80 0.001 0.25 0.0 200 200 0 29 "GET …
    https 2024-11-20T10:11:12.345678Z app/shop-lb/50d… 192.0.2.7:2817 198.51.100.1:80 0.0 0.25 0.0 200 200 34 366 "…
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.http import level_of, with_answer
from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.times import STAMPS, take

_COLUMNS = ["stamp", "host", "client", "target", "request_s", "target_s", "response_s", "status", "behind", "in", "out"]
_KINDS = ["http", "https", "h2", "grpcs", "ws", "wss"]
# Between the quotes of an application load balancer's line stand single spaces or further columns.
_QUOTED = ["head", "request", "_", "f.agent", "tls", "trace", "_", "f.domain", "_", "_", "rule", "f.action"]
_QUOTED += ["_", "f.redirect", "_", "f.error", "more"]
_GROUP = r":targetgroup/([^/]+)/"


def _quotes(frame: pl.DataFrame) -> pl.DataFrame:
    names = [f"{name}{i}" if name == "_" else name for i, name in enumerate(_QUOTED)]
    return frame.with_columns(words(frame, pl.col("text"), names, by='"'))


def _shape(frame: pl.DataFrame, kind: bool, year: int) -> pl.DataFrame:
    """Split the columns before the first quote, with what kind of connection it was in front or without."""
    columns = ["f.type", *_COLUMNS] if kind else _COLUMNS
    frame = frame.with_columns(words(frame, pl.col("head").str.strip_suffix(" "), columns))
    taken = take(frame.with_columns(text=pl.col("stamp").fill_null("")), year=year, only=STAMPS[1:2])
    number = r"^(?:-?[0-9]+(?:\.[0-9]+)?|-)$"
    fits = [pl.col(c).str.contains(number) for c in _COLUMNS[4:]]
    fits += [pl.col("f.type").is_in(_KINDS)] if kind else []
    return taken.with_columns(ok=pl.all_horizontal("ok", pl.col("rest") == "", pl.col("request").is_not_null(), *fits))


def _fields(frame: pl.DataFrame) -> pl.DataFrame:
    def ms(name: str) -> pl.Expr:  # -1 where it did not come to that
        seconds = pl.col(name).cast(pl.Float64, strict=False)
        return pl.when(seconds >= 0).then(seconds * 1_000)

    def nil(name: str) -> pl.Expr:
        return pl.when(~pl.col(name).is_in(["-", ""])).then(pl.col(name))

    status = nil("status").str.to_integer(strict=False)
    host = pl.col("host").str.extract(r"^app/([^/]+)/", 1)
    frame = frame.with_columns(
        pl.col("client").str.extract(r"^(.*):[0-9]+$", 1).alias("f.client"),
        nil("target").alias("f.target"),
        pl.col("trace").str.extract(r"Root=([^;]+)", 1).alias("f.trace_id"),
        pl.col("tls").str.extract(r"^ \S+ (TLS\S+|SSL\S+)", 1).alias("f.tls"),
        *[nil(n).alias(n) for n in ("f.agent", "f.domain", "f.action", "f.redirect", "f.error")],
        *[ms(f"{n}_s").alias(f"n.{n}_ms") for n in ("request", "target", "response")],
        pl.col("in").cast(pl.Float64, strict=False).alias("n.bytes_in"),
        pl.col("out").cast(pl.Float64, strict=False).alias("n.bytes"),
        nil("behind").cast(pl.Float64, strict=False).alias("n.target_status"),
        status.cast(pl.Float64).alias("n.status"),
        host=pl.coalesce(host, "host"),
        service=pl.coalesce(pl.col("tls").str.extract(_GROUP, 1), host, "host"),
        level=pl.coalesce(level_of(status), pl.lit("INFO")),  # TCP has no status
        status=nil("status"),
        request=pl.col("request").str.strip_chars(" ").replace("- - -", "TCP"),
    )
    return with_answer(frame, absolute=True)


class Elb:
    """Time, load balancer, client, target, durations, status, sizes, request; the target group is the service."""

    name = "elb"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; durations are milliseconds, ``n.bytes`` is what was sent to the client."""
        frame = _quotes(lines_of(text)).with_columns(whole="text")
        steps = [partial(_shape, kind=kind, year=year) for kind in (False, True)]
        frame = cascade(frame, steps).with_columns(text="whole")
        return finish(on_some(frame, pl.col("ok"), _fields))
