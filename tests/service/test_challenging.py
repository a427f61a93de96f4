"""A second model is learned on and judges beside: what it finds is compared, and it is promoted or dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import oddlog
from oddlog.drift import Drifted, Figures
from oddlog.errors import ConfigError, ModelError
from oddlog.feedback import Answer, Answers, beside
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.live.background import Outcome
from oddlog.pipeline.live.beginning import Beginning
from oddlog.pipeline.live.collecting import Collecting, Need
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.versions import Versions
from oddlog.service.challenging import Challenging
from oddlog.service.models import Models, Opened
from oddlog.service.worker import Worker
from oddlog.sources.spool import Spool
from oddlog.types import Tally
from small_shop import shop_lines

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
from fastapi.testclient import TestClient

from oddlog.service import reading
from oddlog.service.api import make_app
from oddlog.service.watching import Watching
from oddlog.store import Store
from oddlog.web import pages

MEMBERS = ["snn", "new-event"]
NOW = datetime(2026, 3, 4, tzinfo=UTC)
AGES_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def released(n: int, seed: int, *, start: int = 0, broken: int = 0) -> list[str]:
    """Return lines of the shop after a release: each order is thanked for, which the first model does not know."""
    lines = []
    for line in shop_lines(n, seed, start=start, broken=broken):
        lines.append(line)
        if "receipt sent" in line:
            stamp, order = line.split(" INFO ")[0], line.split("Order ")[1].split(" ")[0]
            lines.append(f"{stamp} INFO shop.mail: Order {order} thanked with a voucher")
    return lines


class At:
    """An update that runs at once, in this process."""

    def __init__(self, old: Path, paths: Sequence[Path], model: Path) -> None:
        oddlog.pipeline.update(oddlog.load(old), list(paths)).save(model)
        beside(model, "answers").touch()
        self._model = model

    def poll(self) -> Outcome:
        return Outcome(self._model)

    def stop(self) -> None:
        pass


class Fails(At):
    """An update that cannot be made."""

    def __init__(self, *_: object) -> None:
        pass

    def poll(self) -> Outcome:
        return Outcome(None, "nothing can be read.")


class Service:
    """The parts of a service on a folder, with a clock that goes on by a second a turn."""

    def __init__(self, data: Path, learn: type[At] = At) -> None:
        self.time_s = 0.0
        self.said: list[str] = []
        self.versions = Versions(data / "models")
        self.spool = Spool(data / "spool", Tally())
        self.store = Store(data / "oddlog.db")
        beginning = Beginning(Collecting(data / "learning", Need(1_500, 1.0)), self.versions.place)
        self.challenging = Challenging(
            self.versions,
            lambda path: Streaming(oddlog.load(path)),
            self.store,
            Collecting(data / "learning-on", Need(500, 0.5)),
            learn=learn,
            say=self.said.append,
        )
        models = Models(self.versions, self.open, beginning, self.challenging)
        stream = self.open()[0] if self.versions.name else None
        self.worker = Worker(self.spool, stream, self.store, models=models, clock=self.clock)
        self.watching = Watching(self.worker, self.versions.current, clock=lambda: NOW)

    def open(self) -> Opened:
        answers = Answers.load(beside(self.versions.current, "answers"))
        return Streaming(oddlog.load(self.versions.current), answers=answers), lambda: None

    def clock(self) -> float:
        self.time_s += 1.0
        return self.time_s

    def push(self, texts: Sequence[str], turns: int = 8) -> None:
        for i in range(0, len(texts), 400):
            self.spool.append([("http/shop", list(texts[i : i + 400]))])
            for _ in range(turns):
                self.worker.turn(0.0)

    def close(self) -> None:
        self.store.close()
        self.spool.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    (folder / "shop.log").write_text("\n".join(shop_lines(400, 1)) + "\n")
    oddlog.fit(folder / "shop.log", detectors=MEMBERS).save(folder / "first.model")
    return folder / "first.model"


def begun(data: Path, first: Path, learn: type[At] = At) -> Service:
    versions = Versions(data / "models")
    oddlog.load(first).save(versions.place())
    versions.add(versions.place(), "the first")
    return Service(data, learn)


@pytest.fixture
def service(tmp_path: Path, first: Path) -> Iterator[Service]:
    found = begun(tmp_path, first)
    yield found
    found.close()


def test_a_challenger_is_learned_when_asked_and_its_word_is_compared(service: Service):
    current = service.versions.name
    choosing = service.watching.choosing
    assert choosing.challenger()["phase"] == ""
    choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    assert service.said[-1].endswith("judges beside, and tells nobody.")
    assert service.versions.challenger not in ("", current)
    assert service.versions.name == current  # it judges as before
    before = {one.id for one in service.store.incidents(every=True)}
    assert before  # the voucher is news to it
    service.push(released(60, 4, start=90_000, broken=3))
    told = choosing.challenger()
    assert told["phase"] == "judging"
    assert told["lines"] > 300
    compared = told["compared"]
    assert compared["totals"]["both"] >= 1  # the carrier that refuses parcels
    assert compared["totals"]["only_challenger"] == 0
    assert sum(day["both"] for day in compared["days"]) == compared["totals"]["both"]
    # What it says is told to nobody.
    ids = {one["id"] for one in service.store.both(service.challenging.stream.model.id, AGES_AGO).challenger}
    assert ids
    assert not ids & {one.id for one in service.store.incidents(every=True)}
    assert not list(service.versions.folder.glob(".new*"))


def test_it_is_promoted_by_one_step_and_rolled_back_by_one(service: Service):
    current = service.versions.name
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    challenger = service.versions.challenger
    assert challenger in service.watching.choosing.do("promote")
    service.push(released(20, 5, start=100_000))
    assert service.worker.stream.model.id.startswith(challenger)
    assert service.challenging.stream is None
    assert service.versions.challenger == ""
    service.watching.choosing.do("rollback")
    service.push(released(5, 6, start=110_000))
    assert service.worker.stream.model.id.startswith(current)
    assert [one.is_current for one in service.watching.choosing.versions()] == [True, False]


def test_a_service_that_is_started_anew_goes_on_with_the_challenger(service: Service, tmp_path: Path):
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    lines = released(60, 4, start=90_000, broken=3)
    service.push(lines[:200])
    service.worker._save(service.worker.stream, checkpoint=True)
    name, seen = service.versions.challenger, service.challenging.stream.lines
    service.close()
    other = Service(tmp_path)
    assert other.challenging.phase == "judging"
    assert other.challenging.stream.model.id.startswith(name)
    other.push(lines[200:])
    assert other.challenging.stream.windows > 50
    assert other.challenging.since.startswith("2026-03-03")
    assert seen > 0
    assert other.watching.choosing.challenger()["compared"]["totals"]["both"] >= 1
    other.close()


def test_one_that_is_dropped_is_forgotten_but_stays_in_the_list(service: Service):
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    id_ = service.challenging.stream.model.id
    service.watching.choosing.do("drop")
    service.push(released(5, 6, start=110_000))
    assert service.challenging.stream is None
    assert not service.store.both(id_, AGES_AGO).challenger
    assert service.store.checkpoint(id_) is None
    assert len(service.watching.choosing.versions()) == 2


def test_answers_say_what_the_challenger_makes_of_them(service: Service):
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    service.push(released(60, 4, start=90_000, broken=3))
    lost = next(one for one in service.store.incidents() if "carrier refused" in str(one.incident["reasons"]))
    answers = Answers.load(beside(service.versions.current, "answers"))
    answers.add(Answer("anomalous", lost.pattern, NOW, lost.id, (lost.pattern,)))
    (rejudged,) = service.watching.choosing.challenger()["compared"]["rejudged"]
    assert (rejudged["answer"], rejudged["current"]) == ("anomalous", 1)
    assert rejudged["challenger"] >= 1


def test_an_update_that_fails_is_said_and_the_other_model_goes_on(tmp_path: Path, first: Path):
    service = begun(tmp_path, first, Fails)
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    assert service.said[-1] == "No model could be learned on: nothing can be read."
    assert service.challenging.phase == ""
    assert service.worker.stream.lines > 500
    service.close()


class Slow(At):
    """An update that is made when `Slow.is_done`; notes who stopped it."""

    is_done = False
    stopped = 0

    def poll(self) -> Outcome | None:
        return super().poll() if Slow.is_done else None

    def stop(self) -> None:
        Slow.stopped += 1


def test_one_that_nobody_wants_any_more_while_it_is_learned_is_stopped_and_never_judges(tmp_path: Path, first: Path):
    service = begun(tmp_path, first, Slow)
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    page = TestClient(make_app(service.worker, parts=[partial(pages.install, watching=service.watching)]))
    assert service.challenging.phase == "learning"
    assert "Never mind" in page.get("/model").text
    assert service.watching.choosing.do("drop") == "No challenger is learned any more."
    service.push(released(5, 6, start=110_000))
    Slow.is_done = True
    service.push(released(5, 6, start=111_000))
    assert (service.challenging.phase, service.versions.challenger, Slow.stopped) == ("", "", 1)
    assert service.said[-1] == "No challenger is learned any more."
    assert len(service.versions.every()) == 1
    service.close()


def test_a_challenger_that_breaks_ends_the_challenge_only(service: Service, monkeypatch: pytest.MonkeyPatch):
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.challenging.stream, "push", broken)
    before = service.worker.stream.lines
    service.push(released(20, 5, start=100_000))
    assert service.challenging.stream is None
    assert service.worker.stream.lines > before


def test_where_too_many_lines_wait_the_challenger_is_left_out(service: Service, monkeypatch: pytest.MonkeyPatch):
    service.watching.choosing.do("learn")
    service.push(released(100, 3, start=80_000))
    monkeypatch.setattr("oddlog.service.challenging.MOST_BEHIND", -1)
    service.push(released(20, 5, start=100_000))
    assert service.watching.choosing.challenger()["missed"] > 100


def test_programs_and_people_see_it_and_decide(service: Service):
    app = make_app(service.worker, parts=[partial(one.install, watching=service.watching) for one in (reading, pages)])
    client = TestClient(app)
    assert client.get("/v1/drift").json() == {}
    assert client.post("/v1/models", json={"do": "promote"}).status_code == 409
    assert "as soon as there are enough" in client.post("/v1/models", json={"do": "learn"}).json()["says"]
    assert "500 lines" in client.get("/model").text
    service.push(released(100, 3, start=80_000))
    service.push(released(60, 4, start=90_000, broken=3))
    found = client.get("/v1/models").json()
    assert [one["is_challenger"] for one in found["models"]] == [False, True]
    assert found["challenger"]["compared"]["totals"]["both"] >= 1
    page = client.get("/model").text
    assert "judges beside, and tells nobody" in page
    assert "Promote" in page
    assert "only challenger" in page
    promoted = client.post("/model", data={"do": "promote"}, follow_redirects=False)
    assert (promoted.status_code, promoted.headers["location"]) == (303, "/model")
    service.push(released(5, 6, start=110_000))
    assert client.get("/v1/model").json()["id"].startswith(found["challenger"]["model"])
    assert client.post("/model", data={"do": "promote"}).status_code == 400
    client.close()


def test_drift_is_shown_and_proposed_to_be_learned_on(service: Service):
    app = make_app(service.worker, parts=[partial(one.install, watching=service.watching) for one in (reading, pages)])
    client = TestClient(app)
    says = '"<b>retrying</b> <*>": usual 2 %, now 31 %'
    one = Drifted("pay", "types", says, NOW - timedelta(hours=30), 30.0, 0.31, 0.02)
    service.worker.drift = Drift((one,), (Figures("pay", 4.0, 2.0, 0.0, 0.0, 0.1, 0.01),), 9, 1.0)
    assert client.get("/v1/drift").json()["drifted"][0]["now"] == 0.31
    page = client.get("/model").text
    assert "usual 2 %, now 31 %" in page
    assert "<b>retrying" not in page
    assert "1 figure of pay has drifted for a day and more" in page
    assert 'value="learn"' in page
    assert "Nothing has drifted" not in page
    metrics = client.get("/metrics").text
    assert "oddlog_drifted 1.0" in metrics
    assert "oddlog_drift_seconds 108000.0" in metrics
    client.close()


def test_lines_are_kept_from_the_first_sign_of_drift_on(service: Service):
    one = Drifted("pay", "types", "other types", NOW, 1.0, 0.3, 0.0)
    drift = Drift((one,), (), 9, 1.0)
    service.worker.stream.drift = lambda: drift
    service.push(released(5, 3, start=80_000))
    service.push(released(50, 4, start=81_000))
    assert service.challenging.phase == "collecting"
    assert service.watching.choosing.challenger()["kept"] > 100
    assert service.versions.drift["drifted"][0]["says"] == "other types"
    service.worker.stream.drift = Drift
    service.push(released(5, 4, start=90_000))
    assert service.challenging.phase == ""
    assert service.watching.choosing.challenger()["kept"] == 0


def test_what_cannot_be_done_is_said(service: Service):
    choosing = service.watching.choosing
    with pytest.raises(ModelError, match="No model challenges"):
        choosing.do("promote")
    with pytest.raises(ModelError, match="judges already"):
        choosing.do("challenge", service.versions.name[:6])
    with pytest.raises(ConfigError, match="nothing that can be done"):
        choosing.do("dance")
    choosing.do("learn")
    assert choosing.do("drop") == "No challenger is learned any more."
