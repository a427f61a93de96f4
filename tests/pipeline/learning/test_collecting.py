"""The first pass keeps little of what it sees, and says so where it forgets."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from oddlog.pipeline.learning import collecting
from oddlog.pipeline.learning.collecting import Collected, folds
from oddlog.types import NO_TIME, RECORDS, Tally

DAY_US = 86_400_000_000


def records(messages: list[str], time_us: list[int] | None = None) -> pl.DataFrame:
    n = len(messages)
    columns = {
        "source": pl.repeat("app.log", n, eager=True),
        "position": pl.int_range(n, eager=True),
        "line": pl.int_range(1, n + 1, eager=True),
        "text": pl.Series(messages),
        "count": pl.repeat(1, n, eager=True),
        "time": pl.Series(time_us or [None] * n, dtype=pl.Int64),
        "level": pl.repeat("INFO", n, eager=True),
        "service": pl.repeat("shop", n, eager=True),
        "host": pl.repeat(None, n, dtype=pl.String, eager=True),
        "message": pl.Series(messages),
    }
    return pl.DataFrame(columns).cast(dict(RECORDS))


def test_times_kept_for_the_folds_are_bounded_and_still_part_the_lines_evenly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collecting, "EVERY", 1)
    monkeypatch.setattr(collecting, "MOST_TIMES", 1_000)
    with Collected([], (), Tally()) as collected:
        for day in range(50):
            collected.add(records(["order placed"] * 400, [day * DAY_US + i for i in range(400)]))
            assert sum(map(len, collected._times)) <= 1_000
        edges = collected.fold_edges()
        assert (collected.start_us, collected.end_us) == (0, 49 * DAY_US + 399)
    share = np.bincount(folds(np.repeat(np.arange(50) * DAY_US, 400), edges), minlength=5) / 20_000
    assert np.abs(share - 0.2).max() <= 0.05


def test_rare_messages_beyond_the_limit_are_forgotten_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collecting, "MOST_TYPES", 2)
    monkeypatch.setattr(collecting, "COMPACT_ROWS", 1)
    tally = Tally()
    with Collected([], (), tally) as collected:
        collected.add(records(["paid", "paid", "paid", "sent", "sent", "lost"]))
        types = collected.types()
    assert sorted(types.select("text", "n").rows()) == [("paid", 3), ("sent", 2)]
    assert tally.counts["rare distinct messages beyond 2"] == 1


def test_without_times_the_folds_are_runs_of_the_order_given():
    with Collected([], (), Tally()) as collected:
        collected.add(records(["order placed"] * 10))
        assert collected.start_us == NO_TIME
        assert folds(np.full(10, NO_TIME), collected.fold_edges()).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
