"""Shares of steps, gaps and numbers, from windows made by hand."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.shares import BEGIN, END, UNSEEN, Bounds, Odd, ShareCounting, ShareCounts, Shares, steps, subject_of
from oddlog.shares.odd import dense_stretches
from oddlog.types import CLOSED_BY, Tally, Windows

MINUTE = 60_000_000
DAY = 1_440
START = 29_540_160 * MINUTE  # Monday, 2 March 2026, 00:00 UTC
K = 5
ASK, CHECK, PAY, ANSWER, RARE = range(K)
USUAL = [ASK, CHECK, PAY, ANSWER]


def sessions(rows: list[tuple[float, list[int], float]], closed_by: str = "idle") -> Windows:
    """Return a session for each (minute of its begin, types, seconds between two events)."""
    lengths = [len(types) for _, types, _ in rows]
    time = np.array(
        [START + round(at * MINUTE) + round(i * gap * 1e6) for at, types, gap in rows for i in range(len(types))],
        np.int64,
    )
    n = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Windows(
        key=pl.Series("key", [f"s{i}" for i in range(len(rows))], dtype=pl.String),
        start=time[offsets[:-1]],
        end=time[offsets[1:] - 1],
        closed_by=np.full(len(rows), CLOSED_BY.index(closed_by), np.uint8),
        weight=np.ones(len(rows)),
        offsets=offsets,
        template=np.array([t for _, types, _ in rows for t in types], np.uint32),
        time_us=time,
        level=np.zeros(n, np.uint8),
        service=np.ones(n, np.uint16),
        source=np.zeros(n, np.uint16),
        line=np.arange(n, dtype=np.uint64),
        numbers=np.empty((n, 0), np.float32),
    )


def traffic(days: int, seed: int = 0) -> list[tuple[float, list[int], float]]:
    """Return a session about each minute; one in fifty skips the check."""
    draw = np.random.default_rng(seed)
    return [
        (minute + float(draw.random()), [ASK, PAY, ANSWER] if draw.random() < 0.02 else USUAL, 0.01)
        for minute in range(days * DAY)
    ]


def counted(windows: Windows, bounds: Bounds) -> ShareCounts:
    counting = ShareCounting(bounds, K, Tally())
    counting.add_windows(windows)
    return counting.counts()


@pytest.fixture(scope="module")
def shares() -> Shares:
    windows = sessions(traffic(5))
    bounds = Bounds.learn([steps(windows, K)], [])
    return Shares.learn(counted(windows, bounds), bounds, (), 0.02)


def odd_of(shares: Shares, rows: list[tuple[float, list[int], float]]) -> list[Odd]:
    return shares.judge(counted(sessions(rows), shares.bounds))


def test_steps_are_what_follows_what_with_begin_and_true_end():
    found = steps(sessions([(0, [ASK, PAY, 77], 1.0)]), K)
    parts = [subject_of("step", int(pair)) for pair in found.pair]
    assert [(one.before, one.after) for one in parts] == [(BEGIN, ASK), (ASK, PAY), (PAY, UNSEEN), (UNSEEN, END)]
    assert found.event.tolist() == [0, 1, 2, 2]
    assert found.gap_us.tolist() == [-1, 1_000_000, 1_000_000, -1]


def test_what_is_cut_off_has_no_end():
    found = steps(sessions([(0, [ASK, PAY], 1.0)], closed_by="open"), K)
    assert [subject_of("step", int(pair)).after for pair in found.pair] == [ASK, PAY]


def test_a_usual_day_is_not_odd(shares: Shares):
    assert odd_of(shares, traffic(1, seed=7)) == []


def test_an_hour_in_which_half_of_the_sessions_skip_a_step_is_odd_from_its_first_to_its_last_minute(shares: Shares):
    rows = [
        (at, [ASK, PAY, ANSWER] if 600 <= at < 660 and i % 2 else types, gap)
        for i, (at, types, gap) in enumerate(traffic(1, seed=7))
    ]
    found = [one for one in odd_of(shares, rows) if one.kind == "step"]
    parts = [subject_of("step", one.subject) for one in found]
    assert [(one.before, one.after) for one in parts] == [(ASK, PAY)]
    [one] = found
    start, end = ((time - START) / MINUTE for time in (one.start_us, one.end_us))
    assert 600 <= start < 604
    assert 656 < end <= 660.1
    assert 25 <= one.part <= 35
    assert one.usual == pytest.approx(0.02, abs=0.005)
    assert one.excess > 0.9


def test_a_step_that_was_never_seen_needs_few_times(shares: Shares):
    rows = [(at, [ASK, PAY, CHECK, ANSWER] if 600 <= at < 606 else types, gap) for at, types, gap in traffic(1, seed=7)]
    kinds = {(one.kind, subject_of(one.kind, one.subject).after) for one in odd_of(shares, rows)}
    assert ("step", CHECK) in kinds  # PAY → CHECK
    assert ("detour", ANSWER) in kinds  # however it came


def test_three_times_as_many_sessions_are_no_odd_share(shares: Shares):
    rows = traffic(1, seed=7)
    assert odd_of(shares, rows + [(at + 0.3, types, gap) for at, types, gap in rows if 600 <= at < 660] * 2) == []


def test_lines_that_come_late_are_odd_gaps(shares: Shares):
    rows = [(at, types, 5.0 if 600 <= at < 630 else gap) for at, types, gap in traffic(1, seed=7)]
    assert [one.kind for one in odd_of(shares, rows)] == ["gap"]


def test_where_sources_are_absent_what_they_write_is_not_missed_and_other_steps_are_still_told(shares: Shares):
    rows = [
        (at, [CHECK, PAY] if 600 <= at < 660 else [CHECK, PAY, ANSWER], gap)  # ASK is written by who is not given
        for at, _, gap in traffic(1, seed=7)
    ]
    every = odd_of(shares, rows)
    steps = [(one.kind, subject_of(one.kind, one.subject)) for one in every]
    assert ("step", BEGIN, CHECK) in [(kind, of.before, of.after) for kind, of in steps]
    assert shares.without(set(), every) == every
    left = shares.without({ASK}, every)
    assert [(one.kind, subject_of(one.kind, one.subject)) for one in left if one.kind == "step"] == [
        (kind, of) for kind, of in steps if kind == "step" and (of.before, of.after) == (PAY, END)
    ]


def test_the_order_in_which_windows_are_counted_does_not_matter(shares: Shares):
    rows = traffic(1, seed=3)
    once = counted(sessions(rows), shares.bounds)
    counting = ShareCounting(shares.bounds, K, Tally())
    for part in (rows[700:], rows[:300], rows[300:700]):
        counting.add_windows(sessions(part))
    again = counting.counts()
    for kind, frame in once.marked.items():
        assert frame.drop("source", "line").equals(again.marked[kind].drop("source", "line"))
        assert once.whole[kind].equals(again.whole[kind])


def test_a_saved_model_of_shares_judges_the_same(shares: Shares):
    rebuilt = Shares.from_states(shares.state())
    rows = [(at, [ASK, PAY, ANSWER] if 600 <= at < 660 else types, gap) for at, types, gap in traffic(1, seed=7)]
    assert rebuilt is not None
    assert odd_of(rebuilt, rows) == odd_of(shares, rows) != []


def test_nothing_in_nothing_out(shares: Shares):
    assert shares.judge(counted(sessions([]), shares.bounds)) == []
    empty = Shares.learn(counted(sessions([]), Bounds.nothing()), Bounds.nothing(), (), 0.02)
    assert odd_of(empty, traffic(1)) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30), st.floats(0.001, 0.9))
def test_dense_stretches_begin_and_end_with_marks_and_do_not_overlap(counts: list[tuple[int, int]], usual: float):
    part = np.array([float(marked) for marked, _ in counts])
    of = part + np.array([float(rest) for _, rest in counts])
    found = dense_stretches(part, of, usual)
    assert all(part[first] > 0 and part[last] > 0 for first, last in found)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))
