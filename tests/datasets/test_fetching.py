"""Files of public records: cut connections go on, wrong lengths and damage are refused. A server on loopback answers."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from oddlog.datasets import KNOWN, registry
from oddlog.datasets.fetching import PINS, Record, fetch
from oddlog.datasets.registry import Known, fetch_set, prepare
from oddlog.errors import ConfigError, InputError

CONTENT = bytes(range(256)) * 4096


@dataclass
class Served:
    """What the server gives, and what it was asked."""

    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    ranges: bool = True
    status: list[int] = field(default_factory=list)  # of the first answers, instead of the content
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def record(self, **facts) -> Record:
        content = {"md5": hashlib.md5(CONTENT).hexdigest(), "size": len(CONTENT)} | facts
        return Record(self.url, "logs.bin", **content)


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            if state.status:
                self.send_error(state.status.pop(0))
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if begin >= len(state.content):
                self.send_error(416)
                return
            rest = state.content[begin:]
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(state.content) - 1}/{len(state.content)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: state.cut_after.pop(0)] if state.cut_after else rest)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/logs.bin"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def never(_seconds: float) -> None:
    raise AssertionError("nothing had to be tried again")


def test_a_file_comes_whole_and_is_pinned(served: Served, tmp_path: Path):
    said: list[tuple[int, int]] = []
    path = fetch(served.record(), tmp_path, say=lambda come, of: said.append((come, of)), wait=never)
    assert path.read_bytes() == CONTENT
    assert said[-1] == (len(CONTENT), len(CONTENT))
    pins = orjson.loads((tmp_path / PINS).read_bytes())
    assert pins["logs.bin"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["logs.bin", PINS]


def test_what_is_there_is_not_fetched_again(served: Served, tmp_path: Path):
    fetch(served.record(), tmp_path, wait=never)
    fetch(served.record(), tmp_path, wait=never)
    assert served.asked == [""]


def test_a_cut_connection_goes_on_where_it_was(served: Served, tmp_path: Path):
    served.cut_after = [300_000, 100_000]
    waited: list[float] = []
    assert fetch(served.record(), tmp_path, wait=waited.append).read_bytes() == CONTENT
    assert served.asked == ["", "bytes=300000-", "bytes=400000-"]
    assert waited == [2.0, 2.0]


def test_a_fetch_that_was_ended_goes_on_in_the_next_one(served: Served, tmp_path: Path):
    (tmp_path / "logs.bin.part").write_bytes(CONTENT[:500_000])
    assert fetch(served.record(), tmp_path, wait=never).read_bytes() == CONTENT
    assert served.asked == ["bytes=500000-"]


def test_a_server_that_cannot_go_on_begins_anew(served: Served, tmp_path: Path):
    served.ranges = False
    (tmp_path / "logs.bin.part").write_bytes(b"x" * 500_000)
    assert fetch(served.record(), tmp_path, wait=never).read_bytes() == CONTENT


def test_more_than_there_is_begins_anew(served: Served, tmp_path: Path):
    (tmp_path / "logs.bin.part").write_bytes(CONTENT + b"x")
    assert fetch(served.record(), tmp_path, wait=lambda _: None).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_longer_each_time(served: Served, tmp_path: Path):
    served.status = [503, 429, 500]
    waited: list[float] = []
    fetch(served.record(), tmp_path, wait=waited.append)
    assert waited == [2.0, 4.0, 8.0]


def test_a_server_that_gives_nothing_is_given_up_and_what_came_is_kept(served: Served, tmp_path: Path):
    served.cut_after = [1000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(InputError, match="1,000 bytes have come and are kept: type the same again"):
        fetch(served.record(), tmp_path, wait=lambda _: None)
    assert (tmp_path / "logs.bin.part").stat().st_size == 1000


def test_what_is_not_there_is_told_at_once(served: Served, tmp_path: Path):
    served.status = [404]
    with pytest.raises(InputError, match="answers 404 Not Found"):
        fetch(served.record(), tmp_path, wait=never)


def test_a_wrong_length_is_refused_and_removed(served: Served, tmp_path: Path):
    served.content = CONTENT[:-1]
    with pytest.raises(InputError, match="its length is 1048575, not 1048576"):
        fetch(served.record(), tmp_path, wait=never)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_refused_and_removed(served: Served, tmp_path: Path):
    served.content = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match=r"its MD5 is \w+, not \w+. It was removed; type the same again"):
        fetch(served.record(), tmp_path, wait=never)
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_the_first_time_is_refused(served: Served, tmp_path: Path):
    fetch(served.record(md5="", size=0), tmp_path, wait=never).unlink()
    served.content = CONTENT[::-1]
    with pytest.raises(InputError, match=r"its SHA-256 is .* as of the first time"):
        fetch(served.record(md5="", size=0), tmp_path, wait=never)


def test_a_file_that_was_damaged_on_disk_is_noticed(served: Served, tmp_path: Path):
    path = fetch(served.record(), tmp_path, wait=never)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="is not what it should be"):
        fetch(served.record(), tmp_path, wait=never)
    assert fetch(served.record(), tmp_path, wait=never).read_bytes() == CONTENT


def test_an_address_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="is no address of the web"):
        fetch(Record("file:///etc/passwd", "x"), tmp_path, wait=never)


def test_a_set_is_fetched_unpacked_and_prepared(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("HDFS.log", "081109 203518 143 INFO dfs.DataNode: Receiving block blk_1 src: /10.0.0.1:5\n")
        archive.writestr("preprocessed/anomaly_label.csv", "BlockId,Label\nblk_1,Anomaly\n")
    served.content = packed.getvalue()
    hdfs = KNOWN["hdfs"]
    monkeypatch.setitem(KNOWN, "hdfs", Known(hdfs.about, hdfs.write, hdfs.folder, Record(served.url, "HDFS_v1.zip")))
    folder = fetch_set("hdfs", tmp_path / "data", wait=never)
    assert folder == tmp_path / "data" / "hdfs"
    made = prepare("hdfs", tmp_path / "data", tmp_path / "sets")
    assert made.sources == ("hdfs.log",)
    assert (made.folder / "labels.csv").read_text() == "key,label\nblk_1,1\n"


def test_a_damaged_archive_says_so(tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        registry.unpack(tmp_path / "x.zip", tmp_path / "to")


def test_a_set_without_a_record_says_which_have_one(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"'nova' has no record to fetch.*These have one: hdfs, bgl, thunderbird"):
        fetch_set("nova", tmp_path)


def test_raw_files_that_are_not_there_name_the_command_that_fetches_them(tmp_path: Path):
    with pytest.raises(InputError, match="Type: oddlog datasets fetch hdfs --to"):
        prepare("hdfs", tmp_path / "none", tmp_path / "sets")
