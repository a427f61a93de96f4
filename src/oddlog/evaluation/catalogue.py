"""What a protocol splits: every line of a labelled set, with its time, its case and its label.

A *case* is what must not be torn apart: a session, as the product ties it together, or, where there are none, a
stretch of as many lines (or of as much time) as the product's windows have. Lines are read by the product's own
reading, and sessions are those of `pipeline.planning`; nothing here cuts windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.config import parse_window
from oddlog.datasets import LogSet
from oddlog.errors import InputError, LabelError
from oddlog.pipeline.learning.labels import UNKNOWN, read_labels
from oddlog.pipeline.planning import NO_SESSION, look, plan, session_of
from oddlog.pipeline.reading import Reading
from oddlog.sources import read_blocks
from oddlog.types import I8, I64, NO_TIME, TIME, Tally
from oddlog.windows import SessionChoice, parse_session

LINES = pl.Schema(
    {
        "source": pl.UInt16,
        "line": pl.UInt64,
        "time_us": pl.Int64,
        "case": pl.Int64,
        "label": pl.Int8,
        "service": pl.String,
        "host": pl.String,
    }
)
CASES = pl.Schema(
    {
        "key": pl.String,
        "first": pl.Int64,  # row of its first line
        "start": pl.Int64,  # us, or rows where lines have no time
        "end": pl.Int64,
        "lines": pl.Int64,
        "label": pl.Int8,  # 1 if a line is anomalous, -1 if nothing is known of any
        "kind": pl.String,
        "system": pl.String,
    }
)
DEFAULT_WINDOW = "60s"


@dataclass(frozen=True)
class Catalogue:
    """All lines of a set.

    Attributes
    ----------
    name : str
        Of the set.
    lines : pl.DataFrame
        `LINES`, by (source, line); the position is what protocols call the *row* of a line. `time_us` ascends as the
        product reads it; where lines have no time it is their row.
    cases : pl.DataFrame
        `CASES`, in order of (start, first); `lines.case` is the position here, -1 for a line of no case.
    sources : tuple of str
        Names below the set's root.
    timed : bool
        Whether lines have times.
    whole : tuple of int
        Usual and anomalous cases of the whole data, if this is a sample of it.
    trained_on : str
        Beginning of the names of the sources that the set gives to learn from.
    choice : SessionChoice
        What ties lines together.
    labelled_by : str
        What carries labels of its own: session, line (then sessions and windows have those of their lines), or none.

    """

    name: str
    lines: pl.DataFrame
    cases: pl.DataFrame
    sources: tuple[str, ...]
    timed: bool = True
    whole: tuple[int, int] = (0, 0)
    trained_on: str = "train/"
    choice: SessionChoice = field(default_factory=lambda: NO_SESSION)
    labelled_by: str = "session"

    @property
    def by_session(self) -> bool:
        """Whether cases are sessions, not stretches of a stream."""
        return self.choice.kind != "none"

    @property
    def proportion(self) -> tuple[int, int]:
        """Usual and anomalous cases of the whole data, or of the set if it is no sample."""
        usual, anomalous = ((self.case_label == label).sum() for label in (0, 1))
        return self.whole if all(self.whole) else (int(usual), int(anomalous))

    @property
    def time_us(self) -> I64:
        """Time of each line [x]."""
        return self.lines["time_us"].to_numpy()

    @property
    def case(self) -> I64:
        """Case of each line [x]."""
        return self.lines["case"].to_numpy()

    @property
    def label(self) -> I8:
        """Label of each line [x]."""
        return self.lines["label"].to_numpy()

    @property
    def case_label(self) -> I8:
        """Label of each case."""
        return self.cases["label"].to_numpy()


def catalogue(of: LogSet) -> Catalogue:
    """Read a set once.

    Raises
    ------
    UserError
        If it cannot be read, or its labels name nothing in it.

    """
    reading = Reading(format=of.about.format)
    paths = [str(path) for path in of.paths]
    head, blocks = look(reading, list(paths))
    choice = parse_session(of.about.session) or plan(head, of.about.session, "", of.about.window)[1]
    del head
    code = {path: number for number, path in enumerate(paths)}
    parts = [
        block.select(
            pl.col("source").replace_strict(code, return_dtype=pl.UInt16),
            "line",
            pl.col("time").cast(TIME).to_physical().fill_null(NO_TIME).alias("time_us"),
            "service",
            "host",
            session_of(block, choice) if choice.kind != "none" else pl.lit(None, pl.String).alias("session"),
        )
        for block in blocks
    ]
    reading.close()
    records = pl.concat(parts).sort("source", "line")
    every = pl.concat([_numbers(path, number) for number, path in enumerate(paths)])
    joined = every.join(records, on=["source", "line"], how="left", maintain_order="left")
    # A line that belongs to the record above it (a stack trace) goes where that one goes.
    joined = joined.with_columns(pl.col("time_us", "session", "service", "host").forward_fill().over("source"))
    return _built(of, joined, choice)


def _numbers(path: str, number: int) -> pl.DataFrame:
    frames = [block.select("line") for block in read_blocks(path, Tally())]
    lines = pl.concat(frames) if frames else pl.DataFrame(schema={"line": pl.UInt64})
    return lines.select(pl.lit(number, pl.UInt16).alias("source"), "line")


def _built(of: LogSet, joined: pl.DataFrame, choice: SessionChoice) -> Catalogue:
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    timed = bool((joined["time_us"].fill_null(NO_TIME) != NO_TIME).any())
    time = pl.col("time_us").replace(NO_TIME, None).backward_fill().forward_fill() if timed else row
    lines = joined.with_columns(time.alias("time_us"), row.alias("row"))
    lines = lines.with_columns(_key(of, choice, timed=timed).alias("key"))
    lines = lines.with_columns(_line_label(of, lines))
    cases = (
        lines.drop_nulls("key")
        .group_by("key", maintain_order=True)
        .agg(
            first=pl.col("row").min(),
            start=pl.col("time_us").min(),
            end=pl.col("time_us").max(),
            lines=pl.len().cast(pl.Int64),
            label=pl.col("label").max(),
            kind=pl.col("kind").drop_nulls().first(),
            system=pl.col("source").first(),
        )
        .sort("start", "first")
    )
    cases = _with_session_labels(of, cases)
    number = cases.select("key", case=pl.int_range(pl.len(), dtype=pl.Int64), of_case=pl.col("label"))
    lines = lines.join(number, on="key", how="left", maintain_order="left").with_columns(pl.col("case").fill_null(-1))
    if of.line_labels is None:
        lines = lines.with_columns(label=pl.col("of_case").fill_null(UNKNOWN))
    about = of.about
    whole = (about.whole_usual, about.whole_anomalous)
    return Catalogue(
        about.name,
        lines.select(pl.col(name).cast(kind) for name, kind in LINES.items()),
        cases.select(pl.col(name).cast(kind) for name, kind in CASES.items()),
        of.sources,
        timed,
        whole,
        about.trained_on,
        choice,
        "line" if of.line_labels is not None else of.labelled_by,
    )


def _key(of: LogSet, choice: SessionChoice, *, timed: bool) -> pl.Expr:
    if choice.kind != "none":
        return pl.col("session")
    by, size = parse_window(of.about.window or (DEFAULT_WINDOW if timed else "100"))
    if by == "time" and not timed:
        raise InputError(f"{of.about.name} has no times to cut windows of {of.about.window} by.", "Try: --window 100")
    # lines of one source, so that a stretch of another does not end in the midst of this one
    at = pl.col("time_us") if by == "time" else pl.int_range(pl.len(), dtype=pl.Int64).over("source")
    return pl.concat_str(pl.col("source"), pl.lit("#"), at.floordiv(size))


def _line_label(of: LogSet, lines: pl.DataFrame) -> list[pl.Series]:
    """Return label and kind of each line, where lines carry labels."""
    nothing = pl.Series("kind", [None], dtype=pl.String).new_from_index(0, len(lines))
    if of.line_labels is None:
        return [pl.Series("label", np.full(len(lines), UNKNOWN, np.int8)), nothing]
    known = pl.read_csv(of.line_labels, infer_schema=False)
    if not {"source", "line"} <= set(known.columns):
        raise LabelError(f"{of.line_labels} has no columns source and line.", "Write: source,line,label,kind")
    known = known.with_columns(
        pl.col("line").cast(pl.UInt64),
        pl.col("source").replace_strict({s: i for i, s in enumerate(of.sources)}, default=None, return_dtype=pl.UInt16),
        (pl.col("label").cast(pl.Int8) if "label" in known.columns else pl.lit(1, pl.Int8)).alias("label"),
        (pl.col("kind") if "kind" in known.columns else pl.lit(None, pl.String)).alias("kind"),
    )
    known = known.unique(["source", "line"], keep="first", maintain_order=True)
    joined = lines.join(known, on=["source", "line"], how="left", maintain_order="left")
    if len(known) and not joined["label"].count():
        raise LabelError(
            f"None of the {len(known):,} lines that {of.line_labels} names is in the logs.",
            f"Sources are called as below {of.root}: {', '.join(of.sources[:3])}.",
        )
    return [joined["label"].fill_null(0), joined["kind"]]


def _with_session_labels(of: LogSet, cases: pl.DataFrame) -> pl.DataFrame:
    """Return the cases with the labels, kinds and systems that their keys have."""
    names = cases["system"].replace_strict(dict(enumerate(of.sources)), return_dtype=pl.String)
    folders = names.str.splitn("/", 2).struct.field("field_0")
    cases = cases.with_columns(system=folders)
    if of.labels is None:
        return cases
    known = read_labels(of.labels)
    label = known.of_keys(cases["key"])
    if not (label != UNKNOWN).any():
        raise LabelError(
            f"None of the {len(known.key):,} keys in {of.labels} is the key of a session such as "
            f"'{next(iter(cases['key']), '')}'.",
            "Say what ties lines together: --session.",
        )
    more = pl.read_csv(of.labels, infer_schema=False).rename({"key": "key"}, strict=False)
    extra = [name for name in ("kind", "system") if name in more.columns and "key" in more.columns]
    cases = cases.with_columns(label=pl.Series(label))
    if extra:
        found = more.select("key", *extra).unique("key", keep="first", maintain_order=True)
        cases = cases.drop(extra).join(found, on="key", how="left", maintain_order="left")
    return cases


def write_rows(of: LogSet, sources: tuple[str, ...], lines: pl.DataFrame, rows: I64, to: Path) -> Mapping[str, I64]:
    """Write some lines of a set, each to the file of its source below `to`; return the row of each written line.

    Parameters
    ----------
    of : LogSet
        Whose lines.
    sources, lines
        Of its catalogue.
    rows : I64 [x]
        Which, ascending.
    to : Path
        An empty folder.

    """
    chosen = lines[rows].select("source", "line", row=pl.Series(rows))
    written: dict[str, I64] = {}
    for (number,), some in chosen.partition_by("source", as_dict=True, maintain_order=True).items():
        source = sources[number]
        path = to / _plain(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for block in read_blocks(str(of.root / source), Tally()):
                kept = block.join(some, on="line", how="semi", maintain_order="left").select("text")
                file.writelines(f"{text}\n".encode() for text in kept["text"].to_list())
        written[str(path)] = some["row"].to_numpy()
    return written


def _plain(source: str) -> str:
    """Return the name without the ending of what packed it."""
    path = Path(source)
    return str(path.with_suffix("")) if path.suffix in {".gz", ".zst", ".xz", ".bz2"} else source
