"""The database goes away under load: lines are taken all the while, it is told everywhere, and what was found is stored
once it is back. Real processes: they wait for the clock.
"""

from __future__ import annotations

import math
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oddlog
from oddlog import load
from oddlog.pipeline.live.versions import SHORT, Versions
from small_shop import shop_lines

pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
from oddlog.store import Asked, Store, StoreUnavailableError
from oddlog.store.place import PUT_BACK_S
from postgres_server import Postgres, start_postgres
from real_server import Server
from stored_incidents import live

TEXTS = shop_lines(120, 11, broken=4)


@pytest.fixture
def serve(quick_model: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*words: str) -> Server:
        started.append(Server(quick_model, tmp_path / "data", *words))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture
def odd(quick_model: Path, tmp_path: Path) -> set[str]:
    """Keys of the odd windows of all lines, as one run over the file finds them."""
    log = tmp_path / "whole.log"
    log.write_text("".join(f"{text}\n" for text in TEXTS))
    return {key for one in oddlog.load(quick_model).detect(log).incidents for key in one.keys}


def push_all(server: Server, texts: list[str]) -> None:
    for at in range(0, len(texts), 40):
        assert server.push(texts[at : at + 40])


def is_told(server: Server, why: str) -> None:
    """What is wrong stands everywhere that somebody looks, and the service is alive."""
    server.wait_for(lambda: server.metric("oddlog_store_failing") == 1)
    status, said = server.says("/readyz")
    assert (status, why in said) == (503, True), said
    assert said.startswith("nothing can be stored: ")
    assert server.says("/healthz") == (200, "ok")


def is_caught_up(server: Server, odd: set[str]) -> None:
    server.wait_for(lambda: server.says("/readyz") == (200, "ok") and server.metric("oddlog_lines_behind") == 0)
    server.wait_for(lambda: odd <= {key for one in server.incidents() for key in one["keys"]})
    assert server.metric("oddlog_store_failing") == 0
    found = server.incidents()
    keys = [key for one in found for key in one["keys"]]
    assert len({one["id"] for one in found}) == len(found)
    assert len(keys) == len(set(keys))
    assert server.end(signal.SIGTERM) == 0


