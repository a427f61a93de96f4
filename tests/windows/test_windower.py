"""Windows: what they hold, when they close, and that batching changes nothing."""

from __future__ import annotations

import json
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.windows import Config, Event, NaiveWindower
from oddlog.errors import ConfigError
from oddlog.types import CLOSED_BY, EVENTS, NO_TIME, State, Tally, Windows
from oddlog.windows import Windower

NUMBERED = pl.Schema({**EVENTS, "n.ms": pl.Float32()})
REASONS = {
    "event without a session key": "no key",
    "event without time, in no time window": "no time",
    "late event, its time window is closed": "late, dropped",
    "late event, placed at the watermark": "late, placed",
    "event of a group beyond max_open": "group refused",
    "window closed early, max_held events are held": "early, held",
    "window closed early, max_open are open": "early, open",
    "closed key forgotten, its parts are numbered anew": "forgotten",
    "session went on after it was closed by open": "again after 0",
    "session went on after it was closed by end": "again after 1",
    "session went on after it was closed by idle": "again after 2",
    "window cut at max_age_us": "again after 3",
    "window cut at max_events": "again after 4",
}


def frame(events: list[Event]) -> pl.DataFrame:
    rows = [
        {
            "session": e.session, "template": e.template, "time_us": e.time, "level": 3, "service": 1,
            "source": e.source, "line": e.line, "n.ms": e.number,
        }
        for e in events
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=NUMBERED)


def listed(windows: Windows) -> list[tuple]:
    """Windows as the naive twin gives them."""
    out = []
    for i in range(len(windows)):
        e = slice(windows.offsets[i], windows.offsets[i + 1])
        numbers = [None if np.isnan(x) else float(x) for x in windows.numbers[e, 0]]
        columns = (windows.time_us, windows.source, windows.line, windows.template)
        lines = list(zip(*(c[e].tolist() for c in columns), numbers, strict=True))
        out.append((windows.key[i], int(windows.start[i]), int(windows.end[i]), int(windows.closed_by[i]), lines))
    return out


@st.composite
def arrivals(draw: st.DrawFn) -> list[Event | int]:
    """Events mostly in order, some late, some without time or session; bare numbers move the watermark."""
    jump = st.one_of(st.integers(0, 3), st.integers(-15, 20), st.just(None))
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "c", "d", "ä", None]), st.integers(0, 4), jump, st.integers(0, 1)),
            max_size=40,
        )
    )
    now, out = draw(st.sampled_from([0, -7, 1_700_000_000_000_000])), []
    for i, (session, template, step, source) in enumerate(rows):
        now += 0 if step is None else step
        if template == 4 and draw(st.booleans()):
            out.append(now + draw(st.integers(-5, 8)))
        number = float(i) if template == 1 else None
        out.append(Event(session, template, NO_TIME if step is None else now, source, 100 - i if source else i, number))
    return out


CONFIGS = st.one_of(
    st.builds(
        Config,
        by=st.just("session"),
        idle_us=st.sampled_from([None, 0, 4, 12]),
        max_age_us=st.sampled_from([None, 0, 5, 25]),
        max_events=st.sampled_from([1, 2, 3, 100]),
        lateness_us=st.sampled_from([0, 0, 3, 50]),
        end_templates=st.sampled_from([frozenset(), frozenset({2})]),
        max_open=st.sampled_from([1, 2, 3, 100]),
        max_held=st.sampled_from([1, 4, 9, 1000]),
    ),
    st.builds(
        Config,
        by=st.just("time"),
        size=st.sampled_from([1, 5, 6, 1_000_000]),
        max_events=st.sampled_from([2, 100]),
        lateness_us=st.sampled_from([0, 0, 3, 50]),
        max_open=st.sampled_from([2, 9, 100]),
        max_held=st.sampled_from([5, 1000]),
    ),
    st.builds(
        Config,
        by=st.just("time"),
        size=st.sampled_from([6, 7]),
        step=st.sampled_from([2, 3]),
        lateness_us=st.sampled_from([0, 3]),
        max_open=st.sampled_from([3, 100]),
    ),
    st.builds(
        Config,
        by=st.just("count"),
        size=st.sampled_from([3, 5]),
        step=st.sampled_from([0, 1, 2]),
        lateness_us=st.sampled_from([0, 3, 50]),
        max_open=st.sampled_from([3, 100]),
        max_held=st.sampled_from([7, 1000]),
    ),
)


