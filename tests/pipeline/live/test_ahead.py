"""A host whose clock is wrong carries nobody along: its lines are placed where the line before is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.pipeline.live.ahead import AHEAD, placed
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES, NO_TIME, TIME, Tally
from small_shop import shop_lines

TEXTS = shop_lines(120, 11, broken=4)
WALL = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()


def judged(model: Path, wrong: str = "", *, wall: float = WALL) -> tuple[Streaming, set[str]]:
    """Judge the shop's lines; after 200 of them, three come of another day. Return the stream and what was odd."""
    stream = Streaming(oddlog.load(model), sample_lines=50, wall=lambda: wall)
    number, found = 0, {}

    def push(texts: list[str], now_s: float) -> None:
        nonlocal number
        first, number = number + 1, number + len(texts)
        numbers = range(first, number + 1)
        columns = {
            "source": ["shop"] * len(texts),
            "position": numbers,
            "line": numbers,
            "text": texts,
            "count": [1] * len(texts),
        }
        stream.push(pl.DataFrame(columns, schema=dict(LINES)), now_s)
        stream.tick(now_s)
        found.update({one.incident.id: one for one in stream.incidents(every=True)})

    push(TEXTS[:200], 1.0)
    if wrong:
        push([f"{wrong}{text[10:]}" for text in TEXTS[190:193]], 1.1)
    for i, at in enumerate(range(200, len(TEXTS), 40)):
        push(TEXTS[at : at + 40], 2.0 + i)
    for minute in range(60):
        stream.tick(100.0 + 60 * minute)
        found.update({one.incident.id: one for one in stream.incidents(every=True)})
    return stream, {key for one in found.values() if one.change != "withdrawn" for key in one.incident.keys}


@pytest.mark.parametrize("day", ["2026-03-03", "2027-03-02"])
def test_lines_of_the_future_do_not_make_all_others_late(day: str, quick_model: Path):
    _, usual = judged(quick_model)
    stream, odd = judged(quick_model, day)
    assert stream.tally.counts[AHEAD] == 3
    assert "late event, placed at the watermark" not in stream.tally.counts
    assert len(usual) == 4
    assert usual <= odd


def test_a_log_of_another_time_than_the_wall_is_left_as_it_is(quick_model: Path):
    stream, _ = judged(quick_model, wall=0.0)  # a machine whose clock has stopped, or a simulation
    assert AHEAD not in stream.tally.counts


def test_what_is_placed_is_placed_at_the_latest_before():
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    times = [now, datetime(2026, 3, 2, 9, 59, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC), None]
    records = pl.DataFrame({"source": ["a", "a", "b", "b"], "time": pl.Series(times, dtype=TIME)})
    us = [one and round(one.timestamp() * 1e6) for one in times]
    tally = Tally()
    for end_us, there in ((NO_TIME, us[1]), (us[0], us[1]), (us[1] + 5, us[1] + 5)):
        found = placed(records, end_us, us[0], tally)["time"].to_physical().to_list()
        assert found == [us[0], us[1], there, None]
    assert (tally.counts[AHEAD], tally.examples[AHEAD]) == (3, "b")
    assert placed(records, us[2] + 1, us[0], tally).equals(records)  # the whole log is there
    assert placed(records[2:], NO_TIME, us[0], tally).equals(records[2:])
