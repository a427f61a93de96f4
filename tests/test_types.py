"""The values that flow between stages."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from made_incidents import incident
from oddlog.testing import windows
from oddlog.types import LEVELS, NO_TIME, LineRef, Reason, Tally, Templates, Windows, to_datetime

SEQUENCES = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=8)


def contents(batch: Windows) -> list[tuple[str, list[int], list[int]]]:
    """Return each window's key, templates and lines, taken apart one by one."""
    ends = zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)
    return [
        (key, batch.template[a:b].tolist(), batch.line[a:b].tolist())
        for key, (a, b) in zip(batch.key.to_list(), ends, strict=True)
    ]


@given(SEQUENCES, st.data())
def test_windows_taken_are_those_windows_in_that_order(sequences: list[list[int]], data: st.DataObject):
    batch = windows(sequences)
    index = data.draw(st.lists(st.integers(0, len(batch) - 1), max_size=8)) if len(batch) else []
    taken = batch.take(np.array(index, np.int64))
    assert contents(taken) == [contents(batch)[i] for i in index]
    assert taken.offsets.dtype == np.int64


def test_windows_are_taken_by_a_mask_as_by_positions():
    batch = windows([[1], [2, 2], [], [3]])
    assert contents(batch.take(np.array([False, True, False, True]))) == contents(batch.take(np.array([1, 3])))


@given(SEQUENCES, st.integers(0, 8), st.integers(0, 8))
def test_windows_cut_apart_and_put_together_are_the_same(sequences: list[list[int]], a: int, b: int):
    batch = windows(sequences)
    first, second = sorted((min(a, len(batch)), min(b, len(batch))))
    everything = np.arange(len(batch))
    parts = [batch.take(part) for part in np.split(everything, [first, second])]
    assert contents(Windows.concat(parts)) == contents(batch)


def test_no_parts_put_together_are_no_windows():
    nothing = Windows.concat([])
    assert len(nothing) == 0
    assert nothing.numbers.shape == (0, 0)
    assert Windows.empty(3).numbers.shape == (0, 3)


def test_each_event_knows_its_window():
    batch = windows([[5, 6], [], [7]])
    assert batch.lengths.tolist() == [2, 0, 1]
    assert batch.window_of_event.tolist() == [0, 0, 2]


def test_keys_lead_to_rows_and_unknown_ones_to_none():
    templates = Templates(
        text=("a", "b"),
        level=np.full(2, 3, np.uint8),
        count=np.ones(2, np.int64),
        key=np.array([10, 20, 30], np.uint64),
        row=np.array([1, 0, 1], np.uint32),
        embedding=np.zeros((2, 4), np.float32),
    )
    assert len(templates) == 2
    keys = np.array([30, 20, 15, 10, 2**64 - 1], np.uint64)
    assert templates.rows_of(keys).tolist() == [1, 0, -1, 1, -1]


def test_without_templates_no_key_leads_anywhere():
    none = np.empty(0, np.uint64)
    templates = Templates(
        (), np.empty(0, np.uint8), np.empty(0, np.int64), none, none.astype(np.uint32), np.empty((0, 4))
    )
    assert templates.rows_of(np.array([1, 2], np.uint64)).tolist() == [-1, -1]


def test_a_tally_keeps_the_first_example_and_adds_up():
    tally, other = Tally(), Tally()
    tally.add("line cut", 2, example="a.log:3")
    tally.add("line cut", 1, example="a.log:9")
    tally.add("never", 0, example="not counted")
    other.add("line cut", 4, example="b.log:1")
    other.add("empty line", example="x" * 500)
    tally.merge(other)
    assert dict(tally.counts) == {"line cut": 7, "empty line": 1}
    assert tally.examples == {"line cut": "a.log:3", "empty line": "x" * 200}


def test_microseconds_become_a_time_in_utc():
    assert to_datetime(1_772_362_800_000_250) == datetime(2026, 3, 1, 11, 0, 0, 250, tzinfo=UTC)
    assert to_datetime(NO_TIME) is None


def test_levels_ascend_from_unknown():
    assert LEVELS == ("UNKNOWN", "TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")


def test_the_fields_of_an_incident_are_those_of_asdict():
    reason = Reason("count_off", "usual 3, saw 1", {"usual": 3, "seen": 1})
    one = incident("a", reasons=(reason,), lines=(LineRef("a.log", 7, "text", 2.5, "message"),), members={"snn": 0.01})
    as_written = {option: orjson.dumps(one.fields(), option=option) for option in (None, orjson.OPT_UTC_Z)}
    assert as_written == {option: orjson.dumps(asdict(one), option=option) for option in as_written}
