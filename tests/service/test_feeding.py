"""Sources that are asked for lines: each line is in the spool once, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from oddlog.errors import ConfigError
from oddlog.service import feeding
from oddlog.service.feeding import WAITED, Feeder
from oddlog.sources.opening import is_url, open_sources
from oddlog.sources.spool import Spool
from oddlog.types import Tally


def feeder(path: Path | str, spool: Spool) -> Feeder:
    return Feeder(str(path), spool, lambda tally, at: open_sources([str(path)], tally, position=at, from_start=True))


def texts(spool: Spool) -> list[str]:
    return spool.poll(10_000, 0.0).lines["text"].to_list()


def test_files_are_fed_and_go_on_where_they_were_after_a_kill(tmp_path: Path):
    log = tmp_path / "app.log"
    log.write_text("one\ntwo\n")
    spool = Spool(tmp_path / "spool", Tally())
    first = feeder(log, spool)
    assert first.turn(0.0) == 2
    assert first.turn(0.0) == 0
    with log.open("a") as file:
        file.write("three\nfour")
    assert (first.turn(0.0), first.lines) == (1, 3)
    first._source.close()  # as by kill -9: nothing is written at the end
    spool.close()
    with log.open("a") as file:
        file.write(" five\n")
    again = Spool(tmp_path / "spool", Tally())
    second = feeder(log, again)
    second.turn(0.0)
    assert texts(again) == ["one", "two", "three", "four five"]
    assert again.poll(1, 0.0).position == 4
    second.stop()
    again.close()


def test_what_is_not_kept_is_not_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "AGAIN_S", 0.0)
    log = tmp_path / "app.log"
    log.write_text("one\ntwo\n")
    spool = Spool(tmp_path / "spool", Tally())
    one = feeder(log, spool)
    append, failures = spool.append, [OSError(28, "No space left on device")] * 2

    def failing(*args: object) -> int:
        if failures:
            raise failures.pop()
        return append(*args)

    monkeypatch.setattr(spool, "append", failing)
    assert one.turn(0.0) == 2
    assert one.tally.counts[WAITED] == 1
    assert texts(spool) == ["one", "two"]
    one.stop()
    spool.close()


def test_marks_of_files_that_are_gone_are_let_go(tmp_path: Path):
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(f"{name}\n")
    spool = Spool(tmp_path / "spool", Tally())
    one = Feeder(
        "logs", spool, lambda tally, at: open_sources([f"{tmp_path}/*.log"], tally, position=at, from_start=True)
    )
    one.turn(0.0)
    assert set(spool.marks("logs")) == {str(tmp_path / name) for name in ("a.log", "b.log")}
    one._source._followed.pop(str(tmp_path / "b.log")).file.close()
    (tmp_path / "b.log").unlink()
    one.turn(0.0)
    assert set(spool.marks("logs")) == {str(tmp_path / "a.log")}
    one.stop()
    spool.close()


def test_a_url_is_told_from_a_path_and_one_that_names_nothing_is_refused():
    assert is_url("journald://?unit=x")
    assert is_url("loki+http://127.0.0.1:3100/?query={}")
    assert not is_url("/var/log/a://b.log")
    with pytest.raises(ConfigError, match="Did you mean 'journald'"):
        open_sources(["journal://"], Tally())
    with pytest.raises(ConfigError, match="is read alone"):
        open_sources(["journald://", "a.log"], Tally())
