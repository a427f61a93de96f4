"""The spool: what was acknowledged is there after anything, in order, once; and it has a limit."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from oddlog.sources import spool as spool_module
from oddlog.sources.spool import GONE, PUT_BACK_S, TORN, Spool, SpoolFullError
from oddlog.types import Tally


def texts(spool: Spool, most: int = 10_000) -> list[str]:
    return spool.poll(most, 0.0).lines["text"].to_list()


def test_lines_come_out_in_order_with_numbers_of_their_own(tmp_path: Path):
    spool = Spool(tmp_path, Tally())
    assert spool.append([("a", ["one", "two"]), ("b", ["three"])]) == 3
    assert spool.append([("a", ["four"])]) == 1
    lines = spool.poll(100, 0.0).lines
    assert lines.select("source", "position", "line", "text").rows() == [
        ("a", 1, 1, "one"),
        ("a", 2, 2, "two"),
        ("b", 3, 3, "three"),
        ("a", 4, 4, "four"),
    ]
    spool.close()


def test_after_a_restart_it_goes_on_where_it_is_told(tmp_path: Path):
    spool = Spool(tmp_path, Tally())
    for i in range(10):
        spool.append([("a", [f"{i}.0", f"{i}.1"])])
    spool.close()
    again = Spool(tmp_path, Tally())
    again.seek(7)
    assert texts(again) == [f"{i}.{j}" for i in range(10) for j in range(2)][7:]
    assert again.append([("a", ["last"])]) == 1
    assert again.poll(10, 0.0).lines["line"].to_list() == [21]
    again.close()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_cut_away_and_counted(tmp_path: Path, cut: int):
    spool = Spool(tmp_path, Tally())
    spool.append([("a", ["whole"])])
    spool.append([("a", ["x" * 40])])
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    os.truncate(path, path.stat().st_size - cut)
    tally = Tally()
    again = Spool(tmp_path, tally)
    assert texts(again) == ["whole"]
    assert tally.counts[TORN] == 1
    again.append([("a", ["after"])])
    assert texts(again) == ["after"]
    again.close()


def test_a_full_spool_refuses_until_what_it_holds_was_judged(tmp_path: Path):
    spool = Spool(tmp_path, Tally(), most_bytes=4_000, segment_bytes=500)
    kept = 0
    while spool.n_bytes < 3_800:
        kept += spool.append([("a", ["x" * 100])])
    with pytest.raises(SpoolFullError) as full:
        spool.append([("a", ["x" * 200])])
    assert full.value.retry_after_s > 0
    batch = spool.poll(1_000, 0.0)
    assert len(batch.lines) == kept
    spool.commit(batch.position)
    assert spool.append([("a", ["room again"])]) == 1
    assert len(list(tmp_path.glob("*.spool"))) <= 2
    spool.close()


def test_what_was_not_committed_is_read_again_across_segments(tmp_path: Path):
    spool = Spool(tmp_path, Tally(), segment_bytes=100)
    for i in range(50):
        spool.append([("a", [f"line {i}"])])
    spool.poll(30, 0.0)
    spool.commit(20)
    spool.close()
    again = Spool(tmp_path, Tally(), segment_bytes=100)
    again.seek(20)
    assert texts(again) == [f"line {i}" for i in range(20, 50)]
    again.close()


def test_many_threads_append_at_once_and_each_knows_its_lines_are_there(tmp_path: Path):
    spool = Spool(tmp_path, Tally(), segment_bytes=2_000)

    def push(name: str) -> None:
        for i in range(25):
            spool.append([(name, [f"{name}.{i}"])])

    threads = [threading.Thread(target=push, args=(f"t{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = texts(spool)
    assert sorted(found) == sorted(f"t{t}.{i}" for t in range(8) for i in range(25))
    for t in range(8):
        assert [one for one in found if one.startswith(f"t{t}.")] == [f"t{t}.{i}" for i in range(25)]
    spool.close()


def test_what_cannot_be_written_is_refused_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spool = Spool(tmp_path, Tally())
    spool.append([("a", ["before"])])

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        spool.append([("a", ["lost"])])
    monkeypatch.undo()
    spool.append([("a", ["after"])])
    assert texts(spool) == ["before", "after"]
    spool.close()


def test_marks_are_durable_with_their_lines_through_restarts_and_removed_segments(tmp_path: Path):
    spool = Spool(tmp_path, Tally(), segment_bytes=200)
    spool.append([("a", ["one"])], {"loki": {"cursor": 1}})
    for i in range(20):
        spool.append([("a", ["x" * 50])], {"tail": {"a.log": i, "gone.log": i if i < 3 else None}})
    texts(spool)
    spool.commit(21)
    assert len(list(tmp_path.glob("*.spool"))) < 3
    spool.close()
    again = Spool(tmp_path, Tally(), segment_bytes=200)
    assert (again.marks("loki"), again.marks("tail"), again.marks("kafka")) == ({"cursor": 1}, {"a.log": 19}, {})
    again.close()


def test_marks_are_not_torn_from_their_lines(tmp_path: Path):
    spool = Spool(tmp_path, Tally())
    spool.append([("a", ["one"])], {"loki": {"cursor": 1}})
    spool.append([("a", ["two"])], {"loki": {"cursor": 2}})
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    os.truncate(path, path.stat().st_size - 1)
    again = Spool(tmp_path, Tally())
    assert (texts(again), again.marks("loki")) == (["one"], {"cursor": 1})
    again.close()


def test_marks_survive_a_segment_that_was_begun_and_never_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = Spool(tmp_path, Tally(), segment_bytes=10)
    spool.append([("a", ["one"])], {"loki": {"cursor": 1}})
    sync = os.fsync

    def full(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(spool_module.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            spool.append([("a", ["two"])], {"loki": {"cursor": 2}})
    texts(spool)
    spool.commit(1)
    spool.close()
    again = Spool(tmp_path, Tally(), segment_bytes=10)
    assert again.marks("loki") == {"cursor": 1}
    again.append([("a", ["two"])], {"loki": {"cursor": 2}})
    again.close()
    last = Spool(tmp_path, Tally())
    assert last.marks("loki") == {"cursor": 2}
    last.close()


class Steady:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("is_pushed", [True, False], ids=["while lines come", "while none come"])
def test_a_folder_that_is_deleted_is_made_anew_and_no_line_of_it_is_lost(
    is_pushed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    steady, folder = Steady(), tmp_path / "data" / "spool"
    spool = Spool(folder, Tally(), clock=steady)
    spool.append([("a", ["one", "two"])], {"tail": {"a.log": 7}})
    shutil.rmtree(tmp_path / "data")
    for _ in range(int(PUT_BACK_S) - 1):
        steady.now += 1.0
        if is_pushed:
            with pytest.raises(FileNotFoundError, match="the folder of the spool is gone"):
                spool.append([("a", ["refused"])])
        elif steady.now == 101.0:
            with pytest.raises(FileNotFoundError):
                texts(spool)
        else:
            spool._look()
        assert spool.failing == "the folder of the spool is gone"
        assert not folder.exists()
    steady.now += 2.0
    if is_pushed:
        assert spool.append([("a", ["three"])]) == 1
    assert texts(spool) == ["one", "two", *(["three"] if is_pushed else [])]
    assert spool.append([("a", ["four"])]) == 1
    assert spool.failing == ""
    assert [one.message.partition(": ")[2][:22] for one in caplog.records] == [
        "lines are refused unti",
        "lines are taken.",
    ]
    spool.close()
    again = Spool(folder, Tally())
    assert texts(again) == ["one", "two", *(["three"] if is_pushed else []), "four"]
    assert again.marks("tail") == {"a.log": 7}
    again.close()


def test_lines_of_segments_that_nobody_holds_open_are_gone_with_the_folder_and_counted(tmp_path: Path):
    steady, tally = Steady(), Tally()
    spool = Spool(tmp_path / "spool", tally, segment_bytes=100, clock=steady)
    for i in range(20):
        spool.append([("a", [f"line {i:02d}"])])
    assert texts(spool, 1) == ["line 00"]
    shutil.rmtree(tmp_path / "spool")
    with pytest.raises(FileNotFoundError):
        spool.append([("a", ["refused"])])
    steady.now += PUT_BACK_S
    spool.append([("a", ["after"])])
    found = texts(spool)
    assert found[-1] == "after"
    assert tally.counts[GONE] == 20 - len(found) > 0  # of 21 lines one was read before
    spool.append([("a", ["further"])])
    assert texts(spool) == ["further"]
    spool.close()


def test_where_the_folder_cannot_be_made_lines_are_refused_until_it_can(tmp_path: Path):
    steady, data = Steady(), tmp_path / "data"
    spool = Spool(data / "spool", Tally(), clock=steady)
    spool.append([("a", ["one"])])
    shutil.rmtree(data)
    data.write_text("somebody's file")
    for _ in range(3):
        steady.now += PUT_BACK_S
        with pytest.raises(OSError, match=r"gone|exists|directory"):
            spool.append([("a", ["refused"])])
    data.unlink()
    steady.now += PUT_BACK_S
    assert spool.append([("a", ["two"])]) == 1
    assert texts(spool) == ["one", "two"]
    spool.close()
