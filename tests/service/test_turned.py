"""What stays as it was when another model is turned to, while the service runs or while it is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

import oddlog
from oddlog.pipeline.live.gate import Gate
from oddlog.pipeline.live.passing import Passing
from oddlog.pipeline.live.rulebook import Rule, RuleBook
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.versions import Versions
from oddlog.service.challenging import _beside as packed_beside
from oddlog.service.models import Models, Opened
from oddlog.service.worker import Worker
from oddlog.sources.spool import Spool
from oddlog.types import Tally

pytest.importorskip("sqlalchemy")
from oddlog.store import Beside, Store

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1"
LINES = (GOLDEN / "today.log").read_text().splitlines()


@pytest.fixture(autouse=True)
def opened() -> Iterator[list[Service]]:
    """Close what a test that fails has left open."""
    Service.every.clear()
    yield Service.every
    for one in Service.every:
        one.store.close()
        one.spool.close()


class Service:
    """A service with two models that differ in their names only, on a folder, with a clock that is moved by hand."""

    every: ClassVar[list[Service]] = []

    def __init__(self, data: Path, rules: Sequence[Rule] = (), now_s: float = 0.0) -> None:
        self.every.append(self)
        self.now_s, self.rules = now_s, RuleBook(tuple(rules))
        self.versions = Versions(data / "models")
        self.spool = Spool(data / "spool", Tally())
        self.store = Store(data / "oddlog.db")
        learned = SimpleNamespace(collecting=SimpleNamespace(position=0, clear=lambda: None), stop=lambda: None)
        models = Models(self.versions, self.open, learned)
        self.worker = Worker(
            self.spool, self.open()[0], self.store, sinks=["pager"], models=models, clock=lambda: self.now_s
        )

    def open(self) -> Opened:
        model = oddlog.load(self.versions.current)
        stream = Streaming(model, passing=Passing(len(model.context.templates)), rules=self.rules, gate=Gate())
        return stream, lambda: None

    def push(self, texts: Sequence[str], *sources: str, step_s: float = 1.0, turns: int = 1) -> None:
        """Have lines come from each of the sources, and take turns so many seconds apart."""
        for source in sources:
            self.spool.append([(source, list(texts))])
        for _ in range(turns):
            self.now_s += step_s
            self.worker.turn(0.0)

    def told(self, key: str) -> list[tuple[str, str]]:
        """Return what the sink is told of incidents of a key, in order: changes and ids."""
        letters = reversed(self.store.letters("waiting", 999))
        told = [letter.told for letter in letters]
        return [(one["change"], one["incident"]["id"]) for one in told if key in one["incident"]["key"]]

    @property
    def counted(self) -> int:
        """Lines by the minute."""
        last = self.store.last_minute() or 0
        return sum(row["lines"] for row in self.store.minutes(last - 5_000, last + 1))

    def close(self) -> None:
        """End as `Worker.stop` does."""
        self.worker._save(self.worker.stream, checkpoint=True)
        self.store.close()
        self.spool.close()


@pytest.fixture
def names(tmp_path: Path) -> tuple[str, str]:
    """Return the names of two models, of which the first judges."""
    versions, model = Versions(tmp_path / "models"), oddlog.load(GOLDEN / "model")
    model.save(versions.place())
    first = versions.add(versions.place(), "first")
    replace(model, training=model.training | {"notes": ["second"]}).save(versions.place())
    return first, versions.add(versions.place(), "second", use=False)


@pytest.fixture
def service(tmp_path: Path, names: tuple[str, str]) -> Service:
    assert len(set(names)) == len(names)  # they are there
    return Service(tmp_path)


def test_one_that_is_turned_back_to_while_the_service_is_stopped_judges_nothing_again(
    service: Service, names: tuple[str, str], tmp_path: Path
):
    service.push(LINES[:100], "app", turns=12)
    service.versions.use(names[1])
    service.push([], turns=8)
    service.push(LINES[100:], "app", turns=12)
    assert service.worker.stream.model.id.startswith(names[1])
    service.close()
    service.versions.rollback()
    other = Service(tmp_path)
    assert other.worker.stream.model.id.startswith(names[0])
    assert other.worker.behind == 0
    other.push([], turns=12)
    assert other.counted == len(LINES)
    other.close()


def test_so_it_is_where_an_old_checkpoint_was_left_by_an_earlier_version(
    service: Service, names: tuple[str, str], tmp_path: Path
):
    service.push(LINES[:100], "app", turns=12)
    id_ = service.worker.stream.model.id
    old = service.store.checkpoint(id_)
    assert old is not None
    service.push(LINES[100:], "app", turns=12)
    service.versions.use(names[1])
    service.push([], turns=8)
    assert service.store.checkpoint(id_) is None  # of one that judges no more
    with service.store.writing() as connection:
        service.store._write_checkpoint(connection, id_, *old, "2026-03-02T00:00:00")
    service.close()
    service.versions.rollback()
    other = Service(tmp_path)
    assert (other.worker.judged, other.worker.behind) == (len(LINES), 0)
    other.close()


def step(service: Service, first: int, last: int, *sources: str) -> None:
    """Have a line come from each of the sources by the minute."""
    for i in range(first, last):
        at = f"2026-03-03 {6 + i // 60:02d}:{i % 60:02d}:00,000"
        service.push([f"{at} INFO shop.web: Order ord-{i} received from 192.0.2.28"], *sources, step_s=60.0)


def test_a_source_that_is_silent_stays_so_under_its_id_with_another_model(
    service: Service, names: tuple[str, str], tmp_path: Path
):
    step(service, 0, 70, "web", "db")
    step(service, 70, 80, "web")
    ((_, id_),) = service.told("silent")
    service.versions.use(names[1])
    step(service, 80, 90, "web")
    assert service.worker.stream.model.id.startswith(names[1])
    assert service.told("silent") == [("new", id_)]
    service.close()
    service.versions.rollback()  # while the service is stopped
    other = Service(tmp_path, now_s=7.0)
    step(other, 90, 100, "web")
    assert other.worker.stream.model.id.startswith(names[0])
    assert other.told("silent") == [("new", id_)]
    step(other, 100, 102, "web", "db")
    assert other.told("silent") == [("new", id_), ("over", id_)]
    other.close()


BACKUP = Rule("always", "backup", "backup finished", within_us=60_000_000)


def test_a_rule_that_is_broken_stays_so_under_its_id_and_what_was_told_counts_for_the_budget(
    tmp_path: Path, names: tuple[str, str]
):
    service = Service(tmp_path, [BACKUP])
    service.worker.stream.rule(service.rules, 1.0)
    service.push(LINES[:100], "app", turns=12)
    ((_, id_),) = service.told("rule backup")
    service.versions.use(names[1])
    service.push(LINES[100:200], "app", turns=12)
    assert service.worker.stream.model.id.startswith(names[1])
    assert service.told("rule backup") == [("new", id_)]
    assert id_ in service.worker.stream.gate.state()["told"]
    assert id_ in service.worker.stream.going
    service.close()


def test_what_a_challenger_knows_is_none_to_go_on_from_where_it_is_promoted_while_the_service_is_stopped(
    tmp_path: Path, names: tuple[str, str]
):
    service = Service(tmp_path, [BACKUP])
    service.push(LINES[:100], "app", turns=12)
    ((_, id_),) = service.told("rule backup")
    challenger = Streaming(oddlog.load(service.versions.folder / names[1]))
    service.worker._save(service.worker.stream, checkpoint=True)
    judging = service.worker.stream.model.id
    position, state = service.store.checkpoint(judging) or (0, b"")
    aside = Beside(challenger.model.id, [], packed_beside(challenger))
    service.store.save(judging, [], (position, state), beside=aside)
    service.store.close()
    service.spool.close()
    service.versions.use(names[1])
    other = Service(tmp_path, [BACKUP])
    other.push(LINES[100:], "app", turns=12)
    assert other.worker.stream.model.id.startswith(names[1])
    assert other.told("rule backup") == [("new", id_)]
    assert other.counted == len(LINES)
    other.close()


def test_a_rule_that_was_removed_while_the_service_was_stopped_ends(tmp_path: Path, names: tuple[str, str]):
    service = Service(tmp_path, [BACKUP])
    assert service.versions.name == names[0]
    service.push(LINES[:100], "app", turns=12)
    ((_, id_),) = service.told("rule backup")
    service.close()
    other = Service(tmp_path)
    other.push(LINES[100:], "app", turns=12)
    assert other.told("rule backup") == [("new", id_)]
    other.push([], turns=80)  # it may be found anew until then
    assert other.told("rule backup") == [("new", id_), ("withdrawn", id_)]
    other.close()
