"""The service by its endpoints, in one process: pushed lines become stored incidents."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import oddlog
from oddlog.pipeline.live.passing import Passing
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources.spool import Spool

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from oddlog.service.api import make_app
from oddlog.service.orphans import NOTE
from oddlog.service.reading import install
from oddlog.service.watching import Watching
from oddlog.service.worker import Worker
from oddlog.store import Store, StoreUnavailableError
from small_shop import shop_lines
from stored_incidents import live

TURNS = 10_000


class Service:
    """A service whose worker goes on when it is told."""

    def __init__(self, model: Path, data: Path, *, most_bytes: int = 1 << 24, sinks: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        loaded = oddlog.load(model)
        stream = Streaming(loaded, sample_lines=50, passing=Passing(len(loaded.context.templates)))
        self.spool = Spool(data / "spool", stream.tally, most_bytes=most_bytes)
        self.store = Store(data / "oddlog.db")
        self.worker = Worker(self.spool, stream, self.store, sinks=sinks, clock=lambda: self.now)
        self.watching = Watching(self.worker, model)
        self.client = TestClient(make_app(self.worker, parts=[partial(install, watching=self.watching)]))

    def judge(self, seconds: int = 30) -> None:
        """Let time pass until all is judged."""
        for _ in range(seconds * 2):
            self.now += 0.5
            self.worker.turn(0.0)

    def close(self) -> None:
        self.client.close()
        self.store.close()
        self.spool.close()


@pytest.fixture
def service(quick_model: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(**options: object) -> Service:
        started.append(Service(quick_model, tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_pushed_lines_become_one_stored_incident(service: Callable[..., Service], odd_log: Path):
    one = service()
    answer = one.client.post("/v1/lines?source=shop", content=odd_log.read_bytes())
    assert answer.status_code == 204
    one.judge()
    (incident,) = one.client.get("/v1/incidents").json()["incidents"]
    assert (incident["n_windows"], incident["change"], incident["provisional"]) == (3, "over", False)
    assert incident["lines"][0]["source"] == "http/shop"
    assert "lost: carrier refused" in incident["lines"][0]["text"]
    whole = one.client.get(f"/v1/incidents/{incident['id']}").json()
    near = whole.pop("near")
    assert whole == incident
    assert [line["odd"] for line in near["lines"]].count(True) >= 1
    assert near["differences"][0]["kind"] == "unseen_template"
    assert one.client.get("/v1/incidents/nope").status_code == 404


def test_files_pushed_one_after_the_other_are_said_to_come_too_late(service: Callable[..., Service]):
    one = service()
    texts = shop_lines(300, 11)
    halves = [texts[: len(texts) // 2], texts[len(texts) // 2 :]]
    for number, half in enumerate(halves):
        one.client.post(f"/v1/lines?source=shop-{number}", content="\n".join(half).encode())
        one.judge()
    assert one.watching.status().late == ""  # as time goes
    one.client.post("/v1/lines?source=again", content="\n".join(halves[0]).encode())
    one.judge()
    assert one.watching.status().late.startswith("34% of the lines came after others of a later time had been judged")


def test_the_same_lines_by_loki_and_gzip_are_judged_alike(service: Callable[..., Service], odd_log: Path):
    one = service()
    values = [[str(1_772_438_400_000_000_000 + i), line] for i, line in enumerate(odd_log.read_text().splitlines())]
    body = json.dumps({"streams": [{"stream": {"app": "shop"}, "values": values}]}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert one.client.post("/loki/api/v1/push", content=gzip.compress(body), headers=headers).status_code == 204
    one.judge()
    (incident,) = one.client.get("/v1/incidents").json()["incidents"]
    assert incident["n_windows"] == 3


def test_a_full_spool_is_answered_by_429_and_nothing_acknowledged_is_lost(
    service: Callable[..., Service], odd_log: Path
):
    one = service(most_bytes=20_000)
    texts = odd_log.read_text().splitlines(keepends=True)
    taken = 0
    for start in range(0, len(texts), 100):
        answer = one.client.post("/v1/lines", content="".join(texts[start : start + 100]))
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) > 0
            break
        taken += len(texts[start : start + 100])
    assert 0 < taken < len(texts)
    one.judge()
    assert one.worker.stream.lines == taken
    assert 'reason="full"' in one.client.get("/metrics").text


def test_clients_of_elasticsearch_and_splunk_are_answered_as_they_expect(service: Callable[..., Service]):
    one = service()
    body = b'{"create":{"_index":"web"}}\n{"message":"hello"}\n'
    for method in ("POST", "PUT"):
        answer = one.client.request(method, "/_bulk", content=body)
        assert (answer.status_code, answer.json()["errors"]) == (200, False)
        assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    for method, path in (
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/_license"),
        ("GET", "/_cluster/health"),
        ("POST", "/web/_refresh"),
    ):
        answer = one.client.request(method, path)
        assert (answer.status_code, answer.headers["X-Elastic-Product"]) == (200, "Elasticsearch")
    event = one.client.post("/services/collector/event", content=b'{"event":"hello"}')
    assert event.json() == {"text": "Success", "code": 0}
    assert one.client.get("/services/collector/health").status_code == 200


def test_what_is_malformed_or_too_large_is_refused_and_counted(service: Callable[..., Service]):
    one = service()
    assert one.client.post("/v1/logs", content=b"\x01nonsense").status_code == 400
    assert one.client.post("/v1/lines", content=bytes(17 << 20)).status_code == 413
    text = one.client.get("/metrics").text
    assert 'oddlog_refused_requests_total{endpoint="otlp",reason="malformed"} 1.0' in text
    assert 'oddlog_refused_requests_total{endpoint="lines",reason="too large"} 1.0' in text


def test_it_is_ready_while_lines_are_judged(service: Callable[..., Service]):
    one = service()
    assert one.client.get("/readyz").status_code == 503
    one.worker.start()
    assert one.client.get("/readyz").text == "ok"
    one.worker.stop()


def test_a_restart_goes_on_and_stores_no_incident_twice(
    service: Callable[..., Service], odd_log: Path, quick_model: Path
):
    texts = odd_log.read_text().splitlines(keepends=True)
    lost = [i for i, text in enumerate(texts) if "lost" in text]
    first = service()
    first.client.post("/v1/lines?source=shop", content="".join(texts[: lost[1] + 1]))
    first.judge(8)
    assert len(first.store.incidents()) == 1
    first.close()  # as by kill -9: no last checkpoint is written
    second = service()
    second.client.post("/v1/lines?source=shop", content="".join(texts[lost[1] + 1 :]))
    second.judge()
    (stored,) = second.store.incidents(every=True)
    whole = oddlog.load(quick_model).detect(odd_log).incidents[0]
    assert stored.incident["n_windows"] == 3
    assert stored.incident["keys"] == list(whole.keys)
    assert second.worker.stream.windows == len(oddlog.load(quick_model).detect(odd_log).scores)


def changes_told(store: Store) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for one in reversed(store.letters("waiting", 1_000)):
        told.setdefault(one.told["incident"]["id"], []).append(one.told["change"])
    return told


def test_what_begins_and_ends_between_two_looks_is_told_as_both(service: Callable[..., Service], odd_log: Path):
    one = service(sinks=("file:x",))
    one.client.post("/v1/lines?source=shop", content=odd_log.read_bytes())  # three hours in one push
    one.judge()
    assert [changes[0] for changes in changes_told(one.store).values()] == ["new"]
    assert [changes[-1] for changes in changes_told(one.store).values()] == ["over"]


@pytest.mark.parametrize("every", [7, 40, 150])
def test_killed_ever_again_each_sink_is_told_what_began_then_what_ended_once(
    service: Callable[..., Service], odd_log: Path, every: int
):
    texts = odd_log.read_text().splitlines(keepends=True)
    for start in range(0, len(texts), every):
        one = service(sinks=("file:x",))
        one.client.post("/v1/lines?source=shop", content="".join(texts[start : start + every]))
        one.judge(2 + start % 5)  # less and more than there is between two checkpoints
        one.close()  # as by kill -9
    last = service(sinks=("file:x",))
    last.judge(90)
    told = changes_told(last.store)
    assert told
    for changes in told.values():
        assert changes[0] == "new"
        assert changes[-1] in ("over", "withdrawn")
        assert changes.count("new") == changes.count("over") + changes.count("withdrawn") == 1


def test_what_was_told_before_a_kill_and_is_not_found_again_is_ended(service: Callable[..., Service], odd_log: Path):
    one = service(sinks=("file:x",))
    model = one.worker.stream.model.id
    one.store.save(model, [live(1)], sinks=["file:x"])
    one.store.save("another model", [live(2)], sinks=["file:x"])
    one.close()
    two = service(sinks=("file:x",))
    two.client.post("/v1/lines?source=shop", content=odd_log.read_bytes())
    two.judge(8)
    assert changes_told(two.store)[f"{2:016x}"] == ["new", "over"]
    assert changes_told(two.store)[f"{1:016x}"] == ["new"]  # it may yet be found
    two.judge(90)
    assert changes_told(two.store)[f"{1:016x}"] == ["new", "withdrawn"]
    assert two.store.incident(f"{1:016x}").incident["notes"] == [NOTE]


def test_while_nothing_can_be_stored_it_stays_up_and_catches_up(
    service: Callable[..., Service], odd_log: Path, monkeypatch: pytest.MonkeyPatch
):
    one = service()
    one.worker.start()
    save = one.store.save

    def locked(*_: object, **__: object) -> None:
        raise StoreUnavailableError("Nothing can be stored: database is locked.")

    monkeypatch.setattr(one.store, "save", locked)
    one.client.post("/v1/lines", content=odd_log.read_bytes())
    for _ in range(TURNS):
        one.now += 0.5
        if one.worker.unstored:
            break
        time.sleep(0.001)  # the worker's thread needs a moment; what it does depends on `now` only
    assert one.client.get("/readyz").status_code == 503
    assert one.store.incidents() == []
    monkeypatch.setattr(one.store, "save", save)
    for _ in range(TURNS):
        one.now += 0.5
        if one.store.incidents():
            break
        time.sleep(0.001)
    assert len(one.store.incidents()) == 1
    one.worker.stop()
    assert one.worker.failure is None
