"""The files beside a model hold what was written, whatever is killed and whoever else writes."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

from oddlog.errors import ModelError
from oddlog.feedback import Log, beside
from oddlog.feedback import log as log_module


def add(path: Path, *numbers: int) -> None:
    Log(path).append(lambda _there: [{"i": i} for i in numbers])


def numbers(path: Path) -> list[int]:
    return [record["i"] for record in Log(path).read()]


def test_the_files_of_a_model_go_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = tmp_path / "app.model.answers.jsonl"
    assert beside(tmp_path / "app.model", "answers") == expected
    assert beside(f"{tmp_path}/app.model/", "answers") == expected
    (tmp_path / "app.model").mkdir()
    monkeypatch.chdir(tmp_path / "app.model")
    assert beside(".", "answers") == expected
    assert beside("../app.model", "answers") == expected
    (tmp_path / "current").symlink_to("app.model")
    assert beside(tmp_path / "current", "answers") == tmp_path / "current.answers.jsonl"


def test_what_is_appended_is_read_in_order_and_no_file_holds_nothing(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    assert numbers(path) == []
    add(path, 1)
    add(path, 2, 3)
    assert numbers(path) == [1, 2, 3]
    assert path.read_bytes() == b'{"i":1}\n{"i":2}\n{"i":3}\n'


def test_to_append_nothing_leaves_no_file(tmp_path: Path):
    add(tmp_path / "a.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_last_line_that_broke_off_is_told_passed_over_and_spoils_nothing_after_it(tmp_path: Path, cut: int):
    path = tmp_path / "a.jsonl"
    add(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-cut])
    log = Log(path)
    whole = cut == 1  # only the end of the line is missing: nothing is lost
    assert [record["i"] for record in log.read()] == ([1, 2] if whole else [1])
    assert log.broken == (0 if whole else 1)
    add(path, 3)
    assert numbers(path) == ([1, 2, 3] if whole else [1, 3])


def test_lines_that_are_no_objects_are_counted(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[1]\n{"i":1}\n\n\xff\xfe\n7\n')
    log = Log(path)
    assert (log.read(), log.broken) == ([{"i": 1}], 3)


def _many(path: Path, first: int) -> None:
    for i in range(first, first + 40):
        if i % 10 == 9:  # a writer that writes all of it anew must lose none of the others' records
            Log(path).replace(lambda there, i=i: [*there, {"i": i}])
        else:
            add(path, i)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_many, args=(path, first)) for first in (0, 40, 80)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = numbers(path)
    assert sorted(found) == list(range(120))
    for first in (0, 40, 80):  # each in its own order
        assert [i for i in found if first <= i < first + 40] == list(range(first, first + 40))
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]


def _killed_between_write_and_rename(path: Path) -> None:
    log_module.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment, method-assign]
    Log(path).replace(lambda _there: [{"i": 9}])


def test_killed_between_write_and_rename_a_file_is_as_it_was_and_the_rest_is_swept_away(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    add(path, 1)
    victim = multiprocessing.get_context("fork").Process(target=_killed_between_write_and_rename, args=(path,))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    assert numbers(path) == [1]
    assert len(list(tmp_path.iterdir())) == 2  # the file, and what was written aside
    Log(path).replace(lambda there: [*there, {"i": 2}])
    assert numbers(path) == [1, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_failure_while_replacing_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.jsonl"
    add(path, 1)

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot be written: No space left on device\. Free some space"):
        Log(path).replace(lambda there: [*there, {"i": 2}])
    assert numbers(path) == [1]
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_place_that_cannot_be_written_or_read_is_one_clear_line(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be written: No such file or directory"):
        add(tmp_path / "no" / "a.jsonl", 1)
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        Log(tmp_path).read()


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def none(_file: object, _kind: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    add(tmp_path / "a.jsonl", 1)
    assert numbers(tmp_path / "a.jsonl") == [1]
    assert stat.S_ISREG((tmp_path / "a.jsonl").stat().st_mode)
