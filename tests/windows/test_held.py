"""Events of open windows: what is held, and that closed ones give their room back."""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.types import EVENTS, Tally
from oddlog.windows import Windower
from oddlog.windows.held import Held


def held() -> Held:
    return Held({"line": np.empty(0, np.uint64)})


def test_a_window_is_the_chain_of_its_runs():
    one = held()
    one.add({"line": np.array([7, 8, 9], np.uint64)}, np.array([2, 0, 1]))
    first = one.add_runs(np.array([0]), np.array([2]), np.array([-1]))
    second = one.add_runs(np.array([2]), np.array([3]), first)
    which, start, stop = one.runs_of(np.concatenate([second, [-1]]))
    assert one.gather("line", np.arange(3)).tolist() == [9, 7, 8]
    assert (which.tolist(), start.tolist(), stop.tolist()) == ([0, 0], [2, 0], [3, 2])
    assert one.live == 3


def test_compaction_keeps_the_events_of_open_windows_in_order():
    one = held()
    one.add({"line": np.arange(6, dtype=np.uint64)}, np.arange(6))
    runs = one.add_runs(np.array([0, 2, 4]), np.array([2, 4, 6]), np.array([-1, -1, -1]))
    late = one.add_runs(np.array([4]), np.array([6]), runs[:1])
    head = one.compact(np.array([late[0], runs[1]]))
    which, start, stop = one.runs_of(head)
    assert one.gather("line", np.arange(one.size)).tolist() == [0, 1, 4, 5, 2, 3]
    assert (which.tolist(), start.tolist(), stop.tolist()) == ([0, 1], [0, 4], [4, 6])
    assert one.live == 6


def test_what_is_held_stays_bounded_by_what_is_open():
    windower = Windower(by="session", idle_us=10, tally=Tally())
    n, total = 50_000, 0
    for i in range(12):
        time_us = np.arange(n) + i * n
        rest = {name: np.zeros(n) for name in ("template", "level", "service", "source", "line")}
        session = (time_us // 5).astype(str)
        events = (
            pl.DataFrame({"session": session, "time_us": time_us, **rest}).cast(dict(EVENTS)).select(EVENTS.names())
        )
        total += len(windower.push(events).template)
    assert total > 12 * n - 30
    assert windower._open.held.size < 3 * n
    assert len(windower._open._base) < n
