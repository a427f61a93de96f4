"""Which views a log gets: found in its first records, or as the user says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, Literal

import polars as pl

from oddlog.config import parse_window
from oddlog.errors import ConfigError
from oddlog.pipeline.judging.views import Cut
from oddlog.pipeline.reading import STDIN, Reading
from oddlog.windows import SessionChoice, find_session, parse_session, session_keys

SAMPLE_RECORDS = 200_000
NO_SESSION = SessionChoice("none")
DEFAULT_STRETCH_US = 60_000_000
DEFAULT_ENTITY_STRETCH_US = 600_000_000
DEFAULT_LINES = 100
LEAST_BESIDE = 0.2  # share of lines without a session from which on they are cut into windows of their own

Paths = str | Path | Sequence[str | Path]


def look(reading: Reading, paths: Paths) -> tuple[pl.DataFrame, Iterator[pl.DataFrame]]:
    """Return records to plan by, and an iterator that yields all of them; see `Reading.sample` for several sources."""
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if STDIN not in several and len(reading.sources(paths)) > 1:
        return reading.sample(paths, SAMPLE_RECORDS), reading.records(paths)
    return peek(reading.records(paths))


def peek(records: Iterator[pl.DataFrame], most: int = SAMPLE_RECORDS) -> tuple[pl.DataFrame, Iterator[pl.DataFrame]]:
    """Return the first records as one frame, and an iterator that still yields all of them."""
    first: list[pl.DataFrame] = []
    n = 0
    for frame in records:
        first.append(frame)
        n += len(frame)
        if n >= most:
            break
    head = pl.concat(first, how="diagonal_relaxed") if first else pl.DataFrame()
    return head.head(most), chain(_taken(first), records)


def _taken(frames: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the frames and let go of each."""
    frames.reverse()
    while frames:
        yield frames.pop()


def plan(head: pl.DataFrame, session: str, entity: str, window: str) -> tuple[list[tuple[str, Cut]], SessionChoice]:
    """Return the views by name, the one of all lines first, and what was found to tie lines together.

    Raises
    ------
    ConfigError
        If the session, the entity or the window asked for makes no sense here.

    """
    asked = parse_session(session)
    choice = find_session(head) if asked is None else asked
    session_keys(head.head(1), choice)  # a field that is not there is refused before hours of reading
    timed = head["time"].null_count() < len(head)
    asked_stretch = parse_window(window) if window else None
    unasked: tuple[Literal["time", "count"], int] = ("count", DEFAULT_LINES)
    cuts: list[tuple[str, Cut]] = []
    stretch = asked_stretch or (("time", DEFAULT_STRETCH_US) if timed else unasked)
    if choice.kind == "none":
        cuts.append(("windows", Cut(stretch[0], choice, stretch[1])))
    else:
        cuts.append(("sessions", Cut("session", choice)))
        if session_of(head, choice).null_count() >= LEAST_BESIDE * len(head):
            cuts.append(("windows", Cut(stretch[0], NO_SESSION, stretch[1], beside=choice)))
    if entity:
        who = parse_session(entity) or NO_SESSION
        session_keys(head.head(1), who)
        stretch = asked_stretch or (("time", DEFAULT_ENTITY_STRETCH_US) if timed else unasked)
        cuts.append(("entities", Cut(stretch[0], who, stretch[1])))
    return cuts, choice


def time_at_share(paths: str | Path | Sequence[str | Path], reading: Reading, share: float) -> datetime:
    """Return the time before which `share` of the lines lie, from a pass over them of its own."""
    if not 0 < share <= 1:
        raise ConfigError(f"--train-share {share} is no share.", "Write a number between 0 and 1, such as 0.7.")
    if paths == "-" or (not isinstance(paths, (str, Path)) and "-" in paths):
        raise ConfigError("--train-share reads its input twice, and standard input cannot be.", "Give a file.")
    first = Reading(format=reading.format, since=reading.since, until=reading.until, progress=reading.progress)
    times = [block["time"].drop_nulls() for block in first.records(paths)]
    every = pl.concat(times) if times else pl.Series("time", [], dtype=pl.Datetime("us", "UTC"))
    cut = every.quantile(share, interpolation="higher") if len(every) else None
    if not isinstance(cut, datetime):
        raise ConfigError("--train-share needs times, and these lines have none.", "Split the files yourself.")
    return cut


