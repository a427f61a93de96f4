"""Sinks keep their contract, and incidents reach them in order, again where they failed, and once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from oddlog.errors import ConfigError, SinkRefusedError, SinkUnavailableError
from oddlog.sinks import parse
from oddlog.sinks.http import AlertmanagerSink
from oddlog.sinks.told import summary
from oddlog.testing import check_sink, live_incidents
from oddlog.types import LineRef
from stored_incidents import live as stored

pytest.importorskip("sqlalchemy")
from oddlog.service.dispatching import LEAST_TRIES, LONGEST_WAIT_S, OLDEST_S, Dispatcher
from oddlog.store import Store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Receiver:
    """A web server that notes what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, object]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                if status < 300:
                    receiver.got.append((self.path, json.loads(body)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("kind", ["webhook", "slack", "alertmanager"])
def test_every_sink_by_http_keeps_the_contract(kind: str, receiver: Receiver):
    check_sink(lambda: parse(f"{kind}+{receiver.url}/hook/secret"), lambda: parse(f"{kind}+http://127.0.0.1:9"))
    assert len(receiver.got) == 2 * len(live_incidents())


def test_the_file_keeps_the_contract_and_holds_a_line_for_each_change(tmp_path: Path):
    path = tmp_path / "incidents.jsonl"
    check_sink(lambda: parse(f"file:{path}"), lambda: parse(f"file:{tmp_path}/none/incidents.jsonl"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 2 * len(live_incidents())
    assert {row["change"] for row in rows} == {"new", "grown", "over", "withdrawn"}


def test_a_sink_that_makes_no_sense_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'slack'"):
        parse("slak+https://hooks.example.com")
    with pytest.raises(ConfigError, match="is no sink"):
        parse("https://hooks.example.com")


def test_the_secret_in_the_path_is_not_told_and_tells_two_sinks_apart():
    one, other = (
        parse(f"slack+https://user:pw@hooks.example.com/services/{name}").name for name in ("T0/AAA", "T0/BBB")
    )
    assert one != other
    assert "AAA" not in one
    assert "pw" not in one


def test_slack_shows_log_text_as_text(receiver: Receiver):
    live = live_incidents()[4]
    parse(f"slack+{receiver.url}").send(live)
    ((_, body),) = receiver.got
    assert "<b>" not in json.dumps(body)
    assert "&lt;b&gt;" in body["text"]
    assert len(body["blocks"][0]["text"]["text"]) <= 3_000


def test_a_title_says_where_also_of_lines_that_name_no_service():
    lines = tuple(LineRef(f"/var/log/{name}", 1, "", 1.0) for name in ("app.log", "app.log", "pods/pay/0.log"))
    nowhere: tuple[str, ...] = ()
    why = "never seen before: “x”"
    assert summary(stored(1, services=("pay", "web"))) == f"{why} in pay, web"
    assert summary(stored(1, services=nowhere, hosts=("till-3",))) == f"{why} on till-3"
    assert (
        summary(stored(1, "over", services=nowhere, hosts=nowhere, lines=lines)) == f"Over: {why} in app.log, pay/0.log"
    )
    assert summary(stored(1, services=nowhere, hosts=nowhere, lines=())) == why
    assert summary(stored(1), 20) == "never seen b… in pay"


def test_alertmanager_resolves_what_is_over_under_the_same_labels(receiver: Receiver):
    sink = AlertmanagerSink(f"{receiver.url}/alerts/", clock=lambda: NOW)
    new, grown, over, _ = live_incidents()[4:]
    for live in (new, grown, over):
        sink.send(live)
    assert {path for path, _ in receiver.got} == {"/alerts/api/v2/alerts"}
    (first,), (second,), (last,) = (body for _, body in receiver.got)
    assert first["labels"] == second["labels"] == last["labels"]
    assert datetime.fromisoformat(first["endsAt"]) > NOW
    assert datetime.fromisoformat(last["endsAt"]) == NOW
    assert first["startsAt"] == "2026-03-02T08:00:00+00:00"


@pytest.mark.parametrize(("status", "headers", "wait"), [(503, {}, 15.0), (429, {"Retry-After": "7"}, 7.0)])
def test_what_may_pass_is_to_be_tried_again(receiver: Receiver, status: int, headers: dict[str, str], wait: float):
    receiver.answers = [(status, headers)]
    with pytest.raises(SinkUnavailableError) as said:
        parse(f"webhook+{receiver.url}").send(live_incidents()[0])
    assert said.value.retry_after_s == wait


@pytest.mark.parametrize("answer", [(404, {}), (302, {"Location": "http://127.0.0.1:9/elsewhere"})])
def test_what_will_not_pass_is_refused_and_redirects_are_not_followed(receiver: Receiver, answer: tuple):
    receiver.answers = [answer]
    with pytest.raises(SinkRefusedError):
        parse(f"webhook+{receiver.url}").send(live_incidents()[0])


class Post:
    """A store with letters, and a dispatcher that goes on when it is told."""

    def __init__(self, folder: Path, *texts: str) -> None:
        self.now = NOW.timestamp()
        self.store = Store(folder / "oddlog.db", clock=lambda: datetime.fromtimestamp(self.now, UTC))
        self.sinks = [parse(text) for text in texts]
        self.dispatcher = Dispatcher(self.store, self.sinks, clock=lambda: self.now)

    def write(self, *which: int) -> None:
        names = [sink.name for sink in self.sinks]
        self.store.save("m", [live_incidents()[i] for i in which], sinks=names)

    def deliver(self, seconds: float = 0.0) -> None:
        self.now += seconds
        while self.dispatcher.turn():
            pass


def test_each_change_is_sent_once_and_in_order(receiver: Receiver, tmp_path: Path):
    post = Post(tmp_path, f"webhook+{receiver.url}")
    post.write(4)
    post.write(4, 5)  # found anew after a restart, and grown
    post.write(6)
    post.deliver()
    assert [body["change"] for _, body in receiver.got] == ["new", "grown", "over"]
    assert post.store.count_letters("sent") == 3
    post.store.close()


def test_a_sink_that_is_down_for_ten_minutes_gets_everything_afterwards(receiver: Receiver, tmp_path: Path):
    post = Post(tmp_path, f"webhook+{receiver.url}", f"file:{tmp_path}/incidents.jsonl")
    receiver.answers = [(503, {})] * 8
    post.write(0, 4)
    for _ in range(60):
        post.deliver(10.0)
    post.write(5)
    post.deliver(600.0)
    post.deliver(600.0)
    assert [(body["id"][0], body["change"]) for _, body in receiver.got] == [("0", "new"), ("1", "new"), ("1", "grown")]
    assert len((tmp_path / "incidents.jsonl").read_text().splitlines()) == 3  # the other sink did not wait
    assert post.store.count_letters("waiting") == 0
    post.store.close()


def test_what_is_refused_or_too_old_becomes_a_dead_letter_that_says_why(receiver: Receiver, tmp_path: Path):
    post = Post(tmp_path, f"webhook+{receiver.url}")
    receiver.answers = [(410, {})]
    post.write(0)
    post.deliver()
    receiver.answers = [(503, {})] * 2 * LEAST_TRIES
    post.write(4)
    for _ in range(LEAST_TRIES):
        post.deliver(OLDEST_S / LEAST_TRIES)
    assert len(post.store.letters("dead")) == 1  # a day, and no more
    post.deliver(LONGEST_WAIT_S)
    dead = post.store.letters("dead")
    assert [letter.told["incident"]["id"][0] for letter in dead] == ["1", "0"]
    assert "answered 410" in dead[1].said
    assert "Given up after a day" in dead[0].said
    post.store.close()
