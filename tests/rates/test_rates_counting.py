from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from made_rates import DAY, FAILED, MONDAY, SERVICES, More, count, counts, traffic
from naive.rates import cells
from oddlog.rates import Counting, Span, counted
from oddlog.rates import counting as module
from oddlog.types import NO_TIME, Tally

SMALL = traffic(MONDAY, 90, 1, More(FAILED, MONDAY + 30, 10, 5.0, "203.0.113.9"))
TABLES = ("cells", "statuses", "numbers", "hosts", "failures", "entities")


def test_cells_are_those_of_a_loop_over_the_lines():
    table = count(SMALL).table("cells")
    got = {(m, SERVICES[s], t, g): n for m, s, t, g, n in table.iter_rows()}
    assert got == cells(SMALL)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, len(SMALL)), max_size=6))
def test_any_batching_of_the_lines_gives_the_same_counts(cuts: list[int]):
    counting = Counting(Tally())
    edges = [0, *sorted(cuts), len(SMALL)]
    for a, b in pairwise(edges):
        if b > a:
            count(SMALL[a:b], counting)
    whole = count(SMALL)
    for name in TABLES:
        one, other = (_with_names(each, name) for each in (counting, whole))
        assert one.drop("sum", "asinh", strict=False).equals(other.drop("sum", "asinh", strict=False)), name
    sums = [each.table("numbers").select("sum", "asinh").to_numpy() for each in (counting, whole)]
    np.testing.assert_allclose(*sums, rtol=1e-12)


def _with_names(counting: Counting, name: str) -> pl.DataFrame:
    """Return a table with names instead of numbers, which depend on what came first."""
    table = counting.table(name)
    for column, names in (("entity", counting.entities.names), ("host", counting.hosts.names)):
        if column in table.columns and len(table):
            table = table.with_columns(pl.col(column).replace_strict(range(len(names)), names, return_dtype=pl.String))
    return table.sort([c for c in table.columns if c not in ("sum", "asinh")])


def test_a_repeated_line_counts_as_often_as_it_was_repeated():
    once = count(SMALL.head(1)).table("cells")["n"].to_list()
    often = count(SMALL.head(1).with_columns(count=pl.lit(7, pl.UInt32))).table("cells")["n"].to_list()
    assert (once, often) == ([1], [7])


def test_failed_lines_are_counted_by_who_causes_them():
    counting = count(SMALL)
    failures = counting.table("failures")
    code = counting.entities.names.index("203.0.113.9")
    by_hand = SMALL.filter((pl.col("f.client") == "203.0.113.9") & (pl.col("level") == "WARNING"))
    assert failures.filter(pl.col("entity") == code)["n"].sum() == len(by_hand) > 20
    assert failures["type"].unique().to_list() == [FAILED]
    assert counting.table("entities")["n"].sum() == SMALL["f.client"].drop_nulls().len()


def test_failed_lines_without_a_field_are_of_the_address_in_their_message():
    message = pl.when(pl.col("level") == "WARNING").then(pl.lit("failed password for ana from 198.51.100.4 port 22"))
    some = SMALL.drop("f.client").with_columns(message=message.otherwise("message"))
    counting = count(some)
    assert counting.entities.names == ["198.51.100.4"]
    assert counting.table("failures")["n"].sum() == (SMALL["level"] == "WARNING").sum()
    assert not len(counting.table("entities"))


def test_the_field_that_names_who_can_be_named():
    named = SMALL.with_columns(pl.lit("tenant-7").alias("f.tenant"))
    counting = Counting(Tally(), entity="tenant")
    count(named, counting)
    assert counting.entities.names == ["tenant-7"]


def test_lines_without_a_time_or_with_an_impossible_one_are_in_no_count():
    tally = Tally()
    times = [SMALL["time"][0], None]
    some = SMALL.head(2).with_columns(time=pl.Series(times, dtype=pl.Datetime("us", "UTC")))
    shared = pl.DataFrame(
        {
            "time_us": [NO_TIME, -(2**62)],
            "level": pl.Series([3, 3], dtype=pl.UInt8),
            "service": pl.Series([1, 1], dtype=pl.UInt16),
            "count": pl.Series([1, 1], dtype=pl.UInt32),
            "type": pl.Series([0, 0], dtype=pl.UInt64),
        }
    )
    counting = Counting(tally)
    counting.add(some.drop("template"), shared, pl.Series([False, False]))
    assert not len(counting.table("cells"))
    assert dict(tally.counts) == {"lines of impossible times, not counted by minute": 1}


