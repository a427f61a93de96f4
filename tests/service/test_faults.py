"""What goes wrong around the service: it stays up, says so, and catches up. Nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import resource
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import oddlog
from small_shop import shop_lines

pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
from oddlog.errors import SinkRefusedError, SinkUnavailableError
from oddlog.pipeline.live.held import MOST_LINES
from oddlog.pipeline.live.streaming import Streaming
from oddlog.service.dispatching import Dispatcher
from oddlog.service.worker import Worker
from oddlog.sinks import parse
from oddlog.sources.spool import Spool
from oddlog.store import Store, StoreUnavailableError
from oddlog.types import LiveIncident, Tally
from real_server import Server
from stored_incidents import live

NEVER_FULL = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def server(quick_model: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(quick_model, tmp_path / "data")
    yield server
    server.process.kill()
    server.process.wait()


def test_a_full_disk_is_told_and_everything_acknowledged_is_judged_afterwards(server: Server, tmp_path: Path):
    """A limit on the size of files stands for the disk: writes fail as they do there, and are cut as they are there."""
    texts = shop_lines(120, 11, broken=2)
    assert server.push(texts[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    sizes = [path.stat().st_size for path in (tmp_path / "data").rglob("*") if path.is_file()]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (min(size for size in sizes if size) + 100, -1))
    assert not server.push(texts[200:300])
    assert "lines cannot be kept: File too large" in server.says("/readyz")[1]
    assert server.metric("oddlog_spool_failing") == 1
    assert server.metric("oddlog_worker_up") == 1
    server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)  # the next checkpoint
    assert "nothing can be stored" in server.says("/readyz")[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, NEVER_FULL)
    for at in range(200, len(texts), 60):
        assert server.push(texts[at : at + 60])
    server.wait_for(lambda: server.says("/readyz")[1] == "ok" and server.metric("oddlog_lines_behind") == 0)
    assert server.metric('oddlog_lines_total{endpoint="lines"}') == len(texts)
    assert server.end(signal.SIGTERM) == 0


SMALL_DISK = ["unshare", "-Urm", "sh", "-c", 'mkdir -p "$0" && mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"']


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where a disk of 24 MiB is mounted, for one process and what it starts."""
    if subprocess.run([*SMALL_DISK, str(tmp_path / "disk"), "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: unshare -Urm, or mount -t tmpfs, is not allowed")
    return tmp_path / "disk"


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        all(file.write(bytes(4_096)) for _ in iter(int, 1))


def test_a_disk_without_space_is_told_and_everything_acknowledged_is_judged_once_there_is_some(
    disk: Path, quick_model: Path
):
    server = Server(quick_model, disk / "data", before=[*SMALL_DISK, str(disk)])
    try:
        texts = shop_lines(120, 11, broken=4)
        assert server.push(texts[:200])
        server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
        filler = Path(f"/proc/{server.process.pid}/root{disk}/filler")
        fill(filler)
        assert not server.push(texts[200:] * 20)
        assert server.says("/readyz") == (503, "lines cannot be kept: No space left on device")
        assert server.metric("oddlog_spool_failing") == 1
        server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)  # the next checkpoint
        assert server.says("/readyz")[1].startswith("nothing can be stored: database or disk is full")
        assert server.says("/healthz") == (200, "ok")
        filler.unlink()
        for at in range(200, len(texts), 60):
            assert server.push(texts[at : at + 60])
        server.wait_for(lambda: server.says("/readyz") == (200, "ok") and server.metric("oddlog_lines_behind") == 0)
        server.wait_for(lambda: [one["n_windows"] for one in server.incidents()] == [4])
        assert server.end(signal.SIGTERM) == 0
    finally:
        server.process.kill()
        server.process.wait()


def test_while_another_holds_the_database_lines_are_taken_and_what_is_odd_is_stored_later(
    server: Server, tmp_path: Path
):
    other = sqlite3.connect(tmp_path / "data" / "oddlog.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for at in range(0, len(lines := shop_lines(120, 11, broken=4)), 100):
        assert server.push(lines[at : at + 100])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)
    assert "nothing can be stored" in server.says("/readyz")[1]
    other.execute("COMMIT")
    other.close()
    server.wait_for(lambda: server.says("/readyz")[1] == "ok")
    server.wait_for(lambda: '"n_windows"' in server.get("/v1/incidents"))


