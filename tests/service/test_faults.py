"""What goes wrong around the service: it stays up, says so, and catches up. Nothing that was acknowledged is lost."""

from __future__ import annotations

import resource
import signal
import sqlite3
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

import oddlog
from small_shop import shop_lines

pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
from test_kill import Server

from oddlog.errors import SinkUnavailableError
from oddlog.pipeline.live.held import MOST_LINES
from oddlog.pipeline.live.streaming import Streaming
from oddlog.service.dispatching import Dispatcher
from oddlog.service.worker import Worker
from oddlog.sources.spool import Spool
from oddlog.store import Store
from oddlog.types import LiveIncident, Tally
from stored_incidents import live

NEVER_FULL = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def server(quick_model: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(quick_model, tmp_path / "data")
    yield server
    server.process.kill()
    server.process.wait()


def says(server: Server, path: str) -> str:
    try:
        return server.get(path)
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_a_full_disk_is_told_and_everything_acknowledged_is_judged_afterwards(server: Server, tmp_path: Path):
    """A limit on the size of files stands for the disk: writes fail as they do there, and are cut as they are there."""
    texts = shop_lines(120, 11, broken=2)
    assert server.push(texts[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    sizes = [path.stat().st_size for path in (tmp_path / "data").rglob("*") if path.is_file()]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (min(size for size in sizes if size) + 100, -1))
    assert not server.push(texts[200:300])
    assert "lines cannot be kept: File too large" in says(server, "/readyz")
    assert server.metric("oddlog_spool_failing") == 1
    assert server.metric("oddlog_worker_up") == 1
    server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)  # the next checkpoint
    assert "nothing can be stored" in says(server, "/readyz")
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, NEVER_FULL)
    for at in range(200, len(texts), 60):
        assert server.push(texts[at : at + 60])
    server.wait_for(lambda: says(server, "/readyz") == "ok" and server.metric("oddlog_lines_behind") == 0)
    assert server.metric('oddlog_lines_total{endpoint="lines"}') == len(texts)
    assert server.end(signal.SIGTERM) == 0


def test_while_another_holds_the_database_lines_are_taken_and_what_is_odd_is_stored_later(
    server: Server, tmp_path: Path
):
    other = sqlite3.connect(tmp_path / "data" / "oddlog.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for at in range(0, len(lines := shop_lines(120, 11, broken=4)), 100):
        assert server.push(lines[at : at + 100])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)
    assert "nothing can be stored" in says(server, "/readyz")
    other.execute("COMMIT")
    other.close()
    server.wait_for(lambda: says(server, "/readyz") == "ok")
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
    assert stream._matcher.n_unseen == 500  # the others are one type
    assert sum(map(len, stream._unfolding._held.lines)) <= MOST_LINES
    assert stream.tally.counts["odd line beyond 200 of one push, not told by itself"] > 3_000
    worker.store.close()
    worker.spool.close()
