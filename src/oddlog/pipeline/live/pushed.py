"""What a push of lines brought: verdicts of windows, and lines that are odd by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from oddlog.pipeline.live.recent import Recent
from oddlog.templates import Matcher
from oddlog.types import LINE_SCORES, NO_TIME, SCORES, TIME

VERDICTS = pl.Schema({**SCORES, "view": pl.String(), "provisional": pl.Boolean()})
ODD_LINES = pl.Schema({**LINE_SCORES, "service": pl.String(), "text": pl.String(), "message": pl.String()})


@dataclass(frozen=True)
class Pushed:
    """What a push brought.

    Attributes
    ----------
    verdicts : pl.DataFrame
        `VERDICTS` of windows that were closed, or (provisional) pause.
    lines : pl.DataFrame
        `ODD_LINES`: lines that are odd by themselves, whatever becomes of their windows.

    """

    verdicts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VERDICTS))
    lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ODD_LINES))


def joined(parts: list[Pushed]) -> Pushed:
    """Return what several pushes brought, as one."""
    return Pushed(stacked([one.verdicts for one in parts], VERDICTS), stacked([one.lines for one in parts], ODD_LINES))


def stacked(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """Return frames of one schema, one below the other; most of them are empty."""
    full = [frame for frame in frames if len(frame)]
    return pl.concat(full) if len(full) > 1 else full[0] if full else pl.DataFrame(schema=schema)


def shown_lines(
    odd: pl.DataFrame, matcher: Matcher, services: Sequence[str], origins: Sequence[str], recent: Recent
) -> pl.DataFrame:
    """Return odd lines with what a reader needs: where, when, the text."""
    wanted: dict[str, set[int]] = {}
    sources = [origins[code] for code in odd["source"].to_list()]
    for source, line in zip(sources, odd["line"].to_list(), strict=True):
        wanted.setdefault(source, set()).add(line)
    texts = recent.again(wanted, ("source", "line", "text", "message"))
    told = odd.select(
        pl.Series("source", sources, dtype=pl.String),
        "line",
        pl.when(pl.col("time_us") != NO_TIME).then(pl.col("time_us")).cast(TIME).alias("time"),
        pl.Series("template", [matcher.text_of(row) for row in odd["template"].to_list()], dtype=pl.String),
        pl.col("score").cast(pl.Float64),
        "p_value",
        "is_anomaly",
        pl.lit("rare or never seen").alias("reason"),
        pl.Series("service", [services[code] for code in odd["service"].to_list()], dtype=pl.String),
    )
    return told.join(texts, on=["source", "line"], how="left", maintain_order="left").select(ODD_LINES.names())
