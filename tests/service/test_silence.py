"""Real files are followed and real syslog comes in: one source silent, all of them, one late, and the service itself away.

Files and sockets are real; the clock is passed in.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import oddlog
from oddlog.pipeline.live.streaming import Streaming
from oddlog.service.feeding import Feeder
from oddlog.sources.addresses import parse_address
from oddlog.sources.opening import open_sources
from oddlog.sources.spool import Spool
from oddlog.sources.syslog import SyslogServer
from oddlog.types import Tally

pytest.importorskip("sqlalchemy")
from oddlog.service.worker import Worker
from oddlog.store import Store

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SYSLOG = "syslog/127.0.0.1"


class Collecting:
    """A service that follows two files and listens for syslog, minute by minute."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.now, self.folder = 0.0, folder
        for name in ("web.log", "db.log"):
            (folder / name).touch()
        self.spool, self.store = Spool(folder / "spool", Tally()), Store(folder / "oddlog.db")
        self.worker = Worker(self.spool, Streaming(oddlog.load(model)), self.store, clock=lambda: self.now)
        pattern = str(folder / "*.log")
        self.tail = Feeder(pattern, self.spool, lambda tally, marks: open_sources([pattern], tally, position=marks))
        self.syslog = SyslogServer([parse_address("tcp://127.0.0.1:0")], self.spool.append, clock=lambda: self.now)
        place = self.syslog.places[0].removeprefix("tcp://").rpartition(":")
        self.sender = socket.create_connection((place[0], int(place[2])))

    @property
    def web(self) -> str:
        return str(self.folder / "web.log")

    @property
    def db(self) -> str:
        return str(self.folder / "db.log")

    def minutes(self, n: int, *talking: str, late: timedelta = timedelta()) -> None:
        """Let so many minutes pass, in each of which these sources say something; the files' lines may be `late`."""
        for _ in range(n):
            self.now += 60.0
            at = START + timedelta(seconds=self.now)
            before = self.spool.appended
            for name in {self.web, self.db} & set(talking):
                with Path(name).open("a") as file:
                    when = at - late if name == self.db else at
                    file.write(f"{when:%Y-%m-%d %H:%M:%S},000 INFO shop.web: Order ord-1 received from 192.0.2.7\n")
            if SYSLOG in talking:
                self.sender.sendall(f"<14>{at:%b %d %H:%M:%S} web-1 shop: Order ord-2 receipt sent\n".encode())
            while self.spool.appended < before + len(talking):
                self.tail.turn(0.0)
                self.syslog.turn(0.01)
            self.judge()

    def judge(self) -> None:
        for _ in range(4):
            self.worker.turn(0.0)
            self.now += 1.5
        self.now -= 6.0

    def told(self) -> dict[str, str]:
        """What is told of sources, and whether it goes on."""
        found = self.store.incidents()
        return {one.incident["key"]: one.change for one in found if one.incident["key"].startswith("source ")}

    def close(self) -> None:
        self.sender.close()
        self.syslog.close()
        self.tail.stop()
        self.store.close()
        self.spool.close()


@pytest.fixture
def collecting(quick_model: Path, tmp_path: Path) -> Iterator[Collecting]:
    """All three have talked for an hour and a half, each minute."""
    made = Collecting(quick_model, tmp_path)
    made.minutes(90, made.web, made.db, SYSLOG)
    assert made.told() == {}
    yield made
    made.close()


@pytest.mark.parametrize("which", ["db.log", SYSLOG])
def test_one_source_that_falls_silent_is_told_and_over_once_it_is_back(collecting: Collecting, which: str):
    silent = collecting.db if which == "db.log" else SYSLOG
    others = [one for one in (collecting.web, collecting.db, SYSLOG) if one != silent]
    collecting.minutes(4, *others)
    assert collecting.told() == {}  # three times its longest pause, but five minutes at least
    collecting.minutes(4, *others)
    assert collecting.told() == {f"source silent: {silent}": "new"}
    (one,) = (one for one in collecting.store.incidents() if one.incident["key"].startswith("source "))
    assert one.urgency == "notice"
    assert f"nothing has arrived from {silent} for" in one.incident["reasons"][0]["text"]
    collecting.minutes(2, *others, silent)
    assert collecting.told() == {f"source silent: {silent}": "over"}


def test_all_sources_silent_at_once_are_one_alert_of_the_collector(collecting: Collecting):
    collecting.minutes(8)
    assert collecting.told() == {"source silent: every source": "new"}
    (one,) = (one for one in collecting.store.incidents() if one.incident["key"].startswith("source "))
    assert one.urgency == "alert"
    collecting.minutes(2, collecting.web, collecting.db, SYSLOG)
    assert collecting.told() == {"source silent: every source": "over"}
    # That the collector was away says nothing of how long one of them usually pauses.
    collecting.minutes(8, collecting.web, SYSLOG)
    assert collecting.told()[f"source silent: {collecting.db}"] == "new"


def test_a_source_whose_lines_were_written_long_before_those_of_the_others_is_late_and_not_silent(
    collecting: Collecting,
):
    collecting.minutes(5, collecting.web, collecting.db, SYSLOG, late=timedelta(minutes=20))
    assert collecting.told() == {f"source late: {collecting.db}": "new"}
    collecting.minutes(5, collecting.web, collecting.db, SYSLOG)
    assert collecting.told() == {f"source late: {collecting.db}": "over"}


def test_that_the_service_itself_was_held_up_is_no_silence_of_its_sources(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
):
    """A database that does not answer for half an hour: lines wait in the spool meanwhile."""
    save = collecting.store.save

    def slowly(*words: object, **more: object) -> None:
        collecting.now += 1_800.0
        monkeypatch.setattr(collecting.store, "save", save)
        save(*words, **more)

    monkeypatch.setattr(collecting.store, "save", slowly)
    collecting.minutes(3, collecting.web, collecting.db, SYSLOG)
    assert collecting.now > 1_800.0 + 93 * 60.0 - 1.0
    assert collecting.told() == {}
    collecting.minutes(8, collecting.web, SYSLOG)
    assert collecting.told() == {f"source silent: {collecting.db}": "new"}
