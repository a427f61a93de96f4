"""One cell of a bench: a set, a protocol, a detector, a seed. Split, learn, judge, by the product's own functions.

::

    LogSet ──► Catalogue ──► Split ──► two folders of raw lines ──► fit ──► Model ──► detect ──► Judged
                                       train/        test/
"""

from __future__ import annotations

import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from oddlog import plugins
from oddlog.datasets import LogSet
from oddlog.errors import ConfigError
from oddlog.evaluation.catalogue import Catalogue, write_rows
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.localising import line_table
from oddlog.evaluation.protocols import Split, split
from oddlog.evaluation.wording import Wording
from oddlog.model import Model
from oddlog.pipeline import detect, fit
from oddlog.pipeline.judging.detection import Detection, Part
from oddlog.types import I64

DEFAULT = "default"  # the product as it ships: its members, its candidates, its rules


@dataclass(frozen=True)
class Cell:
    """What is run.

    Attributes
    ----------
    set, protocol, detector : str
        By name; a detector may be several joined by ``+``, each with options behind colons, or `default`.
    seed : int
        Of the split and of the detectors.
    recurring : str
        See `fit`.
    answers : int
        How many answers somebody gives at most; see `prequential`.
    options : mapping
        By detector, what goes to its constructor.

    """

    set: str
    protocol: str
    detector: str
    seed: int = 0
    recurring: str = "usual"
    answers: int = 0
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
        `judging.JUDGED`: a verdict and a label for each window of the part that was judged.
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
    parts : tuple of Part
        What the product told of each part, where answers are to be given.
    rows : mapping
        Row of each line of each file that was judged.
    wording : Wording
        Says in words what windows are that are odd, or anomalous.

    """

    judged: pl.DataFrame
    split: Split
    model: Model
    found: Detection
    fit_cpu_s: float
    detect_cpu_s: float
    lines: pl.DataFrame | None = None
    parts: tuple[Part, ...] = ()
    rows: Mapping[str, I64] = field(default_factory=dict)
    wording: Wording = field(default_factory=Wording)


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
        scores = root / "lines.parquet" if catalogue.labelled_by == "line" or of.incidents else None
        written = time.process_time()
        wording = Wording()
        judging, told = Judging(catalogue, rows, wording), []

        def each(part: Part) -> None:
            judging.add(part)
            if cell.answers:  # they are judged again and again; else nothing is kept of them
                told.append(part)

        found = detect(model, root / "test", each=each, line_scores=scores)
        judged = time.process_time()
        lines = None if scores is None else line_table(scores, rows, catalogue)
    costs = (learned - began, judged - written)
    return Outcome(judging.judged(), parts, model, found, *costs, lines, tuple(told), rows, wording)


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
        options={**options_of(cell.detector), **{name: dict(chosen) for name, chosen in cell.options.items()}},
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
    """Return the names of the members that a detector of a bench is made of.

    >>> members("snn+deeplog:paper:g=5")
    ['snn', 'deeplog']
    """
    return [member.split(":")[0] for member in detector.split("+")]


def options_of(detector: str) -> dict[str, dict[str, Any]]:
    """Return the options that stand behind the names of members; one without a value is true.

    >>> options_of("snn+deeplog:paper:g=5")
    {'deeplog': {'paper': True, 'g': 5}}
    """
    found: dict[str, dict[str, Any]] = {}
    for member in detector.split("+"):
        name, *options = member.split(":")
        for option in options:
            key, _, value = option.partition("=")
            found.setdefault(name, {})[key] = _value(value or "true")
    return found


def _value(text: str) -> Any:
    """Return a value as TOML has it, and words without quotes as they are."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def needs_labels(detector: str) -> bool:
    """Return whether one of the members cannot learn without labels."""
    names = [] if detector == DEFAULT else members(detector)
    return any(plugins.load("oddlog.detectors", name).needs == "labels" for name in names)
