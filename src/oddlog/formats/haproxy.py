"""HAProxy's HTTP, TCP and error logs, with or without the syslog header in front, and what it says of itself.

::

    192.0.2.7:5123 [20/Nov/2024:10:11:12.345] web~ shop/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / …"
    192.0.2.7:5123 [20/Nov/2024:10:11:12.345] mail smtp/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0
    192.0.2.7:5123 [20/Nov/2024:10:11:12.345] web/1: SSL handshake failure
    Nov 20 10:11:12 lb-1 haproxy[17]: Server shop/srv1 is DOWN, reason: Layer4 timeout, …

Order and meaning of the columns: HAProxy configuration manual, sections 8.2.2, 8.2.3, 8.2.5 and 8.5.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.http import level_of, with_answer
from oddlog.formats.layout import Step, cascade, finish, lines_of, on_some, words
from oddlog.formats.syslog import Syslog
from oddlog.formats.syslog5424 import Syslog5424
from oddlog.formats.times import strptime
from oddlog.types import LEVEL, TIME, Format

_HEAD = ["client", "stamp", "f.frontend", "where", "timers", "tail"]
_HTTP = ["status", "n.bytes", "cookie", "set_cookie", "f.termination", "conns", "queues", "tail"]
_TCP = ["n.bytes", "f.termination", "conns", "queues"]
_HTTP_TIMERS = ["n.request_ms", "n.queue_ms", "n.connect_ms", "n.response_ms", "n.total_ms"]
_TCP_TIMERS = ["n.queue_ms", "n.connect_ms", "n.total_ms"]
_CONNS = ["n.active_conns", "n.frontend_conns", "n.backend_conns", "n.server_conns", "n.retries"]
_QUEUES = ["n.server_queue", "n.backend_queue"]
_NUMBER = r"-?[0-9]+"
_STAMP = r"^\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?\]$"
_USUAL_END = "--"
# Section 8.5, first character: who or what ended the session. By client or itself, by server, proxy, resources, …
_ENDED_BY = {
    "-": "INFO",
    **dict.fromkeys("CcLU", "NOTICE"),
    **dict.fromkeys("sPDK", "WARNING"),
    **dict.fromkeys("SRI", "ERROR"),
}
# The severities with which HAProxy sends them (alert, emerg, notice), for headers that do not tell.
_NEWS = {r" is DOWN\b": "CRITICAL", r" has no server available": "CRITICAL", r" is UP\b|\bstarted\.$": "NOTICE"}


def _slashes(frame: pl.DataFrame, column: str, names: list[str]) -> list[pl.Expr]:
    """Return numbers between slashes; -1 (not reached) is null, a plus (not final) is dropped."""
    parts = words(frame, pl.col(column).str.replace_all("+", "", literal=True), names, by="/")
    number = [pl.lit(part.cast(pl.Float64, strict=False)) for part in parts]
    return [pl.when(n >= 0).then(n).alias(part.name) for n, part in zip(number, parts, strict=True)]


def _head(frame: pl.DataFrame) -> pl.DataFrame:
    """Split what all three kinds of lines begin with: client, time, frontend."""
    frame = frame.with_columns(words(frame, pl.col("body"), _HEAD))
    fraction = (pl.col("stamp").str.extract(r"\.([0-9]+)\]", 1) + "000000").str.head(6).str.to_integer(strict=False)
    time = strptime(pl.col("stamp").str.slice(1, 20), "%d/%b/%Y:%H:%M:%S")
    return frame.with_columns(
        pl.col("client").str.extract(r"^(.*):[0-9]+$", 1).alias("f.client"),
        stamped=pl.col("stamp").str.contains(_STAMP),
        accepted=(time + pl.duration(microseconds=fraction.fill_null(0))).cast(TIME),
    )


def _traffic(frame: pl.DataFrame, n_timers: int) -> pl.DataFrame:
    """Split a line of HTTP (five timers) or TCP (three)."""
    frame = _head(frame)
    http = n_timers == len(_HTTP_TIMERS)
    looks = pl.col("stamped") & pl.col("timers").str.contains(rf"^{_NUMBER}(?:/\+?{_NUMBER}){{{n_timers - 1}}}$")
    frame = frame.with_columns(ok=looks)
    if not frame["ok"].any():
        return frame
    frame = frame.with_columns(words(frame, pl.col("tail"), _HTTP if http else _TCP))
    frame = frame.with_columns(words(frame, pl.col("queues"), ["queues", "more"]))
    frame = frame.with_columns(
        *words(frame, pl.col("where"), ["service", "f.server"], by="/"),
        pl.col("f.frontend").str.strip_suffix("~"),  # TLS
        pl.col("n.bytes").str.strip_prefix("+").cast(pl.Float64, strict=False),
        *_slashes(frame, "timers", _HTTP_TIMERS if http else _TCP_TIMERS),
        *_slashes(frame, "conns", _CONNS),
        *_slashes(frame, "queues", _QUEUES),
    )
    counted = pl.col("conns").str.contains(r"^[0-9]+(?:/\+?[0-9]+){4}$") & pl.col("queues").str.contains(
        r"^[0-9]+/[0-9]+$"
    )
    frame = frame.with_columns(
        pl.when(pl.col("f.server") != "<NOSRV>").then("f.server").alias("f.server"), ok=pl.col("ok") & counted
    )
    return on_some(frame, pl.col("ok"), _http if http else _tcp)


def _ended(message: pl.Expr) -> pl.Expr:
    """Add an unusual end to the message: `SC` and `CD` are events of different types."""
    end = pl.col("f.termination").str.head(2)
    return pl.when(end == _USUAL_END).then(message).otherwise(pl.concat_str(message, end, separator=" "))


def _ended_level() -> pl.Expr:
    first = pl.col("f.termination").str.head(1)
    return first.replace_strict(_ENDED_BY, default="WARNING", return_dtype=LEVEL)


def _http(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(words(frame, pl.col("tail").fill_null(""), ["captured", "request"], by='"'))
    frame = frame.with_columns(
        pl.col("captured").str.extract(r"^\{([^}]*)\}", 1).replace("", None).alias("f.request_headers"),
        pl.col("captured").str.extract(r"^\{[^}]*\} \{([^}]*)\}", 1).replace("", None).alias("f.response_headers"),
        # what follows the last quote is the TLS part of `option httpslog`; a cut request has no quote behind it
        request=pl.col("request").fill_null("").str.replace(r'"[^"]*$', ""),
        status=pl.when(pl.col("status") != "-1").then("status"),
    )
    number = pl.col("status").str.to_integer(strict=False)
    frame = with_answer(frame)
    return frame.with_columns(
        number.cast(pl.Float32).alias("n.status"),
        ok=pl.col("status").is_null() | number.is_between(100, 999),
        level=pl.coalesce(level_of(number), _ended_level()),
        message=_ended(pl.col("message")),
    )


def _tcp(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(level=_ended_level(), message=_ended(pl.lit("TCP")))


def _error(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``frontend/listener: message``, which is written when a connection comes to nothing."""
    frame = _head(frame)
    message = pl.concat_str("where", "timers", "tail", separator=" ", ignore_nulls=True)
    listener = pl.col("f.frontend").str.extract(r"^([^/]+)/[^/]+:$", 1)
    return frame.with_columns(
        listener.alias("f.frontend"),
        ok=pl.col("stamped") & listener.is_not_null(),
        level=pl.lit("WARNING", LEVEL),
        service=listener,
        message=message,
    )


