"""Which views a log gets: found in its first records, or as the user says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal

import polars as pl

from oddlog.config import parse_window
from oddlog.pipeline.views import Cut
from oddlog.windows import SessionChoice, find_session, parse_session, session_keys

SAMPLE_RECORDS = 200_000
NO_SESSION = SessionChoice("none")
DEFAULT_STRETCH_US = 60_000_000
DEFAULT_ENTITY_STRETCH_US = 600_000_000
DEFAULT_LINES = 100


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
    if choice.kind != "none":
        cuts.append(("sessions", Cut("session", choice)))
    else:
        stretch = asked_stretch or (("time", DEFAULT_STRETCH_US) if timed else unasked)
        cuts.append(("windows", Cut(stretch[0], choice, stretch[1])))
    if entity:
        who = parse_session(entity) or NO_SESSION
        session_keys(head.head(1), who)
        stretch = asked_stretch or (("time", DEFAULT_ENTITY_STRETCH_US) if timed else unasked)
        cuts.append(("entities", Cut(stretch[0], who, stretch[1])))
    return cuts, choice


def group_of(records: pl.DataFrame, name: str, cut: Cut) -> pl.Series:
    """Return what the windower groups each record by: its session, its entity, or its service."""
    kind, value = cut.choice.kind, cut.choice.value
    if kind == "field" and not {value, f"f.{value}"} & set(records.columns):
        # Another source has the field (`plan` made sure of that): these lines name no session.
        return pl.Series("session", [None], dtype=pl.String).new_from_index(0, len(records))
    if kind != "none":
        return session_keys(records, cut.choice).alias("session")
    return (records["service"] if name == "windows" else pl.repeat("", len(records), eager=True)).alias("session")
