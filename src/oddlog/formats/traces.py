"""Identifiers of distributed traces that a logging pattern puts at the head of the message."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import on_some

_TRACE = r"^\[?(?i:trace_?id)[=:] ?([0-9A-Za-z\-]*),?[ ;](?i:span_?id)[=:] ?([0-9A-Za-z\-]*)\]? ?"


def without_trace(frame: pl.DataFrame) -> pl.DataFrame:
    """Move ``TraceID: x SpanID: y`` at the head of the message to fields."""
    starts = pl.col("message").str.contains(r"^\[?[Tt](?i:race)")

    def strip(some: pl.DataFrame) -> pl.DataFrame:
        found = pl.col("message").str.extract_groups(_TRACE)
        known = [pl.col(n) if n in some.columns else pl.lit(None, pl.String) for n in ("f.trace_id", "f.span_id")]
        return some.with_columns(
            pl.coalesce(known[0], found.struct.field("1").replace("", None)).alias("f.trace_id"),
            pl.coalesce(known[1], found.struct.field("2").replace("", None)).alias("f.span_id"),
            message=pl.col("message").str.replace(_TRACE, ""),
        )

    return on_some(frame, starts, strip)