def test_a_table_that_is_too_long_makes_its_rarest_types_one(monkeypatch: pytest.MonkeyPatch):
    many = SMALL.with_columns(template=pl.int_range(pl.len()) % 40)
    whole = count(many).table("cells")
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    monkeypatch.setattr(module, "COMPACT_ROWS", 0)
    tally = Tally()
    counting = count(many, Counting(tally))
    table = counting.table("cells")
    assert len(table) < len(whole)
    assert module.OTHER_TYPES in table["type"].to_list()
    assert table["n"].sum() == len(many)
    assert list(tally.counts) == ["rare ones beyond 100 counts by minute, counted as one"]


def test_names_that_do_not_fit_share_one_number():
    tally = Tally()
    names = module.Names(2, "hosts", tally)
    assert names.of(pl.Series(["a", None, "b", "c", "a", "d"])).to_list() == [0, None, 1, 2, 0, 2]
    assert names.names == ["a", "b", "(others)"]
    assert tally.counts["hosts beyond 2, counted as one"] == 2


def test_a_time_that_nobody_wrote_down_is_not_observed():
    parts = pl.concat([traffic(MONDAY, 120, 1), traffic(MONDAY + 3 * DAY, 60, 2)])
    span = counts(parts).span
    assert span.first == MONDAY
    assert len(span) == 3 * DAY + 60
    assert span.observed.sum() == pytest.approx(180, abs=2)


def test_a_line_a_century_away_is_left_out():
    stray = traffic(MONDAY, 1, 3).head(1).with_columns(pl.col("time") - pl.duration(days=365 * 40))
    parts = pl.concat([stray, traffic(MONDAY, 300, 1)])
    found = counts(parts)
    assert found.span.first == MONDAY
    assert len(found.span) == 300
    assert isinstance(found.span, Span)


def test_what_is_left_out_is_counted_under_what_it_is():
    stray = traffic(MONDAY, 1, 3).head(1).with_columns(pl.col("time") - pl.duration(days=365 * 40))
    late = traffic(MONDAY, 1, 4).head(1).with_columns(pl.col("time") + pl.duration(minutes=330))
    tally = Tally()
    busy = [traffic(MONDAY, 300, seed) for seed in range(9)]
    counted(count(pl.concat([stray, *busy, late])), lambda t: t.to_numpy(), SERVICES, tally, None)
    told = {what: n for what, n in tally.counts.items() if "in no rate" in what}
    assert told == {
        "last lines, of minutes in which hardly anything was written any more, in no rate": 1,
        "lines more than 400 days from most others, in no rate": 1,
    }


def test_lines_of_several_sources_are_counted_as_if_each_came_alone():
    time = [1_772_438_400_000_000] * 4
    shared = pl.DataFrame({"time_us": time, "level": [6] * 4, "service": [0] * 4, "count": [1] * 4, "type": [1] * 4})
    records = pl.DataFrame(
        {
            "source": ["web", "web", "vpn", "vpn"],
            "host": ["h"] * 4,
            "message": ["x"] * 4,
            "f.client": ["198.51.100.7", None, None, None],
            "f.user": ["eve", "eve", "bob", None],
            "n.code": [None, None, 500.0, 200.0],
            "n.status": [503.0, 200.0, None, None],
        }
    )
    alarming = pl.Series([False] * 4)
    together, apart = Counting(Tally()), Counting(Tally())
    together.add(records, shared, alarming)
    for rows in (slice(0, 2), slice(2, 4)):
        part = records[rows]
        part = part.select(name for name in part.columns if part[name].null_count() < len(part))
        apart.add(part, shared[rows], alarming[rows])
    for name in ("entities", "failures", "statuses"):
        assert_frame_equal(together.table(name), apart.table(name))
    assert together.entities.names == apart.entities.names == ["198.51.100.7", "bob"]


def test_what_is_forgotten_takes_its_names_with_it_and_a_state_goes_on():
    counting = Counting(Tally())
    for i in range(40):
        time = [(29_540_000 + i) * 60_000_000] * 2
        shared = pl.DataFrame(
            {"time_us": time, "level": [6] * 2, "service": [0] * 2, "count": [1] * 2, "type": [1] * 2}
        )
        names = [f"198.51.100.{i}", "203.0.113.1"]
        records = pl.DataFrame(
            {"source": ["a"] * 2, "host": [f"h{i}", "always"], "message": [""] * 2, "f.client": names}
        )
        counting.add(records, shared, pl.Series([False] * 2))
    counting.forget(29_540_030)
    assert len(counting.table("cells")) == 10
    assert sorted(counting.hosts.names) == sorted([*(f"h{i}" for i in range(30, 40)), "always"])
    by_host = counting.table("hosts").group_by("host").len()
    assert {counting.hosts.names[code]: n for code, n in by_host.iter_rows()}["always"] == 10
    assert "198.51.100.3" not in counting.entities.names
    again = Counting(Tally())
    again.restore(counting.state())
    for name in ("cells", "hosts", "failures", "entities"):
        assert_frame_equal(again.table(name), counting.table(name))
    assert counting.before(29_540_035).table("cells")["minute"].max() == 29_540_034