def naive(config: Config, stream: list[Event | int], flush_at: int) -> tuple[list[tuple], dict[str, int]]:
    twin = NaiveWindower(config)
    for i, one in enumerate(stream):
        if i == flush_at:
            twin.flush()
        twin.arrive(one) if isinstance(one, Event) else twin.move(one)
    twin.flush()
    return twin.out, twin.counted


def fast(config: Config, stream: list[Event | int], cuts: set[int], flush_at: int, saved: int) -> tuple:
    """Push in pieces that end at `cuts`; flush in between at `flush_at`; save and restore at `saved`."""
    tally = Tally()
    windower = Windower(**vars(config), tally=tally)
    out, batch = [], []
    for i, one in enumerate([*stream, None]):
        if batch and (i in cuts or i in {flush_at, saved} or one is None):
            out += listed(windower.push(frame(batch)))
            batch = []
        if i == saved:
            windower = Windower.from_state(stored(windower.state()), tally=tally)
        if i == flush_at and one is not None:
            flushed = windower.flush()
            out += listed(flushed) if len(flushed) else []
        if isinstance(one, Event):
            batch.append(one)
        elif one is not None:
            out += listed(windower.push(frame(batch), one))
            batch = []
    flushed = windower.flush()
    return out + (listed(flushed) if len(flushed) else []), dict(tally.counts)


def stored(state: State) -> State:
    """As it comes back from disk: bare contiguous arrays and JSON."""
    arrays = {name: np.ascontiguousarray(array).copy() for name, array in state.arrays.items()}
    return State(arrays, json.loads(json.dumps(state.meta)))


@settings(max_examples=150, deadline=None)
@given(CONFIGS, arrivals(), st.sets(st.integers(0, 40)), st.integers(0, 80), st.integers(0, 80))
def test_any_batching_gives_what_one_event_at_a_time_gives(config, stream, cuts, flush_at, saved):
    expected, counted = naive(config, stream, flush_at)
    for pieces in (cuts, set(), set(range(41))):
        out, tally = fast(config, stream, pieces, flush_at, saved)
        assert out == expected
        assert {REASONS[r]: n for r, n in tally.items()} == counted


SECOND = 1_000_000


def at(*rows: tuple) -> pl.DataFrame:
    """Events from (session, second, template), numbered in order of arrival."""
    return frame([Event(s, template, t * SECOND, 0, i + 1) for i, (s, t, template) in enumerate(rows)])


def keys(windows: Windows) -> list[tuple]:
    """Key, how it was closed, and the lines, of each window."""
    labels = [CLOSED_BY[c] for c in windows.closed_by]
    lines = [windows.line[a:b].tolist() for a, b in zip(windows.offsets[:-1], windows.offsets[1:], strict=True)]
    return list(zip(windows.key.to_list(), labels, lines, strict=True))


def run(windower: Windower, events: pl.DataFrame) -> tuple[list[tuple], list[tuple]]:
    return keys(windower.push(events)), keys(windower.flush())


def test_a_session_is_closed_by_idle_once_the_watermark_has_passed_its_silence():
    windower = Windower(by="session", idle_us=10 * SECOND, tally=Tally())
    assert keys(windower.push(at(("order-1", 0, 1), ("order-2", 5, 1)))) == []
    assert keys(windower.push(at(("order-2", 10, 2)))) == []  # order-1 was silent for 10 s, not for more
    assert keys(windower.push(at(("order-2", 11, 3)))) == [("order-1", "idle", [1])]
    assert keys(windower.push(at(), 22 * SECOND)) == [("order-2", "idle", [2, 1, 1])]
    assert keys(windower.flush()) == []


def test_a_session_that_goes_on_after_its_silence_gets_a_second_part_and_is_counted():
    tally = Tally()
    windower = Windower(by="session", idle_us=10 * SECOND, tally=tally)
    closed, left = run(windower, at(("a", 0, 1), ("a", 11, 1), ("a", 12, 1)))
    assert closed == [("a", "idle", [1])]
    assert left == [("a#2", "open", [2, 3])]
    assert tally.counts == {"session went on after it was closed by idle": 1}


