"""Followed files: every line once, whatever happens to the file meanwhile."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oddlog.errors import InputError
from oddlog.sources import Pipe, Tail
from oddlog.sources.opening import open_sources
from oddlog.sources.tail import COMPRESSED, COPY, GONE, GRACE_S, HALF, SCAN_S, TRUNCATED
from oddlog.types import Tally


class Clock:
    """Time that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


OPENED: list[Tail] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


class Following:
    def __init__(self, *paths: Path | str, **options: object) -> None:
        self.clock, self.tally = Clock(), Tally()
        self.tail = Tail(list(map(str, paths)), self.tally, clock=self.clock, wait=self.clock.wait, **options)
        OPENED.append(self.tail)

    def texts(self, seconds: float = SCAN_S) -> list[str]:
        """Return what comes within some time."""
        found: list[str] = []
        until = self.clock.now + seconds
        while self.clock.now < until:
            found += self.tail.poll(1_000, 0.25).lines["text"].to_list()
            self.clock.now += 0.05
        return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("before\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_comes_now_is_read_with_the_numbers_of_its_lines(log: Path):
    one = Following(log)
    append(log, "now\nthen\n")
    lines = one.tail.poll(1_000, 1.0).lines
    assert lines.select("source", "line", "position", "text").rows() == [
        (str(log), 2, 11, "now"),
        (str(log), 3, 16, "then"),
    ]


def test_from_start_reads_what_is_there(log: Path):
    assert Following(log, from_start=True).texts() == ["before"]


def test_a_line_is_read_once_it_has_its_end(log: Path):
    one = Following(log)
    append(log, "half ")
    assert one.texts() == []
    append(log, "a line\nand")
    assert one.texts() == ["half a line"]


def test_a_renamed_file_is_read_to_its_end_and_then_its_successor(log: Path):
    one = Following(log)
    append(log, "old 1\n")
    assert one.texts() == ["old 1"]
    log.rename(log.with_name("app.log.1"))
    append(log.with_name("app.log.1"), "old 2\n")  # the writer has not noticed yet
    log.write_text("new 1\n")
    assert one.texts(GRACE_S + 2 * SCAN_S) == ["old 2", "new 1"]
    append(log, "new 2\n")
    lines = one.tail.poll(1_000, 1.0).lines
    assert lines.select("line", "text").rows() == [(5, "new 2")]  # numbers go on
    assert not one.tally.counts


def test_a_truncated_file_is_read_from_its_beginning(log: Path):
    one = Following(log)
    append(log, "a line that is rather long\nhalf of")
    assert one.texts() == ["a line that is rather long"]
    log.write_text("")
    append(log, "anew\n")
    assert one.texts(2 * SCAN_S) == ["anew"]
    assert one.tally.counts == {TRUNCATED: 1, HALF: 1}


def test_a_file_copied_and_truncated_is_noticed_though_it_is_as_long_again(log: Path):
    log.write_text("first of all\n" * 200)
    one = Following(log.parent / "app.log*")
    append(log, "last\n")
    assert one.texts() == ["last"]
    shutil.copy(log, log.with_name("app.log.1"))
    log.write_text("".join(f"second {i}\n" for i in range(400)))
    found = one.texts(3 * SCAN_S)
    assert found == [f"second {i}" for i in range(400)]
    assert one.tally.counts[COPY] == 1


def test_files_of_a_glob_that_appear_later_are_read_whole(tmp_path: Path):
    one = Following(tmp_path / "*.log")
    assert one.texts() == []
    (tmp_path / "late.log").write_text("hello\n")
    (tmp_path / "old.log").write_bytes(gzip.compress(b"archived\n"))
    (tmp_path / "notes.md").write_text("no log\n")
    assert one.texts(2 * SCAN_S) == ["hello"]
    assert one.tally.counts[COMPRESSED] == 1


def test_a_rotated_file_of_a_glob_is_not_read_again(tmp_path: Path):
    log = tmp_path / "app.log"
    log.write_text("")
    one = Following(tmp_path / "app.log*", log)
    append(log, "one\n")
    assert one.texts() == ["one"]
    log.rename(tmp_path / "app.log.1")
    log.write_text("two\n")
    assert one.texts(GRACE_S + 3 * SCAN_S) == ["two"]


def test_a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole(log: Path):
    one = Following(log)
    append(log, "x" * (10 << 20))
    assert one.texts(3.0) == []
    append(log, "\nshort\n")
    lines = one.tail.poll(1_000, 1.0).lines
    rest = one.texts()
    texts = lines["text"].to_list() + rest
    assert [len(text) for text in texts] == [64 << 10, 5]
    assert one.tail.state()[str(log)]["line"] == 3


def test_reading_goes_on_where_it_stopped(log: Path):
    one = Following(log)
    append(log, "one\ntwo\n")
    assert one.texts() == ["one", "two"]
    places = one.tail.state()
    append(log, "three\n")
    assert Following(log, places=places).texts() == ["three"]


def test_reading_goes_on_in_a_file_that_was_rotated_meanwhile(log: Path):
    one = Following(log)
    append(log, "one\n")
    assert one.texts() == ["one"]
    places = one.tail.state()
    append(log, "two\n")
    log.rename(log.with_name("app.log.1"))
    log.write_text("three\n")
    again = Following(log, places=places)
    assert again.texts(GRACE_S + 2 * SCAN_S) == ["two", "three"]
    assert again.tail.state()[str(log)]["line"] == 4


def test_a_file_that_was_rotated_away_meanwhile_is_counted(log: Path):
    one = Following(log)
    append(log, "one\n")
    one.texts()
    places = one.tail.state()
    log.unlink()
    log.write_text("another\n")
    again = Following(log, places=places)
    assert again.texts(2 * SCAN_S) == ["another"]
    assert again.tally.counts[GONE] == 1


def test_a_place_that_has_been_dealt_with_is_noted_instead_of_what_was_read(log: Path):
    one = Following(log)
    append(log, "one\ntwo\n")
    one.texts()
    places = one.tail.state({str(log): (11, 2)})
    assert Following(log, places=places).texts() == ["two"]


def test_of_a_file_none_of_whose_lines_has_been_dealt_with_none_is_passed_over(log: Path):
    log.write_text("before\n")
    one = Following(log)
    append(log, "one\ntwo\n")
    one.texts()
    places = one.tail.state({})
    assert Following(log, places=places).texts() == ["one", "two"]


def test_no_file_at_all_is_refused():
    with pytest.raises(InputError, match="No file to follow was named"):
        Tail([], Tally())


@pytest.mark.parametrize("seed", range(5))
def test_every_line_comes_once_however_it_is_written_and_rotated(seed: int, tmp_path: Path):
    draw, log = random.Random(seed), tmp_path / "app.log"
    log.write_text("")
    one = Following(log, from_start=True)
    wanted: list[str] = []
    found: list[str] = []
    rest = ""
    for turn in range(40):
        new = [f"line {turn}.{i} {'é' * draw.randrange(40)}" for i in range(draw.randrange(5))]
        wanted += new
        text = rest + "".join(f"{line}\n" for line in new)
        at = draw.randrange(len(text) + 1)
        append(log, text[:at])
        rest = text[at:]
        if draw.random() < 0.15:
            append(log, rest)
            rest = ""
            log.rename(tmp_path / f"app.log.{turn}")
            log.write_text("")
            found += one.texts(GRACE_S + 2 * SCAN_S)
        found += one.texts(draw.random())
    append(log, rest)
    found += one.texts(GRACE_S + 2 * SCAN_S)
    assert found == wanted


def test_a_pipe_hands_over_lines_as_they_come_and_the_last_one_at_its_end():
    out, into = os.pipe()
    pipe = Pipe(Tally(), out)
    os.write(into, b"one\ntw")
    assert pipe.poll(100, 1.0).lines["text"].to_list() == ["one"]
    assert pipe.poll(100, 0.0).lines["text"].to_list() == []
    os.write(into, b"o\nlast")
    os.close(into)
    lines = pipe.poll(100, 1.0).lines
    assert lines.select("line", "position", "text").rows() == [(2, 8, "two"), (3, 12, "last")]
    assert pipe.ended
    os.close(out)


def test_a_file_that_is_not_there_yet_is_said_to_be_waited_for(log: Path, tmp_path: Path, caplog):
    paths = [str(log), f"{tmp_path}/nothere.log", f"{tmp_path}/*.txt"]
    open_sources(paths, Tally()).close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/nothere.log is not there yet: it is waited for.",
        f"No file is called {tmp_path}/*.txt yet: it is waited for.",
    ]
