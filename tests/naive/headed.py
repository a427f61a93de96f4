"""Traces whose lines all have a header, found line by line with the plainest Python there is."""

from __future__ import annotations

from typing import Any

START = "Traceback (most recent call last)"
CHAIN = ("During handling of the above exception", "The above exception was the direct cause")
MILD = (None, "UNKNOWN", "TRACE", "DEBUG", "INFO", "NOTICE")


def header_of(row: dict[str, Any]) -> tuple[str, str, str] | None:
    """Return header, what stands before the level, and what stands behind the service."""
    if not row["ok"] or row["time"] is None or row["service"] is None or not row["text"].endswith(row["message"]):
        return None
    header = row["text"].removesuffix(row["message"]).rstrip(" ")
    before, _, behind = header.partition(row["service"])
    if not header:
        return None
    return header, " ".join(before.split()[:-1]), behind


def repeats_header(rows: list[dict[str, Any]]) -> list[bool]:
    """Return which lines are parts of a trace of the record before them."""
    out: list[bool] = []
    trace: str | None = None  # header of the open trace
    own = False  # a header that the record has not
    for i, row in enumerate(rows):
        said, mine = row["message"], header_of(row)
        last = rows[i - 1] if i else None
        above = header_of(last) if last else None
        if mine is None:
            trace = None
            out.append(False)
            continue
        same = above is not None and above[0] == mine[0]
        start = said.startswith(START)
        if trace == mine[0] and same:
            inner = not said or said[0].isspace() or said.startswith(CHAIN)
            exception = last["message"][:1].isspace() and last["message"].strip() != ""
            if own or start or inner or exception:
                out.append(True)
                continue
        trace, own = None, False
        if not start:
            out.append(False)
            continue
        trace = mine[0]
        joins = (
            above is not None
            and not same
            and (above[1], last["service"], last["time"]) == (mine[1], row["service"], row["time"])
            and last["level"] not in MILD
            and above[2].endswith(mine[2])
        )
        own = joins
        out.append(same or joins)
    return out
