"""What was judged becomes Parquet files, none twice; what is old is forgotten."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from oddlog.types import TIME, Passed
from stored_incidents import live

pytest.importorskip("sqlalchemy")
from oddlog.service.keeping import FORGET_S, WRITE_S, Keeper
from oddlog.store import Asked, Store

START = datetime(2026, 3, 3, tzinfo=UTC).timestamp()


def passed(key: str) -> Passed:
    none = pl.DataFrame()
    verdicts = pl.DataFrame({"key": [key], "end": [datetime(2026, 3, 3, tzinfo=UTC)]}).with_columns(
        pl.col("end").cast(TIME)
    )
    minutes = pl.DataFrame(
        schema={"minute": pl.Int64, "service": pl.String, "lines": pl.Int64, "errors": pl.Int64, "unseen": pl.Int64}
    )
    return Passed(minutes, none, none, none, none, verdicts)


@pytest.fixture
def store(tmp_path: Path):
    kept = Store(tmp_path / "oddlog.db", lambda: datetime.fromtimestamp(START, UTC))
    yield kept
    kept.close()


def test_windows_wait_an_hour_and_are_written_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [START]
    keeper = Keeper(store, tmp_path / "history", clock=lambda: now[0], steady=lambda: now[0])
    store.save("m", [], (1, b""), passed=passed("a"))
    store.save("m", [], (2, b""), passed=passed("b"))
    keeper.turn()
    assert not (tmp_path / "history").exists()
    now[0] += WRITE_S
    forget = store.forget_scored
    monkeypatch.setattr(store, "forget_scored", lambda _: 1 / 0)  # as if it were killed between the two
    with pytest.raises(ZeroDivisionError):
        keeper.turn()
    monkeypatch.setattr(store, "forget_scored", forget)
    store.save("m", [], (3, b""), passed=passed("c"))
    keeper.turn()
    found = pl.read_parquet(tmp_path / "history" / "*.parquet")
    assert sorted(found["key"].to_list()) == ["a", "b", "c"]
    assert [path.suffix for path in (tmp_path / "history").iterdir()] == [".parquet"]
    assert store.scored() is None


def test_files_and_incidents_that_are_old_are_forgotten(store: Store, tmp_path: Path):
    folder = tmp_path / "history"
    folder.mkdir()
    old, new = folder / "scores-000000000001.parquet", folder / "scores-000000000002.parquet"
    for path, age_s in ((old, 40 * 86_400), (new, 86_400)):
        path.write_bytes(b"x")
        os.utime(path, (START - age_s, START - age_s))
    store.save("m", [live(1, "over"), live(2)])
    now = [START]
    keeper = Keeper(store, folder, 30 * 86_400.0, lambda: now[0], lambda: now[0])
    keeper.turn()
    assert old.exists()  # the clock of a machine that has just started may be set yet
    now[0] += FORGET_S
    keeper.turn()
    assert (old.exists(), new.exists(), store.page(Asked()).total) == (False, True, 2)
    now[0] += 60 * 86_400
    keeper.turn()
    assert [one.change for one in store.page(Asked()).rows] == ["new"]


@pytest.mark.parametrize("jump_s", [400 * 86_400.0, -400 * 86_400.0])
def test_a_clock_that_is_set_to_another_year_has_nothing_forgotten(
    jump_s: float, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Set right again within a day, all is there; a clock that stays is believed then."""
    store.save("m", [live(1, "over")])
    steady, ahead = [0.0], [START]
    keeper = Keeper(store, tmp_path / "history", 30 * 86_400.0, lambda: steady[0] + ahead[0], lambda: steady[0])
    ahead[0] += jump_s
    for _ in range(23):
        steady[0] += FORGET_S
        keeper.turn()
    assert "The clock was set" in caplog.text
    ahead[0] -= jump_s
    for _ in range(30):
        steady[0] += FORGET_S
        keeper.turn()
    assert store.page(Asked()).total == 1
    ahead[0] += abs(jump_s)
    for _ in range(30):
        steady[0] += FORGET_S
        keeper.turn()
    assert store.page(Asked()).total == 0
