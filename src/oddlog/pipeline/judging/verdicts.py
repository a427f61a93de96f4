"""Verdicts of single lines, and how verdicts are written: aside first, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from oddlog.errors import InputError
from oddlog.incidents import MOST_NOVEL, pressing
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.lines import EventView
from oddlog.templates import Matcher
from oddlog.types import F64, LINE_SCORES, NO_TIME, TIME, Bool

if TYPE_CHECKING:
    from oddlog.pipeline.judging.odd import OddWindows


def line_verdicts(view: EventView, events: pl.DataFrame, words: Bool) -> pl.DataFrame:
    """Return ``source line time_us template level service score p_value is_anomaly`` of each event [e].

    `words` [k + unseen] says which templates hold an alarming word.
    """
    # Lines alike in type and level have one score.
    pair = events["template"].to_numpy().astype(np.int64) * 256 + events["level"].to_numpy()
    alike, of = np.unique(pair, return_inverse=True)
    template, level = (alike >> 8).astype(np.uint32), (alike & 255).astype(np.uint8)
    score = view.score(template, level, words[np.minimum(template, len(words) - 1)])
    p_value = view.p_value(score)
    is_anomaly = view.is_anomaly(template, p_value)
    scored = {"score": score, "p_value": p_value, "is_anomaly": is_anomaly}
    return events.hstack([pl.Series(name, values[of]) for name, values in scored.items()])


_NOVELTY = -pl.col("window_p").clip(10.0**-MOST_NOVEL).log10()  # of a window, as in the order of incidents
_PART = pl.Schema({**LINE_SCORES, "weight": pl.Float32()})


class LineWriter:
    """Writes a verdict per line, part by part, and puts the parts in order at the end.

    A line is odd if it is odd by itself, or if it is part of what makes its window odd. Its score is the larger of its
    own and of what the window says of it, both as pressing: the window's novelty, -log10 of its p-value and at most
    `MOST_NOVEL`, times the line's own level and words. `words` [k + unseen] are those of the templates.
    """

    def __init__(self, path: str | Path | None, sources: Codes, matcher: Matcher, words: Bool) -> None:
        self._path = None if path is None else Path(path)
        self._sources = sources
        self._matcher = matcher
        self._words = words
        self._folder: Path | None = None
        self._parts = 0
        self._further: list[pl.DataFrame] = []

    def __enter__(self) -> Self:
        if self._path is not None:
            self._folder = Path(tempfile.mkdtemp(prefix="oddlog-lines-"))
        return self

    @property
    def is_wanted(self) -> bool:
        """Whether anybody asked for verdicts of lines."""
        return self._path is not None

    def add(self, lines: pl.DataFrame, odd: OddWindows) -> None:
        """Take in the lines of one partition, and its odd windows."""
        if self._folder is None:
            return
        guilty = odd.lines()
        # A line that says it was repeated is several events, but one line.
        once = lines.unique(["source", "line"], keep="first", maintain_order=True)
        joined = once.join(guilty, on=["source", "line"], how="left", maintain_order="left")
        own = pl.when("is_anomaly").then(pl.lit("rare or never seen"))
        in_window = pl.col("window_p").is_not_null()
        weight = pl.Series(self._weight(joined))
        frame = joined.select(
            pl.col("source").replace_strict(
                range(len(self._sources.names)), self._sources.names, return_dtype=pl.String, default=None
            ),
            "line",
            pl.when(pl.col("time_us") != NO_TIME).then(pl.col("time_us")).cast(TIME).alias("time"),
            self._texts(joined["template"]),
            pl.max_horizontal("score", _NOVELTY * pl.lit(weight)).cast(pl.Float64).alias("score"),
            pl.min_horizontal("p_value", "window_p").alias("p_value"),
            (pl.col("is_anomaly") | in_window).alias("is_anomaly"),
            pl.when(in_window).then(pl.col("window_reason")).otherwise(own).fill_null("").alias("reason"),
            pl.lit(weight).alias("weight"),
        )
        frame.cast(_PART).write_parquet(self._folder / f"{self._parts:06d}.parquet", compression="lz4")
        self._parts += 1

    def add_windows(self, odd: OddWindows) -> None:
        """Take in odd windows of a further view of the same lines."""
        if self._folder is not None and len(odd.windows):
            self._further.append(odd.lines())

    def add_lines(self, told: pl.DataFrame) -> None:
        """Take in lines that are odd for another reason: ``source line window_p window_reason``."""
        if self._folder is not None and len(told):
            self._further.append(told)

    def _weight(self, lines: pl.DataFrame) -> F64:
        """Return how much level and words make of the novelty of each line [e]."""
        words = self._words[np.minimum(lines["template"].to_numpy(), len(self._words) - 1)]
        return pressing(np.ones(len(lines)), lines["level"].to_numpy(), words)

    def _with_further(self, lines: pl.LazyFrame) -> pl.LazyFrame:
        """Return the verdicts of lines with what the further views say of them."""
        if not self._further:
            return lines
        odd = pl.concat(self._further).sort("window_p", "window_reason")
        odd = odd.unique(["source", "line"], keep="first", maintain_order=True)
        names = pl.col("source").replace_strict(
            range(len(self._sources.names)), self._sources.names, return_dtype=pl.String
        )
        joined = lines.join(odd.lazy().with_columns(names), on=["source", "line"], how="left")
        return joined.with_columns(
            score=pl.max_horizontal("score", _NOVELTY * pl.col("weight")),
            p_value=pl.min_horizontal("p_value", "window_p"),
            is_anomaly=pl.col("is_anomaly") | pl.col("window_p").is_not_null(),
            reason=pl.when(pl.col("reason") == "").then(pl.col("window_reason").fill_null("")).otherwise("reason"),
        )

    def _texts(self, template: pl.Series) -> pl.Series:
        rows = template.unique().to_list()
        texts = [self._matcher.text_of(row) for row in rows]
        return template.replace_strict(rows, texts, return_dtype=pl.String).alias("template")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is None or self._path is None:
            return
        try:
            if kind is None:
                parts = sorted(self._folder.glob("*.parquet"))
                frame = pl.scan_parquet(parts) if parts else pl.LazyFrame(schema=_PART)
                told = self._with_further(frame).select(LINE_SCORES.names())
                write_parquet(told.sort("source", "line"), self._path)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def check_writable(path: str | Path | None, *, example: str = "scores.parquet") -> None:
    """Raise InputError if a file cannot be written to `path`: said before hours of reading, not after."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, and a file is to be written there.", f"Name a file: {path}/{example}")
    if not path.parent.is_dir():
        raise InputError(
            f"{path} cannot be written: there is no folder {path.parent}.", f"Type: mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: no permission in {path.parent}.", "Give another place.")


def write_parquet(frame: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write `frame` to `path`, aside first and then renamed.

    Raises
    ------
    InputError
        If the place cannot be written to; nothing half-written is left.

    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        frame.lazy().sink_parquet(aside, compression="zstd")
        aside.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path} cannot be written: {_why(error)}.", "Give another place, or free some space."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _why(error: Exception) -> str:
    """Return what went wrong; Polars wraps what the system said into words of its own."""
    said: str = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return said.rsplit("IO error: ", maxsplit=1)[-1].split(" (os error", maxsplit=1)[0]
