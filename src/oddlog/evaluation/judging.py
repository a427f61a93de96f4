"""Verdicts as the product gives them, with the labels of the windows' lines beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.wording import Wording
from oddlog.features.hashing import mix, sums_of
from oddlog.pipeline.judging.detection import Part
from oddlog.pipeline.learning.distinct import sequence_hash
from oddlog.types import I64, U64, Windows

NO_TYPE_UNSEEN = np.iinfo(np.uint32).max  # a type without a row of the model still differs from the next one

JUDGED = pl.Schema(
    {
        "view": pl.String,
        "key": pl.String,
        "case": pl.Int64,  # of the catalogue
        "start": pl.Int64,  # us
        "end": pl.Int64,
        "events": pl.UInt32,
        "label": pl.Int8,  # 1 if one of its lines is anomalous, -1 if nothing is known of any
        "score": pl.Float64,  # null: no opinion, as of a window that is not over
        "p_value": pl.Float64,
        "threshold": pl.Float64,
        "odd": pl.Boolean,
        "alike": pl.UInt64,  # the same for windows that hold the same types in the same order
        "pattern": pl.UInt64,  # the same for windows that hold the same set of types
    }
)


class Judging:
    """Takes verdicts as the product gives them and puts the labels of the windows' lines beside them.

    Parameters
    ----------
    catalogue : Catalogue
        Of the set.
    rows : mapping
        Row of each line of each file that is judged.
    wording : Wording, optional
        Is shown each window that is odd or labelled anomalous.

    """

    def __init__(self, catalogue: Catalogue, rows: Mapping[str, I64], wording: Wording | None = None) -> None:
        self._label = np.append(catalogue.label, np.int8(-1))
        self._case = np.append(catalogue.case, -1)
        self._case_label = np.append(catalogue.case_label, np.int8(-1)) if catalogue.by_session else None
        self._rows = rows
        self._wording = wording
        self._parts = [pl.DataFrame(schema=JUDGED)]

    def add(self, part: Part) -> None:
        """Take in the verdicts of one part; see `detect`."""
        windows = part.windows
        if not len(windows):
            return
        rows = self._rows_of(part)
        first = windows.offsets[:-1]
        case = self._case[rows[first]]
        label = np.maximum.reduceat(self._label[rows], first)
        if self._case_label is not None:  # part of a session has the label of the whole
            label = np.where(case >= 0, self._case_label[case], label)
        pattern = set_hash(windows)
        if self._wording is not None:
            self._wording.add(part, pattern, part.verdict["is_anomaly"].to_numpy() | (label == 1))
        frame = part.verdict.select(
            pl.lit(part.view.name).alias("view"),
            "key",
            pl.Series("case", case),
            pl.Series("start", windows.start),
            pl.Series("end", windows.end),
            pl.col("n_events").alias("events"),
            pl.Series("label", label, pl.Int8),
            pl.col("score").fill_nan(None),
            pl.col("p_value").fill_nan(None),
            "threshold",
            pl.col("is_anomaly").alias("odd"),
            pl.Series("alike", content_hash(windows)),
            pl.Series("pattern", pattern),
        )
        self._parts.append(frame.match_to_schema(JUDGED))

    def _rows_of(self, part: Part) -> I64:
        """Return the row of each event's line [e]."""
        windows = part.windows
        rows = np.full(len(windows.line), -1, np.int64)
        for code in np.unique(windows.source).tolist():
            of = windows.source == code
            rows[of] = self._rows[part.sources[code]][windows.line[of].astype(np.int64) - 1]
        return rows

    def judged(self) -> pl.DataFrame:
        """Return `JUDGED`, in order of time."""
        return pl.concat(self._parts).sort("view", "start", "key", maintain_order=True)


def content_hash(windows: Windows) -> U64:
    """Return a hash of the types of each window [w] in their order, whether it is over or not."""
    closed = np.zeros(len(windows), np.uint8)
    return sequence_hash(replace(windows, closed_by=closed), frozenset({"template", "order"}), NO_TYPE_UNSEEN)


def set_hash(windows: Windows) -> U64:
    """Return a hash of the set of types of each window [w]."""
    window = windows.window_of_event
    order = np.lexsort((windows.template, window))
    template, window = windows.template[order], window[order]
    again = np.zeros(len(order), np.bool_)
    again[1:] = (template[1:] == template[:-1]) & (window[1:] == window[:-1])
    with np.errstate(over="ignore"):
        hashes = mix(template.astype(np.uint64))
    return sums_of(np.where(again, np.uint64(0), hashes), windows.offsets)
