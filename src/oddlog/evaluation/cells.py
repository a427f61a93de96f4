"""One cell of a bench: a set, a protocol, a detector, a seed. Split, learn, judge, by the product's own functions.

::

    LogSet ──► Catalogue ──► Split ──► two folders of raw lines ──► fit ──► Model ──► detect ──► Judged
                                       train/        test/
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from oddlog import plugins
from oddlog.datasets import LogSet
from oddlog.errors import ConfigError
from oddlog.evaluation.catalogue import Catalogue, write_rows
from oddlog.evaluation.localising import line_table
from oddlog.evaluation.protocols import Split, split
from oddlog.features.hashing import mix, sums_of
from oddlog.model import Model
from oddlog.pipeline import detect, fit
from oddlog.pipeline.detecting import Detection
from oddlog.pipeline.distinct import sequence_hash
from oddlog.pipeline.views import View
from oddlog.types import I64, U64, Windows

DEFAULT = "default"  # the product as it ships: its members, its candidates, its rules
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


@dataclass(frozen=True)
class Cell:
    """What is run.

    Attributes
    ----------
    set, protocol, detector : str
        By name; a detector may be several joined by ``+``, or `default`.
    seed : int
        Of the split and of the detectors.
    recurring : str
        See `fit`.
    options : mapping
        By detector, what goes to its constructor.

    """

    set: str
    protocol: str
    detector: str
    seed: int = 0
    recurring: str = "usual"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes
    ----------
    judged : pl.DataFrame
        `JUDGED`: a verdict and a label for each window of the part that was judged.
    split : Split
        How the set was split.
    model : Model
        What was learned.
    found : Detection
        What the product says.
    fit_cpu_s, detect_cpu_s : float
        What learning and judging took, all threads.
    lines : pl.DataFrame or None
        Verdicts of lines (`localising.line_table`), where something is known of lines or of times.

    """

    judged: pl.DataFrame
    split: Split
    model: Model
    found: Detection
    fit_cpu_s: float
    detect_cpu_s: float
    lines: pl.DataFrame | None = None


def run(cell: Cell, of: LogSet, catalogue: Catalogue, folder: Path | None = None) -> Outcome:
    """Run a cell; what it writes on the way goes to `folder`, or is forgotten.

    Raises
    ------
    UserError
        If the set cannot be split so, or the detector cannot learn from it.

    """
    parts = split(catalogue, cell.protocol, cell.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) if folder is None else folder
        began = time.process_time()
        model = learn(cell, of, catalogue, parts, root)
        learned = time.process_time()
        rows = write_rows(of, catalogue.sources, catalogue.lines, parts.test, root / "test")
        judging = Judging(catalogue, rows)
        scores = root / "lines.parquet" if catalogue.labelled_by == "line" or of.incidents else None
        written = time.process_time()
        found = detect(model, root / "test", each=judging.add, line_scores=scores)
        judged = time.process_time()
        lines = None if scores is None else line_table(scores, rows, catalogue)
    return Outcome(judging.judged(), parts, model, found, learned - began, judged - written, lines)


def learn(cell: Cell, of: LogSet, catalogue: Catalogue, parts: Split, root: Path) -> Model:
    """Return what the product learns from the lines of the training part, which are written below `root`."""
    write_rows(of, catalogue.sources, catalogue.lines, parts.train, root / "train")
    labels = _labels(cell, of, catalogue, parts, root) if needs_labels(cell.detector) else None
    return _fitted(cell, of, catalogue, root, labels)


def _fitted(cell: Cell, of: LogSet, catalogue: Catalogue, root: Path, labels: Path | None) -> Model:
    choice = catalogue.choice
    return fit(
        root / "train",
        format=of.about.format,
        session="none" if choice.kind == "none" else choice.value,
        window=of.about.window,
        detectors=None if cell.detector == DEFAULT else members(cell.detector),
        options={name: dict(chosen) for name, chosen in cell.options.items()},
        labels=labels,
        recurring="odd" if cell.recurring == "odd" else "usual",
        rates=False,
        seed=cell.seed,
    )


def _labels(cell: Cell, of: LogSet, catalogue: Catalogue, parts: Split, root: Path) -> Path:
    """Write the labels of the windows to learn from, for detectors that need them.

    Those of a stream are known by keys that only the product gives: a model of new events is asked what it calls the
    windows of the training part.
    """
    if parts.labels != "learning":
        raise ConfigError(
            f"'{cell.detector}' learns from labels, and {cell.protocol} shows none.", "Try: --protocol time"
        )
    path = root / "labels.csv"
    if catalogue.by_session:
        met = np.unique(catalogue.case[parts.train])
        named = catalogue.cases[met[met >= 0]].select("key", "label")
    else:
        judging = Judging(catalogue, write_rows(of, catalogue.sources, catalogue.lines, parts.train, root / "train"))
        naming = Cell(cell.set, cell.protocol, "new-event", cell.seed)
        detect(_fitted(naming, of, catalogue, root, None), root / "train", each=judging.add)
        named = judging.judged().select("key", "label")
    named.filter(pl.col("label") >= 0).write_csv(path)
    return path


def members(detector: str) -> list[str]:
    """Return the names of the members that a detector of a bench is made of."""
    return detector.split("+")


def needs_labels(detector: str) -> bool:
    """Return whether one of the members cannot learn without labels."""
    names = [] if detector == DEFAULT else members(detector)
    return any(plugins.load("oddlog.detectors", name).needs == "labels" for name in names)


class Judging:
    """Takes verdicts as the product gives them and puts the labels of the windows' lines beside them.

    Parameters
    ----------
    catalogue : Catalogue
        Of the set.
    rows : mapping
        Row of each line of each file that is judged.

    """

    def __init__(self, catalogue: Catalogue, rows: Mapping[str, I64]) -> None:
        self._label = np.append(catalogue.label, np.int8(-1))
        self._case = np.append(catalogue.case, -1)
        self._case_label = np.append(catalogue.case_label, np.int8(-1)) if catalogue.by_session else None
        self._rows = rows
        self._parts = [pl.DataFrame(schema=JUDGED)]

    def add(self, view: View, windows: Windows, verdict: pl.DataFrame, sources: Sequence[str]) -> None:
        """Take in the verdicts of one part; see `detect`."""
        if not len(windows):
            return
        rows = self._rows_of(windows, sources)
        first = windows.offsets[:-1]
        case = self._case[rows[first]]
        label = np.maximum.reduceat(self._label[rows], first)
        if self._case_label is not None:  # part of a session has the label of the whole
            label = np.where(case >= 0, self._case_label[case], label)
        frame = verdict.select(
            pl.lit(view.name).alias("view"),
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
            pl.Series("pattern", set_hash(windows)),
        )
        self._parts.append(frame.match_to_schema(JUDGED))

    def _rows_of(self, windows: Windows, sources: Sequence[str]) -> I64:
        """Return the row of each event's line [e]."""
        rows = np.full(len(windows.line), -1, np.int64)
        for code in np.unique(windows.source).tolist():
            of = windows.source == code
            rows[of] = self._rows[sources[code]][windows.line[of].astype(np.int64) - 1]
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
