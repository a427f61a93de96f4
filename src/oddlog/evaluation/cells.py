"""One cell of a bench: a set, a protocol, a detector, a seed. Split, learn, judge, by the product's own functions.

::

    LogSet ──► Catalogue ──► Split ──► two folders of raw lines ──► fit ──► Model ──► detect ──► Judged
                                       train/        test/
"""

from __future__ import annotations

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
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.localising import line_table
from oddlog.evaluation.protocols import Split, split
from oddlog.evaluation.sharing import Shared
from oddlog.evaluation.wording import Wording
from oddlog.model import Model
from oddlog.pipeline import detect, fit
from oddlog.pipeline.judging.detection import Detection, Part
from oddlog.pipeline.keeping import Toll
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


def run(
    cell: Cell, of: LogSet, catalogue: Catalogue, folder: Path | None = None, shared: Shared | None = None
) -> Outcome:
    """Run a cell; what it writes on the way goes to `folder`, or is forgotten.

    Of several cells of one split, each is given what they have `shared`.

    Raises
    ------
    UserError
        If the set cannot be split so, or the detector cannot learn from it.

    """
    if shared is None:
        with Shared(of, catalogue, split(catalogue, cell.protocol, cell.seed), folder) as alone:
            return run(cell, of, catalogue, shared=alone)
    began = _spent(shared.learning)
    model = learn(cell, shared)
    fit_cpu_s = _spent(shared.learning) - began
    rows = shared.test()
    scores = shared.root / "lines.parquet" if catalogue.labelled_by == "line" or of.incidents else None
    wording = Wording()
    judging, told = Judging(catalogue, rows, wording), []

    def each(part: Part) -> None:
        judging.add(part)
        if cell.answers:  # they are judged again and again; else nothing is kept of them
            told.append(part)

    began = _spent(shared.judging)
    found = detect(model, shared.root / "test", each=each, line_scores=scores, keeping=shared.records)
    detect_cpu_s = _spent(shared.judging) - began
    lines = None if scores is None else line_table(scores, rows, catalogue)
    return Outcome(
        judging.judged(), shared.parts, model, found, fit_cpu_s, detect_cpu_s, lines, tuple(told), rows, wording
    )


def _spent(toll: Toll) -> float:
    """Return CPU-seconds so far, as if nothing that `toll` counts had been made for others, too."""
    return time.process_time() + toll.spared


def learn(cell: Cell, shared: Shared) -> Model:
    """Return what the product learns from the lines of the training part."""
    shared.train()
    labels = _labels(cell, shared) if needs_labels(cell.detector) else None
    return _fitted(cell, shared, labels)


def _fitted(cell: Cell, shared: Shared, labels: Path | None) -> Model:
    choice, about = shared.catalogue.choice, shared.of.about
    return fit(
        shared.root / "train",
        format=about.format,
        session="none" if choice.kind == "none" else choice.value,
        window=about.window,
        detectors=None if cell.detector == DEFAULT else members(cell.detector),
        options={**options_of(cell.detector), **{name: dict(chosen) for name, chosen in cell.options.items()}},
        labels=labels,
        recurring="odd" if cell.recurring == "odd" else "usual",
        rates=False,
        seed=cell.seed,
        keeping=shared.passes,
    )


def _labels(cell: Cell, shared: Shared) -> Path:
    """Write the labels of the windows to learn from, for detectors that need them.

    Those of a stream are known by keys that only the product gives: a model of new events is asked what it calls the
    windows of the training part.
    """
    catalogue, parts = shared.catalogue, shared.parts
    if parts.labels != "learning":
        raise ConfigError(
            f"'{cell.detector}' learns from labels, and {cell.protocol} shows none.", "Try: --protocol time"
        )
    path = shared.root / "labels.csv"
    if catalogue.by_session:
        met = np.unique(catalogue.case[parts.train])
        named = catalogue.cases[met[met >= 0]].select("key", "label")
    else:
        judging = Judging(catalogue, shared.train())
        naming = Cell(cell.set, cell.protocol, "new-event", cell.seed)
        detect(_fitted(naming, shared, None), shared.root / "train", each=judging.add)
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
