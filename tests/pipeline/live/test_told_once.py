"""A line that an incident of counts told of ends with it: told anew, it would take its place in a store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl

import oddlog
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES

DAY = datetime(2026, 3, 2, tzinfo=UTC)


def day(of: int, *, fails: bool) -> list[str]:
    """Return the lines of a day: an order a minute, one restart, and half an hour of failures after it."""
    draw, lines = Random(of), []

    def say(at: datetime, service: str, level: str, msg: str, **fields: str) -> None:
        said = {"ts": at.isoformat(), "level": level, "service": service, "msg": msg, **fields}
        lines.append((at, json.dumps(said)))

    for minute in range(1440):
        at = DAY + timedelta(days=of, minutes=minute, seconds=draw.random() * 50)
        of_one = {"trace_id": f"{draw.getrandbits(64):016x}"}
        say(at, "gateway", "info", "request received", **of_one)
        say(at + timedelta(seconds=1), "payments", "info", "charging card", **of_one)
        bad = fails and 665 <= minute < 695
        if bad:
            say(at + timedelta(seconds=2), "payments", "error", "could not decode the answer", **of_one)
        else:
            say(at + timedelta(seconds=2), "payments", "info", "payment captured", **of_one)
        say(at + timedelta(seconds=3), "gateway", "error" if bad else "info", "request completed", **of_one)
    if fails or of == 0:
        say(DAY + timedelta(days=of, minutes=664), "payments", "info", "shutting down on a signal")
    return [text for _, text in sorted(lines)]


def test_a_rare_line_told_with_counts_does_not_come_back_when_they_are_over(tmp_path: Path):
    (tmp_path / "train.log").write_text("\n".join(text for of in (0, 1) for text in day(of, fails=False)) + "\n")
    model = oddlog.fit(tmp_path / "train.log", session="trace_id", detectors=["snn", "new-event"])
    stream, told = Streaming(model, sample_lines=1), []
    text = day(2, fails=True)
    rows = [("a", i, i, one, 1) for i, one in enumerate(text, 1)]
    lines = pl.DataFrame(rows, schema=LINES, orient="row")
    for i in range(0, len(lines), 500):
        stream.push(lines[i : i + 500], float(i))
        told += stream.incidents(every=True)
    stream.finish()
    told += stream.incidents(every=True)
    over = [i for i, one in enumerate(told) if one.change == "over" and one.incident.n_windows]
    assert len(over) == 1
    assert [one.incident.reasons[0].text for one in told[over[0] + 1 :]] == []