def test_an_event_that_ends_sessions_closes_at_once():
    windower = Windower(by="session", end_templates=frozenset({9}), tally=Tally())
    assert keys(windower.push(at(("a", 0, 1), ("b", 0, 1), ("a", 1, 9)))) == [("a", "end", [1, 3])]
    assert keys(windower.push(at(("a", 1, 1)))) == []
    assert keys(windower.flush()) == [("b", "open", [2]), ("a#2", "open", [1])]


def test_age_and_size_cut_a_session_and_are_counted():
    tally = Tally()
    windower = Windower(by="session", max_age_us=4 * SECOND, max_events=3, tally=tally)
    closed, left = run(windower, at(*(("a", t, 1) for t in (0, 1, 2, 3, 7, 8))))
    assert closed == [("a", "size", [1, 2, 3]), ("a#2", "age", [4, 5])]
    assert left == [("a#3", "open", [6])]
    assert tally.counts == {"window cut at max_events": 1, "window cut at max_age_us": 1}


def test_events_out_of_order_within_the_lateness_stand_in_order_of_time():
    windower = Windower(by="session", idle_us=10 * SECOND, lateness_us=30 * SECOND, tally=Tally())
    closed, left = run(windower, at(("a", 0, 1), ("a", 18, 1), ("a", 9, 1), ("b", 70, 1)))
    assert closed == [("a", "idle", [1, 3, 2])]  # 9 s arrived last and bridges the silence
    assert left == [("b", "open", [4])]


def test_a_late_event_joins_its_session_while_that_is_open_and_is_counted():
    tally = Tally()
    windower = Windower(by="session", idle_us=60 * SECOND, tally=tally)
    closed, left = run(windower, at(("a", 100, 1), ("b", 130, 1), ("a", 90, 1)))
    assert closed == []
    assert left == [("a", "open", [3, 1]), ("b", "open", [2])]
    assert tally.counts == {"late event, placed at the watermark": 1}


def test_time_windows_stand_on_the_epoch_and_carry_their_bounds():
    windower = Windower(by="time", size=60 * SECOND, tally=Tally())
    start = 1_769_853_600  # 2026-01-31T10:00:00Z
    windows = windower.push(at(("api", start + 5, 1), (None, start + 59, 1), ("api", start + 60, 1)))
    assert keys(windows) == [
        ("2026-01-31T10:00:00Z", "bounds", [2]),
        ("api@2026-01-31T10:00:00Z", "bounds", [1]),
    ]
    assert windows.start.tolist() == [start * SECOND] * 2
    assert windows.end.tolist() == [(start + 60) * SECOND] * 2
    assert keys(windower.flush()) == [("api@2026-01-31T10:01:00Z", "open", [3])]


def test_sliding_time_windows_share_events():
    windower = Windower(by="time", size=20 * SECOND, step=10 * SECOND, tally=Tally())
    closed, left = run(windower, at((None, 5, 1), (None, 15, 1), (None, 31, 1)))
    assert closed == [
        ("1969-12-31T23:59:50Z", "bounds", [1]),
        ("1970-01-01T00:00:00Z", "bounds", [1, 2]),
        ("1970-01-01T00:00:10Z", "bounds", [2]),
    ]
    assert left == [("1970-01-01T00:00:20Z", "open", [3]), ("1970-01-01T00:00:30Z", "open", [3])]


def test_a_late_event_of_a_closed_time_window_is_dropped_and_counted():
    tally = Tally()
    windower = Windower(by="time", size=10 * SECOND, tally=tally)
    closed, left = run(windower, at(("a", 1, 1), ("a", 12, 1), ("a", 2, 1)))
    assert closed == [("a@1970-01-01T00:00:00Z", "bounds", [1])]
    assert left == [("a@1970-01-01T00:00:10Z", "open", [2])]
    assert tally.counts == {"late event, its time window is closed": 1}


def test_count_windows_are_numbered_within_their_group():
    windower = Windower(by="count", size=2, tally=Tally())
    closed, left = run(windower, at(("a", 0, 1), ("b", 0, 1), ("a", 1, 1), ("a", 2, 1), (None, 3, 1)))
    assert closed == [("a#0", "bounds", [1, 3])]
    assert left == [("b#0", "open", [2]), ("a#1", "open", [4]), ("#0", "open", [5])]


