"""nginx's error log.

::

    2024/11/20 10:11:12 [error] 17#0: *42 open() "/srv/a" failed (2: No such file), client: 192.0.2.7, server: …
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.http import split_request
from oddlog.formats.layout import finish, lines_of, on_some, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import Stamp, take

_STAMP = (Stamp("%Y/%m/%d %H:%M:%S"),)
_CONTEXT = r"^(.*?), client: ([^,]*)((?:, server: .*)?)$"
_NAMED = r", (?:subrequest|upstream|host|referrer): "


def _context(frame: pl.DataFrame) -> pl.DataFrame:
    """Split what nginx knew of the connection from the message: client, server, request, upstream, host, referrer."""
    # a message may quote what another program says, ", client: " included: what follows must be the context
    found = frame["message"].str.extract_groups(_CONTEXT).struct.unnest()
    frame = frame.with_columns(found["1"].alias("message"), found["2"].alias("f.client"), found["3"].alias("context"))
    context = pl.col("context")
    # the request is written as it came, quotes and all: it ends where the next name begins
    request = context.str.extract(rf', request: "(.*?)"(?:{_NAMED}|$)', 1)
    server = context.str.extract(r", server: ([^,]*)", 1)
    frame = frame.with_columns(
        context.str.extract(r', upstream: "([^"]*)"', 1).alias("f.upstream"),
        context.str.extract(r', host: "([^"]*)"', 1).alias("f.host"),
        context.str.extract(r', referrer: "([^"]*)"', 1).alias("f.referer"),
        request=request,
        service=pl.when(~server.is_in(["_", ""])).then(server),  # the name of a server that has none
    )
    return split_request(frame).drop("context", "request", "asked")


class NginxError:
    """Time, level, process and thread, connection, message, context; the server's name is the service."""

    name = "nginx_error"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where ``[level] pid#tid:`` follows the time."""
        taken = take(lines_of(text), year=year, only=_STAMP)
        taken = taken.with_columns(words(taken, pl.col("rest").str.slice(1), ["word", "process", "message"]))
        level = by_word(pl.col("word").str.strip_chars("[]"))
        connection = r"^\*([0-9]+) "
        frame = taken.with_columns(
            pl.col("process").str.extract(r"^([0-9]+)#[0-9]+:$", 1).alias("f.pid"),
            pl.col("message").str.extract(connection, 1).alias("f.connection"),
            message=pl.col("message").fill_null("").str.replace(connection, ""),
            level=level,
        ).with_columns(
            ok=pl.col("ok")
            & pl.col("word").str.starts_with("[")
            & pl.col("level").is_not_null()
            & pl.col("f.pid").is_not_null()
        )
        known = pl.col("ok") & pl.col("message").str.contains(_CONTEXT)
        return finish(on_some(frame, known, _context))
