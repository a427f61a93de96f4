"""A service that has no model learns one from what is pushed, judges with it, and turns to another when told to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import oddlog
from oddlog.pipeline.live.background import Outcome
from oddlog.pipeline.live.beginning import Beginning
from oddlog.pipeline.live.collecting import Collecting, Need
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.versions import Versions
from oddlog.service.models import Models, Opened
from oddlog.service.worker import Worker
from oddlog.sources.spool import Spool
from oddlog.types import Tally
from small_shop import shop_lines

pytest.importorskip("sqlalchemy")
from oddlog.store import Store

LINES = shop_lines(400, 1)
ODD = shop_lines(60, 2, start=80_000, broken=3)


class Later:
    """A fit that goes on until it is let."""

    done = True

    def __init__(self, paths: Sequence[Path], model: Path, _options: Sequence[str]) -> None:
        self._paths, self._model = list(paths), model

    def poll(self) -> Outcome | None:
        if not Later.done:
            return None
        oddlog.fit(self._paths, detectors=["snn", "new-event"]).save(self._model)
        return Outcome(self._model)

    def stop(self) -> None:
        pass


class Service:
    """The parts of a service on a folder, with a clock that goes on by a second a turn."""

    def __init__(self, data: Path) -> None:
        self.time_s = 0.0
        self.said: list[str] = []
        self.versions = Versions(data / "models")
        self.spool = Spool(data / "spool", Tally())
        self.store = Store(data / "oddlog.db")
        beginning = Beginning(
            Collecting(data / "learning", Need(1_500, 1.0)), self.versions.place, say=self.said.append, learn=Later
        )
        models = Models(self.versions, self.open, beginning)
        stream = self.open()[0] if self.versions.name else None
        self.worker = Worker(self.spool, stream, self.store, models=models, clock=self.clock)

    def open(self) -> Opened:
        return Streaming(oddlog.load(self.versions.current)), lambda: None

    def clock(self) -> float:
        self.time_s += 1.0
        return self.time_s

    def push(self, texts: Sequence[str]) -> None:
        self.spool.append([("http/shop", list(texts))])

    def turn(self, n: int = 6) -> None:
        for _ in range(n):
            self.worker.turn(0.0)

    def close(self) -> None:
        self.store.close()
        self.spool.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    Later.done = True
    found = Service(tmp_path)
    yield found
    found.close()


def test_it_learns_from_what_is_pushed_and_judges_what_came_meanwhile(service: Service):
    Later.done = False
    service.push(LINES[:500])
    service.turn()
    assert "500 of 1,500 lines" in service.worker.models.says
    service.push(LINES[500:])
    service.turn()
    assert service.worker.models.says.startswith("Learning what is usual from")
    service.push(ODD)
    service.turn()
    assert service.worker.stream is None
    Later.done = True
    service.turn(8)
    assert service.worker.models.says == ""
    assert service.worker.stream.lines == len(ODD)
    assert service.worker.behind == 0
    (stored,) = service.store.incidents()
    assert stored.incident["reasons"][0]["kind"] == "unseen_template"
    assert not list((service.versions.folder.parent / "learning").glob("*.log"))


def test_a_service_that_was_ended_while_it_collected_goes_on_there(service: Service, tmp_path: Path):
    service.push(LINES[:900])
    service.turn()
    service.push(LINES[900:1_000])
    service.turn(1)  # kept, and not noted
    service.close()
    other = Service(tmp_path)
    other.push(LINES[1_000:])
    other.turn(10)
    assert other.worker.stream is not None
    assert oddlog.load(other.versions.current).training["lines"] == len(LINES)
    other.push(ODD)
    other.turn()
    assert len(other.store.incidents()) == 1
    other.close()
    again = Service(tmp_path)
    again.turn()
    assert again.worker.stream.lines == 0  # nothing that was learned from or judged is judged again
    again.close()


def test_another_model_is_turned_to_and_what_went_on_ends(service: Service, tmp_path: Path, small_log: Path):
    service.push(LINES)
    service.turn()
    service.push(ODD)
    service.turn()
    first = service.worker.stream.model.id
    oddlog.fit(small_log, detectors=["new-event"]).save(tmp_path / "other")
    place = service.versions.place()
    shutil.copytree(tmp_path / "other", place)
    service.versions.add(place, "learned anew")
    service.turn()
    assert service.worker.stream.model.id == oddlog.load(tmp_path / "other").id
    assert [one.change for one in service.store.incidents()] == ["over"]
    service.push(shop_lines(60, 3, start=90_000, broken=2))
    service.turn()
    assert len(service.store.incidents()) == 2
    service.versions.rollback()
    service.turn()
    assert service.worker.stream.model.id == first
    assert service.worker.behind == 0


def test_what_cannot_be_kept_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch):
    service.push(LINES[:500])
    service.turn()
    keep = Collecting._write
    with monkeypatch.context() as full:
        full.setattr(Collecting, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        full.setattr("oddlog.service.models.NOTE_S", 0.0)
        service.push(LINES[500:600])
        service.turn(2)
    assert Collecting._write is keep
    service.turn()
    assert service.worker.models.beginning.collecting.progress.lines == 600