def test_postgresql_stopped_under_load_and_back(serve: Callable[..., Server], postgres: Postgres, odd: set[str]):
    server = serve("--store", postgres.url)
    push_all(server, TEXTS[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    postgres.stop()
    push_all(server, TEXTS[200:])
    is_told(server, "connection")
    assert math.isnan(server.metric("oddlog_letters_waiting"))
    for path, accept in (("/", "text/html"), ("/v1/incidents", "application/json")):
        status, said = server.says(path, accept)
        assert (status, "Nothing can be read: connection" in said) == (503, True), said
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)  # judged without it
    postgres.start()
    is_caught_up(server, odd)


def test_postgresql_that_hangs_keeps_no_line_from_being_taken(
    serve: Callable[..., Server], postgres: Postgres, odd: set[str]
):
    """It is there and does not answer: no error comes, however long one waits."""
    server = serve("--store", postgres.url)
    push_all(server, TEXTS[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    postgres.signal(signal.SIGSTOP)
    try:
        push_all(server, TEXTS[200:400])
        server.wait_for(lambda: server.says("/readyz")[0] == 503)
        push_all(server, TEXTS[400:])
        is_told(server, "the store does not answer")
        for path, accept in (("/", "text/html"), ("/v1/incidents", "application/json")):
            status, said = server.says(path, accept)
            assert (status, "the store does not answer" in said) == (503, True), said
    finally:
        postgres.signal(signal.SIGCONT)
    is_caught_up(server, odd)


def test_a_file_that_is_moved_away_and_put_back_goes_on_where_it_was(
    serve: Callable[..., Server], odd: set[str], tmp_path: Path
):
    server, kept, away = serve(), tmp_path / "data" / "oddlog.db", tmp_path / "away.db"
    push_all(server, TEXTS[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    kept.rename(away)
    push_all(server, TEXTS[200:])
    is_told(server, "oddlog.db is gone")
    assert not kept.exists()  # nobody has made an empty one in its place
    status, page = server.says("/", "text/html")
    assert (status, "oddlog.db is gone" in page) == (200, True)  # what it holds open can be read
    away.rename(kept)
    is_caught_up(server, odd)


def test_lines_are_refused_while_the_folder_that_they_are_kept_in_is_gone(
    serve: Callable[..., Server], odd: set[str], tmp_path: Path
):
    server, kept, away = serve(), tmp_path / "data" / "spool", tmp_path / "away"
    push_all(server, TEXTS[:200])
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    kept.rename(away)
    assert not server.push(TEXTS[200:240])  # acknowledged, they would be lost
    assert server.says("/readyz") == (503, "lines cannot be kept: the folder of the spool is gone")
    assert server.metric("oddlog_spool_failing") == 1
    assert server.says("/healthz") == (200, "ok")
    away.rename(kept)
    push_all(server, TEXTS[200:])
    is_caught_up(server, odd)


def test_the_whole_folder_is_deleted_and_made_anew(tmp_path: Path, quick_model: Path, odd: set[str]):
    """Incidents, answers and tokens of before are gone with it; lines, the model and what comes are not."""
    data = tmp_path / "data"
    versions = Versions(data / "models")
    shutil.copytree(quick_model, versions.place())
    versions.add(versions.place(), "brought")
    server = Server(None, data)
    try:
        push_all(server, TEXTS[:200])
        server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
        shutil.rmtree(data)
        said = "Nothing can be written: the folder of the spool is gone."
        assert server.refuses(TEXTS[200:240]) == (503, "5", said)
        assert server.says("/readyz") == (503, "lines cannot be kept: the folder of the spool is gone")
        assert server.says("/healthz") == (200, "ok")
        server.wait_for(lambda: server.push(TEXTS[200:240]))  # a minute later
        push_all(server, TEXTS[240:])
        is_caught_up(server, odd)
    finally:
        server.process.kill()
        server.process.wait()
    assert versions.name == load(quick_model).id[:SHORT]  # a restart judges on with it


class Steady:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_that_is_gone_for_good_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    steady = Steady()
    store = Store(tmp_path / "oddlog.db", steady=steady)
    store.save("m", [live(1)], (7, b"state"))
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(StoreUnavailableError, match="Put it back; 60 s after it went a new one is begun"):
        store.save("m", [live(2)])
    steady.now += PUT_BACK_S - 1
    with pytest.raises(StoreUnavailableError):
        store.save("m", [live(2)])
    steady.now += 1
    store.save("m", [live(2)], (8, b"state"))
    assert [one.id for one in store.page(Asked()).rows] == [live(2).incident.id]
    assert store.checkpoint("m") == (8, b"state")
    assert "was not put back: a new one is begun" in caplog.text
    store.close()
    again = Store(tmp_path / "oddlog.db")
    assert again.checkpoint("m") == (8, b"state")
    again.close()


def test_another_file_in_its_place_is_not_written_to(tmp_path: Path):
    """Whoever restores a backup under a running service is told to start it anew: its own log belongs to the old file."""
    store, other = Store(tmp_path / "oddlog.db"), Store(tmp_path / "other.db")
    store.save("m", [live(1)], (7, b"state"))
    other.close()
    shutil.copy(tmp_path / "other.db", tmp_path / "copied.db")
    (tmp_path / "copied.db").replace(tmp_path / "oddlog.db")
    before = (tmp_path / "oddlog.db").read_bytes()
    with pytest.raises(StoreUnavailableError, match="another file than the one that was opened"):
        store.save("m", [live(2)])
    assert (tmp_path / "oddlog.db").read_bytes() == before
    store.close()
