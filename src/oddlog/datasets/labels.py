"""Reads back what a simulated folder says is odd, to score against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from oddlog.errors import LabelError
from oddlog.types import TIME

INCIDENTS = pl.Schema(
    {
        "id": pl.String(),
        "kind": pl.String(),
        "group": pl.String(),  # known or unknown; empty where the data set makes no difference
        "period": pl.String(),  # train or today
        "start": TIME,
        "end": TIME,
        "services": pl.List(pl.String()),
        "hosts": pl.List(pl.String()),
        "entity": pl.String(),  # the address or host it is about; null where there is none
        "expected_reasons": pl.List(pl.String()),  # kinds of reasons, any of which explains it
        "traces": pl.Int64(),
        "lines": pl.Int64(),
    }
)
LINES = pl.Schema(
    {
        "source": pl.String(),  # path below the folder, today/web.log
        "line": pl.UInt64(),  # 1-based
        "incident": pl.String(),
        "kind": pl.String(),
        "direct": pl.Boolean(),  # the line itself shows what is wrong; else it belongs to a request that went wrong
    }
)


@dataclass(frozen=True)
class LabelledIncidents:
    """What is odd in a folder.

    Attributes
    ----------
    incidents : frame
        As in `INCIDENTS`, in the order of the file.
    lines : frame
        As in `LINES`; lines that are not named are usual.

    """

    incidents: pl.DataFrame
    lines: pl.DataFrame

    def of(self, period: str) -> LabelledIncidents:
        """Return those of one period, ``train`` or ``today``."""
        return LabelledIncidents(
            self.incidents.filter(pl.col("period") == period),
            self.lines.filter(pl.col("source").str.starts_with(f"{period}/")),
        )


def read_labels(folder: Path | str) -> LabelledIncidents:
    """Return what is odd in a folder that `simulate` or `simulate_datacentre` wrote.

    Raises
    ------
    LabelError
        The folder has no labels, or they cannot be read.

    """
    folder = Path(folder)
    try:
        found = json.loads((folder / "incidents.json").read_text(encoding="utf-8"))
        lines = pl.read_csv(folder / "labels_lines.csv")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        hint = "Write some: oddlog simulate."
        raise LabelError(f"{folder} has no labels that can be read: {error}.", hint) from error
    return LabelledIncidents(_incidents(found), _lines(lines))


def read_incidents(path: Path) -> pl.DataFrame:
    """Return the `INCIDENTS` of a file.

    Raises
    ------
    LabelError
        It cannot be read.

    """
    try:
        return _incidents(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise LabelError(
            f"{path} cannot be read: {error}.", "It is a list of: id kind start end services hosts."
        ) from error


def _incidents(found: list[dict[str, Any]]) -> pl.DataFrame:
    # those of the shop have neither group nor period: all of them come today
    rows: list[dict[str, Any]] = [
        {"group": "", "period": "today", "expected_reasons": [], "entity": one.get("address")} | one for one in found
    ]
    texts = {**INCIDENTS, "start": pl.String(), "end": pl.String()}
    frame = pl.DataFrame([{name: row.get(name) for name in INCIDENTS} for row in rows], schema=texts)
    times = [pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC") for name in ("start", "end")]
    return frame.with_columns(times)


def _lines(lines: pl.DataFrame) -> pl.DataFrame:
    if "incident" not in lines.columns:  # the shop has one incident of each kind, and marks whole requests
        lines = lines.with_columns(incident=pl.col("kind"), direct=pl.lit(1))
    return lines.select(pl.col(name).cast(kind) for name, kind in LINES.items())