def test_events_without_time_stand_in_sessions_in_order_of_line_and_in_no_time_window():
    events = frame([Event("a", 1, NO_TIME, 0, line) for line in (3, 1, 2)])
    assert run(Windower(by="session", idle_us=1, tally=Tally()), events) == ([], [("a", "open", [1, 2, 3])])
    tally = Tally()
    assert run(Windower(by="time", size=1, tally=tally), events) == ([], [])
    assert tally.counts == {"event without time, in no time window": 3}


def test_a_window_spans_its_timed_events():
    events = frame([Event("a", 1, t, 0, i) for i, t in enumerate((NO_TIME, 7, NO_TIME, 9))])
    windower = Windower(by="session", tally=Tally())
    windower.push(events)
    windows = windower.flush()
    assert (windows.start.tolist(), windows.end.tolist()) == ([7], [9])


def test_events_without_a_session_stand_in_no_window_and_are_counted():
    tally = Tally()
    assert run(Windower(by="session", tally=tally), at((None, 1, 1), (None, 2, 1))) == ([], [])
    assert tally.counts == {"event without a session key": 2}


def test_numbers_go_with_their_events_and_absent_columns_are_nan():
    windower = Windower(by="session", tally=Tally())
    windower.push(frame([Event("a", 1, 2, 0, 1, 5.0), Event("a", 1, 1, 0, 2, None)]))
    windower.push(frame([Event("a", 1, 3, 0, 3)]).drop("n.ms"))
    assert np.array_equal(windower.flush().numbers, [[np.nan], [5.0], [np.nan]], equal_nan=True)


def test_the_windows_silent_longest_make_room_for_new_ones():
    tally = Tally()
    windower = Windower(by="session", max_open=16, tally=tally)
    closed = keys(windower.push(at(*((f"s{i:02}", i, 1) for i in range(16)), ("s00", 20, 1), ("new", 21, 1))))
    assert closed == [("s01", "size", [2]), ("s02", "size", [3])]
    assert tally.counts == {"window closed early, max_open are open": 2}


def test_no_events_give_no_windows():
    windower = Windower(by="session", tally=Tally())
    assert len(windower.flush()) == 0
    assert len(windower.push(at())) == 0
    assert windower.flush().numbers.shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "user"}, "Windows by 'user' are not known. There are: session, time, count."),
        ({"by": "session", "size": 5}, "Sessions have no size or step. Use idle_us, max_age_us or max_events instead."),
        ({"by": "time"}, "Windows by time need a size above 0, got 0. Try 60 s or 100 lines."),
        (
            {"by": "count", "size": 5, "step": 6},
            "A step of 6 does not fit windows of 5. The step is at most the size, and at least a 1,000th of it.",
        ),
        (
            {"by": "count", "size": 5, "max_events": 4},
            "Windows of 5 events exceed max_events = 4. Lower one or raise the other.",
        ),
        ({"by": "session", "max_open": 0}, "max_open must be at least 1, got 0."),
        ({"by": "session", "idle_us": -1}, "idle_us must not be negative, got -1."),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(ConfigError) as error:
        Windower(**options, tally=Tally())
    assert str(error.value) == said


def test_a_small_push_does_not_cost_what_is_open():
    """Doubling what is open ten times over must not show in the cost of a push of 100 events."""

    def cost(n: int) -> float:
        session = pl.Series([f"job-{i}" for i in range(n // 50)] * 50)
        columns = {"session": session, "time_us": pl.Series(range(n)), "template": pl.repeat(1, n, eager=True)}
        rest = {name: pl.repeat(0, n, eager=True) for name in ("level", "service", "source", "line")}
        events = pl.DataFrame(columns | rest).cast(dict(EVENTS)).select(EVENTS.names())
        windower = Windower(by="session", idle_us=10**12, tally=Tally())
        windower.push(events)
        few, best = events[:100], np.inf
        for _ in range(20):
            began = time.process_time()
            windower.push(few)
            best = min(best, time.process_time() - began)
        return best

    assert cost(400_000) < 4 * cost(400) + 0.002


def test_a_closed_key_takes_twenty_bytes_of_a_state():
    windower = Windower(by="session", idle_us=1, tally=Tally())
    rows = [Event(f"a-long-name-of-a-session-{i}", 0, 1_000 * i, 0, i, None) for i in range(600)]
    windower.push(frame(rows))
    arrays = windower.state().arrays
    closed = {name: array for name, array in arrays.items() if name.startswith("closed.")}
    assert len(closed["closed.key"]) == 599
    assert sum(array.nbytes for array in closed.values()) == 599 * 21
