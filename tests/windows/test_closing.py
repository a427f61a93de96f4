"""When a session is over: told apart by its last event and its silence."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from oddlog.types import CLOSED_BY, EVENTS, State, Tally, Windows
from oddlog.windows import Closing, Windower, learn_closing
from oddlog.windows.closing import NEVER_OVER

SECOND = 1_000_000
OPENED, WORKED, DELETED = 0, 1, 2


def sessions(rows: list[list[tuple[int, int]]]) -> Windows:
    """Windows from lists of (template, second)."""
    flat = [(f"s{i}", template, t * SECOND) for i, row in enumerate(rows) for template, t in row]
    events = pl.DataFrame(flat, schema=["session", "template", "time_us"], orient="row").with_columns(
        level=pl.lit(3), service=pl.lit(0), source=pl.lit(0), line=pl.int_range(pl.len())
    )
    windower = Windower(by="session", tally=Tally())
    windower.push(events.sort("time_us", maintain_order=True).cast(dict(EVENTS)).select(EVENTS.names()))
    windows = windower.flush()
    return windows.take(np.argsort(windows.key.str.slice(1).cast(pl.Int64).to_numpy()))


def usual(n: int = 400) -> list[list[tuple[int, int]]]:
    """A session every 10 s: opened, worked on 2 to 5 s later, deleted 30 to 60 s after that."""
    return [[(OPENED, 10 * i), (WORKED, 10 * i + 2 + i % 4), (DELETED, 10 * i + 40 + i % 31)] for i in range(n)]


LOG_END = 10 * 400


def until(rows: list[list[tuple[int, int]]], end: int) -> list[list[tuple[int, int]]]:
    """What had been written of the sessions by second `end`."""
    cut = [[(template, t) for template, t in row if t <= end] for row in rows]
    return [row for row in cut if row]


def learned() -> Closing:
    return learn_closing(sessions(until(usual(), LOG_END)), LOG_END * SECOND)


def test_sessions_that_go_on_and_those_that_ended_are_told_apart():
    rows, end = usual(), 2_000
    before = until(rows, end)
    closed = learned().is_closed(sessions(before), end * SECOND)
    went_on = [len(row) < 3 for row in before]
    ended_long_ago = [len(row) == 3 and row[-1][1] < end - 130 for row in before]
    assert sum(went_on) == 5
    assert not closed[np.array(went_on)].any()
    assert closed[np.array(ended_long_ago)].all()


def test_a_session_stuck_far_longer_than_any_was_is_over():
    windows = sessions([[(OPENED, 0)], [(OPENED, 0), (WORKED, 3)], [(OPENED, 795)]])
    assert learned().is_closed(windows, 800 * SECOND).tolist() == [True, True, False]


def test_the_silence_is_learned_per_kind_of_last_event():
    closing = learned()
    silence = dict(zip((closing.state // 8).tolist(), (closing.silence_us / SECOND).tolist(), strict=True))
    # ten times the longest wait where all go on, twice where sessions rest; never below the pause of a minute
    assert silence[OPENED] == 60.0
    assert silence[WORKED] == 10 * 68
    assert silence[DELETED] == 60.0


def test_the_third_of_a_kind_tells_more_than_the_first():
    """Three replicas are deleted 100 s apart; only after the third a session is over at once."""
    rows = [[(OPENED, 10 * i)] + [(DELETED, 10 * i + 100 * k) for k in (1, 2, 3)] for i in range(400)]
    closing = learn_closing(sessions(until(rows, LOG_END)), LOG_END * SECOND)
    windows = sessions([[(OPENED, 0), *((DELETED, 100 * k) for k in range(1, n + 1))] for n in (1, 2, 3, 4)])
    at = [bool(closing.is_closed(windows.take(np.array([i])), int(windows.end[i]) + 90 * SECOND)[0]) for i in range(4)]
    assert at == [False, False, True, True]  # a fourth was never seen and counts as a third


def test_a_state_in_which_sessions_rest_for_long_is_never_over():
    """Half of the stored blocks are deleted hours later, as far as the log goes: none may be called over."""
    rng = np.random.default_rng(5)
    rows = [[(OPENED, 10 * i), (DELETED, 10 * i + int(rng.integers(1, 8_000)))] for i in range(400)]
    closing = learn_closing(sessions(until(rows, LOG_END)), LOG_END * SECOND)
    assert closing.silence_us[closing.state == OPENED * 8].tolist() == [NEVER_OVER]


def test_templates_that_end_nearly_all_sessions_they_stand_in_are_found():
    rows = usual(1_200)
    windows = sessions(rows)
    assert learn_closing(windows).end_templates == frozenset({DELETED})
    again = [[*row, (WORKED, row[-1][1] + 5)] if i % 100 == 0 else row for i, row in enumerate(rows)]
    assert learn_closing(sessions(again)).end_templates == frozenset()
    assert learned().end_templates == frozenset()  # 400 sessions are too few to say 99.9 %


def test_idle_is_twice_a_long_gap_within_bounds():
    assert learned().idle_us == pytest.approx(2 * 68 * SECOND, abs=2 * SECOND)
    assert learn_closing(sessions([[(OPENED, 0), (OPENED, 0)]])).idle_us == SECOND
    assert learn_closing(sessions([[(OPENED, 0)]])).idle_us == 7 * 86_400 * SECOND
    assert learn_closing(sessions([[(OPENED, 0), (OPENED, 10**8)]])).idle_us == 7 * 86_400 * SECOND


def test_what_was_closed_by_anything_but_the_end_of_the_log_is_over():
    windows = sessions([[(OPENED, 500)]] * len(CLOSED_BY))
    by = np.arange(len(CLOSED_BY), dtype=np.uint8)
    windows = Windows(**{**vars(windows), "closed_by": by})
    closed = learned().is_closed(windows, 500 * SECOND)
    assert dict(zip(CLOSED_BY, closed.tolist(), strict=True)) == {
        "open": False, "end": True, "idle": True, "age": True, "size": True, "bounds": True,
        "rest": True, "headless": True,
    }  # fmt: skip


def test_nothing_is_said_from_nothing():
    closing = learn_closing(Windows.empty())
    windows = sessions([[(OPENED, 0)]])
    assert closing.is_closed(windows, 10**15).tolist() == [False]
    assert closing.is_closed(Windows.empty(), 0).tolist() == []


def test_a_kind_of_event_never_seen_falls_back_on_all():
    windows = sessions([[(77, 0)]])
    assert learned().is_closed(windows, LOG_END * SECOND).tolist() == [True]
    assert learned().is_closed(windows, 30 * SECOND).tolist() == [False]


def test_state_gives_the_same_closing():
    closing = learned()
    state = closing.to_state()
    again = Closing.from_state(State(dict(state.arrays), json.loads(json.dumps(state.meta))))
    windows = sessions(until(usual(), 2_000))
    assert again.is_closed(windows, 2_000 * SECOND).tolist() == closing.is_closed(windows, 2_000 * SECOND).tolist()
    assert (again.idle_us, again.end_templates) == (closing.idle_us, closing.end_templates)


def settled(windows: Windows, closing: Closing, start: int, end: int) -> list[str]:
    return [CLOSED_BY[code] for code in closing.settled(windows, start * SECOND, end * SECOND)]


def test_an_unfinished_session_rests_once_it_has_paused():
    closing = replace(learned(), silence_us=np.full_like(learned().silence_us, 1 << 62), other_us=1 << 62)
    windows = sessions([[(OPENED, 0), (WORKED, 5)]])
    pause = closing.pause_us // SECOND
    assert settled(windows, closing, 0, 5 + pause) == ["open"]
    assert settled(windows, closing, 0, 6 + pause) == ["rest"]


def test_a_session_without_its_beginning_is_headless_only_near_the_beginning_of_the_log():
    closing = learned()
    assert closing.start_templates == {OPENED}
    late = closing.idle_us // SECOND + 10
    for at, says in ((5, "headless"), (late, "idle")):
        assert settled(sessions([[(WORKED, at), (DELETED, at + 1)]]), closing, 0, at + 10**7) == [says]


def test_a_session_with_its_beginning_is_never_headless():
    assert settled(sessions([[(OPENED, 0), (DELETED, 3)]]), learned(), 0, 10**7) == ["idle"]