class Deaf:
    """A sink that is down until it is told otherwise."""

    name = "deaf"

    def __init__(self) -> None:
        self.down, self.told = True, []

    def send(self, live: LiveIncident) -> None:
        if self.down:
            raise SinkUnavailableError("deaf does not answer.", 15.0)
        self.told.append((live.incident.id, live.change))


class Receiver(BaseHTTPRequestHandler):
    """Takes what a webhook sends."""

    told: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_webhook_that_is_down_for_ten_minutes_is_told_everything_once_and_in_order(tmp_path: Path):
    """Nobody listens there; it is tried ever less often, and told within five minutes of its coming back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    Receiver.told.clear()
    store, now = Store(tmp_path / "oddlog.db"), [2_000_000_000.0]
    sink = parse(f"webhook+http://{place[0]}:{place[1]}/", internal=True)
    dispatcher = Dispatcher(store, [sink], clock=lambda: now[0])
    tries = 0
    for second in range(600):
        if second % 60 == 0:  # something happens each minute, while it is down
            store.save("m", [live(second // 60)], None, [sink.name])
        if second == 300:
            store.save("m", [live(0, "over")], None, [sink.name])
        tries += dispatcher.turn()
        now[0] += 1.0
    assert store.count_letters("waiting") == 11
    assert tries < 60  # not each second
    server = ThreadingHTTPServer(place, Receiver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    waited_s = 0
    while store.count_letters("waiting"):
        dispatcher.turn()
        now[0] += 1.0
        waited_s += 1
        assert waited_s < 320
    server.shutdown()
    server.server_close()
    told = [(one["id"], one["change"]) for one in Receiver.told]
    assert sorted(told) == sorted([(live(n).incident.id, "new") for n in range(10)] + [(live(0).incident.id, "over")])
    assert told.index((live(0).incident.id, "new")) < told.index((live(0).incident.id, "over"))
    assert store.count_letters("dead") == 0
    store.close()


def test_a_letter_is_not_sent_twice_where_the_store_goes_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store, sink, now = Store(tmp_path / "oddlog.db"), Deaf(), [2_000_000.0]
    sink.down = False
    dispatcher = Dispatcher(store, [sink], clock=lambda: now[0])
    store.save("m", [live(1)], None, ["deaf"])
    now[0] = store.letters("waiting")[0].written + 1

    def gone(*_: object) -> None:
        raise StoreUnavailableError("Nothing can be stored: gone.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "sent", gone)
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                dispatcher.turn()
    assert dispatcher.turn() == 1
    assert (len(sink.told), store.count_letters("sent"), dispatcher.turn()) == (1, 1, 0)
    store.close()


class Choosy:
    """A sink that refuses whatever it is told while it is wrongly set up."""

    name = "choosy"

    def __init__(self) -> None:
        self.wrong, self.told = True, []

    def send(self, live: LiveIncident) -> None:
        if self.wrong:
            raise SinkRefusedError("choosy answered 401.", "Look at its token.")
        self.told.append((live.incident.id, live.change))


@pytest.mark.parametrize("at_once", [True, False], ids=["both letters wait", "one after the other"])
def test_what_was_refused_as_new_is_not_told_as_over(at_once: bool, tmp_path: Path):
    store, sink = Store(tmp_path / "oddlog.db"), Choosy()
    dispatcher = Dispatcher(store, [sink])
    store.save("m", [live(1)], None, [sink.name])
    if not at_once:
        assert dispatcher.turn() == 1
    store.save("m", [live(1, "over")], None, [sink.name])
    while dispatcher.turn():
        sink.wrong = store.count_letters("dead") == 0  # mended after the first letter
    assert sink.told == []
    assert [store.count_letters(state) for state in ("dead", "needless", "waiting")] == [1, 1, 0]
    store.save("m", [live(1)], None, [sink.name])  # it goes on after all
    store.save("m", [live(1, "over")], None, [sink.name])
    while dispatcher.turn():
        pass
    assert sink.told == [(live(1).incident.id, "new"), (live(1).incident.id, "over")]
    store.close()


def test_what_was_refused_as_new_is_new_to_the_sink_when_it_grows(tmp_path: Path):
    store, sink = Store(tmp_path / "oddlog.db"), Choosy()
    dispatcher = Dispatcher(store, [sink])
    store.save("m", [live(1)], None, [sink.name])
    assert dispatcher.turn() == 1
    sink.wrong = False
    for n, change in ((3, "grown"), (9, "grown"), (9, "over")):
        store.save("m", [live(1, change, n_windows=n)], None, [sink.name])
        assert dispatcher.turn() == 1
    assert [change for _, change in sink.told] == ["new", "grown", "over"]
    store.close()


def test_what_was_taken_as_new_is_told_as_over_though_its_growth_was_refused(tmp_path: Path):
    store, sink = Store(tmp_path / "oddlog.db"), Choosy()
    dispatcher = Dispatcher(store, [sink])
    for wrong, change, n in ((False, "new", 1), (True, "grown", 4), (False, "over", 4)):
        sink.wrong = wrong
        store.save("m", [live(1, change, n_windows=n)], None, [sink.name])
        assert dispatcher.turn() == 1
    assert [change for _, change in sink.told] == ["new", "over"]
    store.close()


def test_a_clock_that_is_set_to_another_day_gives_no_letter_up(tmp_path: Path):
    """A machine begins in 1970, writes letters, and has its clock set: they are not a day old."""
    store, sink, now = Store(tmp_path / "oddlog.db"), Deaf(), [2_000_000.0]
    dispatcher = Dispatcher(store, [sink], clock=lambda: now[0])
    store.save("m", [live(1)], None, ["deaf"])
    now[0] = store.letters("waiting")[0].written + 40 * 365 * 86_400.0
    for _ in range(5):
        dispatcher.turn()
        now[0] += 400.0
    sink.down = False
    dispatcher.turn()
    assert sink.told == [(live(1).incident.id, "new")]
    store.close()


@pytest.mark.parametrize("jump_s", [-86_400.0, -7_200.0, 7_200.0])
def test_a_clock_that_jumps_holds_no_letter_back(jump_s: float, tmp_path: Path):
    store, sink, now = Store(tmp_path / "oddlog.db"), Deaf(), [2_000_000.0]
    dispatcher = Dispatcher(store, [sink], clock=lambda: now[0])
    store.save("model", [live(1)], None, ["deaf"])
    with_clock = [one.number for one in store.letters("waiting")]
    assert len(with_clock) == 1
    now[0] = store.letters("waiting")[0].written + 1
    for _ in range(5):  # put off, ever longer
        dispatcher.turn()
        now[0] += 400.0
    sink.down = False
    now[0] += jump_s
    for _ in range(10):
        dispatcher.turn()
        now[0] += 60.0
    assert sink.told == [(live(1).incident.id, "new")]
    store.close()


def test_a_flood_of_distinct_messages_garbage_and_long_lines_is_bounded_and_counted(quick_model: Path, tmp_path: Path):
    now = [0.0]
    stream = Streaming(oddlog.load(quick_model), sample_lines=50, max_unseen=500, max_text_bytes=1 << 18)
    worker = Worker(Spool(tmp_path / "spool", Tally()), stream, Store(tmp_path / "oddlog.db"), clock=lambda: now[0])
    words = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"]
    head = "2026-03-02 09:00:00,000 ERROR shop.web: "
    flood = [f"{head}{a} lost {b}" for a in words[:60] for b in words[:60]]
    garbage = ["\x00\x01\x02", "\ufffd" * 2_000, "{" * 500, "\x1b[31m" * 50, "[" * 300 + "]" * 300, "é" * 64_000]
    worker.spool.append([("shop", flood[:100]), ("junk", garbage * 20), ("shop", flood[100:])])
    for _ in range(8):
        worker.turn(0.0)
        now[0] += 0.5
    assert worker.failure is None
    assert worker.behind == 0
    assert stream.lines == len(flood) + 20 * len(garbage)
    assert stream._encoding.matcher.n_unseen == 500  # the others are one type
    assert sum(map(len, stream._teller.unfolding._held.lines)) <= MOST_LINES
    assert stream.tally.counts["odd line beyond 200 of one push, not told by itself"] > 3_000
    worker.store.close()
    worker.spool.close()
