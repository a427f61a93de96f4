"""Single lines against labels: which are odd, how soon after something went wrong, and in which service and host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from oddlog.datasets import read_incidents
from oddlog.evaluation import metrics
from oddlog.evaluation.catalogue import Catalogue
from oddlog.types import I64

TOP = (1, 3)
SOON_S = (1, 10, 60)
DETECTED = ("time_to_detection_s", "lines_to_detection")


def line_table(scores: Path, rows: Mapping[str, I64], catalogue: Catalogue) -> pl.DataFrame:
    """Return ``row time_us score odd label case service host`` of the lines that `detect` has judged.

    Parameters
    ----------
    scores : path
        What `detect` wrote as `line_scores`.
    rows : mapping
        Row of each line of each file that was judged.
    catalogue : Catalogue
        Of the set.

    """
    found = pl.read_parquet(scores)
    parts = [
        some.with_columns(row=pl.Series(rows[str(source)][some["line"].to_numpy().astype(np.int64) - 1]))
        for (source,), some in found.partition_by("source", as_dict=True, maintain_order=True).items()
    ]
    lines = pl.concat(parts) if parts else found.with_columns(row=pl.lit(0, pl.Int64))
    of = catalogue.lines[lines["row"].to_numpy()]
    return lines.select(
        "row",
        of["time_us"],
        pl.col("score").fill_nan(None),
        pl.col("is_anomaly").alias("odd"),
        of["label"],
        of["case"],
        of["service"],
        of["host"],
    ).sort("row")


def line_figures(lines: pl.DataFrame) -> dict[str, Any]:
    """Return how the verdicts of lines agree with their labels."""
    label, odd = lines["label"].to_numpy(), lines["odd"].to_numpy()
    score = lines["score"].fill_null(float("nan")).to_numpy()
    counts = metrics.counted(odd, label)
    usual = counts.false + counts.passed
    return {
        "lines": len(lines),
        "anomalous_lines": int((label == 1).sum()),
        "line_f1": counts.f1,
        "line_precision": counts.precision,
        "line_recall": counts.recall,
        "line_roc_auc": metrics.roc_auc(score, label),
        "false_lines_per_1000": 1_000 * counts.false / usual if usual else float("nan"),
    }


def pressing_figures(lines: pl.DataFrame) -> dict[str, Any]:
    """Return how well the most pressing line of a case says what the case is: novelty x level x words.

    The score of a case is that of its most pressing line; it is odd if one of its lines is odd by itself.
    """
    by_case = (
        lines.filter(pl.col("case") >= 0, pl.col("label") >= 0)
        .group_by("case", maintain_order=True)
        .agg(pl.col("score").max(), pl.col("odd").any(), pl.col("label").max())
    )
    label, score = by_case["label"].to_numpy(), by_case["score"].fill_null(float("nan")).to_numpy()
    return {
        "pressing_f1": metrics.counted(by_case["odd"].to_numpy(), label).f1,
        "pressing_roc_auc": metrics.roc_auc(score, label),
        "pressing_oracle_f1": metrics.oracle(score, label)[0],
    }


def incident_figures(lines: pl.DataFrame, incidents: Path, catalogue: Catalogue) -> dict[str, Any]:
    """Return how soon labelled incidents are seen, and whether the right service and host are named.

    *Seen* is an incident at its first odd line that is labelled anomalous, between its start and its end; where the
    incident is a session, in that session only. *Named* are the services (and hosts) of the odd lines of that time,
    labelled or not, by their highest score, then by their number: what a person sees who is called and knows when,
    not where.
    """
    rows = read_incidents(incidents).to_dicts()
    key = dict(zip(catalogue.cases["key"].to_list(), range(len(catalogue.cases)), strict=True))
    waits: list[tuple[float, int] | None] = []
    named: dict[str, list[tuple[str, ...]]] = {"service": [], "host": []}
    truth: dict[str, list[str]] = {"service": [], "host": []}
    for one in rows:
        start, end = (int(one[name].timestamp() * 1e6) for name in ("start", "end"))
        within = lines.filter(pl.col("time_us").is_between(start, end))
        if one["id"] in key:
            within = within.filter(pl.col("case") == key[one["id"]])
        if not (within["label"] == 1).any():
            continue  # it lies in another part, or left no trace
        waits.append(_wait(within.filter(pl.col("label") == 1).sort("time_us", "row"), start))
        for what, names in (("service", one["services"]), ("host", one["hosts"])):
            if names:
                named[what].append(_ranked(within, what))
                truth[what].append(names[0])
    told: dict[str, Any] = {"incidents": len(waits)}
    seen = [one for one in waits if one is not None]
    if waits:
        told["incidents_seen"] = len(seen) / len(waits)
        told |= {f"incidents_within_{s}_s": sum(wait <= s for wait, _ in seen) / len(waits) for s in SOON_S}
        told["usual_lines_odd_per_1000"] = _per_1000(lines)
    for name, values in zip(DETECTED, zip(*seen, strict=True), strict=False):
        told |= {name: float(np.median(values)), f"{name}_90": float(np.quantile(values, 0.9))}
    for what, names in truth.items():
        ranked = [_as_truth(one, true) for one, true in zip(named[what], names, strict=True)]
        told |= {f"{what}_top_{k}": metrics.top(ranked, names, k) for k in TOP if names}
    return told


def _per_1000(lines: pl.DataFrame) -> float:
    """Return how many of a thousand lines of usual cases, or usual lines, are odd."""
    usual = lines.filter(pl.col("label") == 0)
    return 1_000 * int(usual["odd"].sum()) / len(usual) if len(usual) else float("nan")


def _wait(lines: pl.DataFrame, start_us: int) -> tuple[float, int] | None:
    """Return seconds and lines until the first odd one, None if none is."""
    first = lines["odd"].arg_max()
    if first is None or not lines["odd"][first]:
        return None
    return (lines["time_us"][first] - start_us) / 1e6, first


def _ranked(lines: pl.DataFrame, what: str) -> tuple[str, ...]:
    odd = lines.filter("odd").drop_nulls(what)
    by_name = odd.group_by(what).agg(pl.col("score").max(), n=pl.len())
    return tuple(by_name.sort("score", "n", what, descending=[True, True, False], nulls_last=True)[what].to_list())


def _as_truth(names: tuple[str, ...], true: str) -> tuple[str, ...]:
    """Return the names, each part of the true one (nova/api, nova.compute of nova) called by that."""
    return tuple(true if name == true or name.lower().startswith((f"{true}/", f"{true}.")) else name for name in names)