def group_of(records: pl.DataFrame, name: str, cut: Cut) -> pl.Series:
    """Return what the windower groups each record by: its session, its entity, or its service; null for none."""
    if cut.choice.kind != "none":
        return session_of(records, cut.choice)
    group = (records["service"] if name == "windows" else pl.repeat("", len(records), eager=True)).alias("session")
    if cut.beside is None:
        return group
    return group.fill_null("").set(session_of(records, cut.beside).is_not_null(), None)


def session_of(records: pl.DataFrame, choice: SessionChoice) -> pl.Series:
    """Return the session of each record, null where it names none."""
    if choice.kind == "field" and not {choice.value, f"f.{choice.value}"} & set(records.columns):
        # Another source has the field (`plan` made sure of that): these lines name no session.
        return pl.Series("session", [None], dtype=pl.String).new_from_index(0, len(records))
    return session_keys(records, choice).alias("session")


def unused_window(window: str, cuts: Sequence[tuple[str, Cut]]) -> str:
    """Return that the window asked for is not used, if so."""
    if not window or any(cut.by != "session" for _, cut in cuts):
        return ""
    return f"--window {window} is not used: sessions were found. For windows instead: --session none"


def session_says(choice: SessionChoice, cut: Cut) -> str:
    """Return what ties lines together, or what is judged in its stead."""
    if choice.kind == "none":
        judged = f"so windows of {_stretch(cut)} are judged (--session, --window)"
        if choice.ties is None:
            return f"none: nothing ties lines together, {judged}"
        what, share, source = choice.ties
        name = what.removeprefix("f.")
        return (
            f"none: nothing ties all lines together, {judged}; {name} ties {share:.0%} of them: "
            f"--session {shlex.quote(name)}, or learn {PurePath(source).name or source} by itself"
        )
    what = "the field" if choice.kind == "field" else "what fits"
    return f"by {what} {choice.value} (confidence {choice.confidence:.2f}; --session changes it)"


def too_few_sessions(choice: SessionChoice, finished: float, cut: Cut) -> str:
    """Return why windows are judged though something ties lines together."""
    what = "the field" if choice.kind == "field" else "what fits"
    ends = "no session ends" if not finished else "1 session ends" if finished == 1 else f"{finished:,.0f} sessions end"
    return (
        f"none: {what} {choice.value} ties lines together, but {ends} in these logs, too few to learn from, "
        f"so windows of {_stretch(cut)} are judged (more logs, or --session and --window, change it)"
    )


def _stretch(cut: Cut) -> str:
    return f"{cut.size / 1e6:,.0f} s per service" if cut.by == "time" else f"{cut.size:,} lines"


def reading_facts(reading: Reading, choice: SessionChoice, says: str, entity: str, window: str) -> dict[str, Any]:
    """Return what a model tells of how its logs were read, and what `detect` and `update` go by."""
    shares: dict[str, dict[str, Any]] = {}
    for found in reading.formats.values():
        one = shares.setdefault(found.format.name, {"sources": 0, "confidence": 1.0})
        one["sources"] += 1
        one["confidence"] = min(one["confidence"], found.confidence)
    return {
        "format": reading.format,
        "formats": {source: found.format.name for source, found in reading.formats.items()},
        "format_shares": shares,
        "session": {
            "kind": choice.kind,
            "value": choice.value,
            "confidence": choice.confidence,
            "candidates": choice.candidates.head(10).to_dicts() if choice.candidates is not None else [],
            "says": says,
        },
        "entity": entity,
        "window": window,
        "exclude": reading.exclude,
        "redact": reading.redact,
        "drop_duplicates": reading.drop_duplicates,
    }