_SHAPES: list[Step] = [partial(_traffic, n_timers=5), partial(_traffic, n_timers=3), _error]


def _bare(frame: pl.DataFrame) -> pl.DataFrame:
    return cascade(frame.with_columns(body="text"), _SHAPES).rename({"accepted": "time"}, strict=False)


def _headed(frame: pl.DataFrame, header: Format, year: int) -> pl.DataFrame:
    """Read lines behind a syslog header; what is no traffic is HAProxy's own if the tag says so."""
    if not frame["text"].str.contains("haproxy|/[0-9]+/[0-9]+ ").any():
        return frame.with_columns(ok=pl.lit(value=False))
    outer = header.parse(frame["text"], year=year).rename(lambda name: f"outer {name}")
    frame = frame.hstack(outer).with_columns(body=pl.when("outer ok").then("outer message").otherwise(pl.lit("")))
    frame = cascade(frame, _SHAPES)
    own = ~pl.col("ok") & pl.col("outer ok") & pl.col("outer service").str.starts_with("haproxy")
    frame = on_some(frame, own, _news)
    # the time in brackets is local: a header with an offset knows better, one without a year does not
    zoned = pl.col("text").str.contains(r"^(?:<[0-9]{1,3}>[0-9]* ?)?[0-9]{4}-")
    accepted = [] if "accepted" not in frame.columns else [pl.when(~zoned).then("accepted")]
    pid = [pl.col("outer f.pid").alias("f.pid")] if "outer f.pid" in frame.columns else []
    return frame.with_columns(*pid, host="outer host", time=pl.coalesce(*accepted, "outer time"))


def _news(frame: pl.DataFrame) -> pl.DataFrame:
    level = pl.col("outer level")
    for pattern, known in _NEWS.items():
        level = pl.coalesce(level, pl.when(pl.col("body").str.contains(pattern)).then(pl.lit(known, LEVEL)))
    named = pl.col("body").str.extract(r"^(?:Backup )?(?:Server|Proxy|[Bb]ackend) '?([^/'\s]+)", 1)
    return frame.with_columns(
        pl.col("body").str.extract(r"Server ([^/\s]+)/(\S+)", 2).alias("f.server"),
        pl.col("body").str.extract(r"^Connect from (\S+):[0-9]+ to ", 1).alias("f.client"),
        ok=pl.lit(value=True),
        level=level,
        service=pl.coalesce(named, "outer service"),
        message="body",
    )


class HAProxy:
    """One line per request or connection; the backend is the service."""

    name = "haproxy"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; a TCP session's level is told by its end, a request's by its status."""
        headed = [partial(_headed, header=header, year=year) for header in (Syslog(), Syslog5424())]
        return finish(cascade(lines_of(text), [_bare, *headed]))
