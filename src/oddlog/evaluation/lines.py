"""The verdicts of single lines (`detect --line-scores`) against labelled lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from oddlog.datasets import LabelledIncidents
from oddlog.evaluation.verdicts import Judged, judged
from oddlog.types import I8


def judge_lines(
    scores: pl.DataFrame, labels: LabelledIncidents, folder: str | Path = "", *, direct: bool = False
) -> Judged:
    """Return how the verdicts of lines agree with the labels.

    Parameters
    ----------
    scores : frame
        `types.LINE_SCORES` of every line; a line without a score counts as the least odd.
    labels : LabelledIncidents
        Of the same period.
    folder : path
        What the sources of `scores` have before those of the labels.
    direct : bool
        Ask only for lines that themselves show what is wrong. The others of the same incidents are then left out:
        whoever calls them odd is not wrong.

    """
    lines = _labelled(scores, labels, folder)
    if direct:
        lines = lines.filter(pl.col("kind").is_null() | pl.col("direct"))
    label: I8 = lines["kind"].is_not_null().cast(pl.Int8).to_numpy()
    score = lines["score"].fill_null(float("nan")).to_numpy()
    return judged(np.nan_to_num(score, nan=-np.inf), lines["is_anomaly"].to_numpy(), label)


def recall_by_kind(scores: pl.DataFrame, labels: LabelledIncidents, folder: str | Path = "") -> pl.DataFrame:
    """Return ``kind lines found direct found_direct``: labelled lines of each kind, and those called odd."""
    lines = _labelled(scores, labels, folder).filter(pl.col("kind").is_not_null())
    odd, direct = pl.col("is_anomaly"), pl.col("direct")
    return (
        lines.group_by("kind")
        .agg(lines=pl.len(), found=odd.sum(), direct=direct.sum(), found_direct=(odd & direct).sum())
        .sort("kind")
    )


def _labelled(scores: pl.DataFrame, labels: LabelledIncidents, folder: str | Path) -> pl.DataFrame:
    before = f"{str(folder).rstrip('/')}/" if str(folder) else ""
    below = scores.select(pl.col("source").str.strip_prefix(before), "line", "score", "is_anomaly")
    # a line can belong to two incidents; it is one line
    known = labels.lines.sort("direct", descending=True).unique(["source", "line"], keep="first", maintain_order=True)
    return below.join(known.select("source", "line", "kind", "direct"), on=["source", "line"], how="left")
