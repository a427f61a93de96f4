"""Events wait in memory or on disk, and come back whole windows at a time."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.pipeline import events as events_module
from oddlog.pipeline.events import Codes, EventStore, repeated
from oddlog.types import Tally

batches = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), max_size=8), max_size=8)


def frames(batches: list[list[str | None]]) -> list[pl.DataFrame]:
    """Return a frame of ``session line`` for each batch; lines are numbered through."""
    done, found = 0, []
    for batch in batches:
        lines = pl.int_range(done, done + len(batch), dtype=pl.UInt64, eager=True)
        found.append(pl.DataFrame({"session": pl.Series(batch, dtype=pl.String), "line": lines}))
        done += len(batch)
    return found


@settings(deadline=None, max_examples=40)  # it writes files
@given(batches, st.integers(1, 50), st.integers(1, 4), st.integers(1, 50))
def test_every_event_comes_back_once_and_with_its_whole_session(
    batches: list[list[str | None]], in_memory: int, partitions: int, at_once: int
):
    with EventStore(rows_in_memory=in_memory, partitions=partitions, rows_at_once=at_once) as store:
        for frame in frames(batches):
            store.add(frame)
        parts = list(store)
        assert [part.rows() for part in store] == [part.rows() for part in parts]  # it can be read twice
    given_rows = [row for frame in frames(batches) for row in frame.rows()]
    assert sorted(row[1] for part in parts for row in part.rows()) == [line for _, line in given_rows]
    for name in {session for session, _ in given_rows}:
        homes = [part.filter(pl.col("session").eq_missing(pl.lit(name)))["line"].to_list() for part in parts]
        assert [lines for lines in homes if lines] == [[line for session, line in given_rows if session == name]]


def test_a_large_partition_comes_in_pieces():
    sessions = [f"order-{i % 100}" for i in range(1_000)]
    for in_memory in (10, 10_000):  # spilled and not
        with EventStore(rows_in_memory=in_memory, partitions=2, rows_at_once=100) as store:
            store.add(frames([sessions])[0])
            lengths = [len(part) for part in store]
        assert sum(lengths) == 1_000
        assert max(lengths) <= 250  # about 100: sessions stay whole


def test_what_is_kept_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(events_module.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    (tmp_path / "oddlog-events-").mkdir()
    with EventStore(rows_in_memory=100) as store:
        for frame in frames([["a", "b", "c", "d"] * 10] * 20):
            store.add(frame)
            assert sum(map(len, store._waiting)) <= 100
        assert store.rows == 800
        assert list(tmp_path.glob("oddlog-events-/*/*.parquet"))
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_an_empty_store_yields_nothing():
    with EventStore() as store:
        assert list(store) == []


def test_events_repeat_as_often_as_they_were_counted():
    events = pl.DataFrame({"line": [1, 2, 3], "count": pl.Series([1, 3, 2_000], dtype=pl.UInt32)})
    assert repeated(events)["line"].value_counts(sort=True).rows() == [(3, 1_000), (2, 3), (1, 1)]


def test_codes_beyond_the_limit_share_the_last_one_and_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "MOST_CODES", 2)
    tally = Tally()
    codes = Codes(what="services", tally=tally)
    assert codes.of(pl.Series(["pay", "mail", "stock", "pay", None])).to_list() == [0, 1, 2, 0, 2]
    assert tally.counts["services beyond 2"] == 2
