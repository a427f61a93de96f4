"""What `oddlog templates` and `oddlog formats` show: the first legs of the way, without learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from oddlog.pipeline.learning.collecting import Collected
from oddlog.pipeline.reading import Reading
from oddlog.templates import mine
from oddlog.types import LEVELS, Tally

Paths = str | Path | Sequence[str | Path]


def templates_of(
    paths: Paths,
    *,
    format: str = "",  # noqa: A002 - the option's name
    progress: Callable[[str, int], None] | None = None,
) -> tuple[pl.DataFrame, Tally]:
    """Return ``lines level template`` of the message types in some logs, the most frequent first."""
    reading = Reading(format=format, progress=progress)
    with closing(reading), Collected([], (), reading.tally) as collected:
        for records in reading.records(paths):
            collected.add(records)
        types = collected.types()
    arrays = (types["key"].to_numpy(), types["text"], types["n"].to_numpy(), types["level"].to_numpy())
    mined = mine(*arrays, tally=reading.tally)
    levels = [LEVELS[code] for code in mined.level.tolist()]
    return pl.DataFrame({"lines": mined.count, "level": levels, "template": list(mined.text)}), reading.tally


def formats_of(paths: Paths) -> tuple[pl.DataFrame, Tally]:
    """Return ``source format confidence time level service host message`` of the first record of each source.

    Raises
    ------
    InputError
        If no source could be read, or none of them holds a line.

    """
    with closing(Reading()) as reading:
        rows = reading.firsts(paths)
        names = ("time", "level", "service", "host", "message")
        found = [(source, reading.formats[source], frame.row(0, named=True)) for source, frame in rows]
    frame = pl.DataFrame(
        [
            {"source": source, "format": detected.format.name, "confidence": round(detected.confidence, 3)}
            | {name: record[name] for name in names}
            for source, detected, record in found
        ],
        infer_schema_length=None,
    )
    return frame, reading.tally
