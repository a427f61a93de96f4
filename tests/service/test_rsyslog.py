"""A real rsyslog follows a file and sends its lines: by TCP, TLS, UDP, and as to Elasticsearch; all of them arrive.

Waits for the clock: rsyslog is another process and has one of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest

from certificates import make_certificates
from oddlog.formats import detect_format
from oddlog.sources.addresses import parse_address
from oddlog.sources.spool import Spool
from oddlog.sources.syslog import SyslogServer
from oddlog.types import Tally
from serving import Serving
from small_shop import shop_lines

RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
pytestmark = pytest.mark.skipif(RSYSLOGD is None, reason="rsyslog is not installed: apt-get install rsyslog")
PATIENCE_S = 60.0
LINES = shop_lines(60, 7)


class Rsyslog:
    """rsyslogd in the foreground, with a folder of its own."""

    def __init__(self, folder: Path, *rules: str) -> None:
        self.log = folder / "app.log"
        self.log.write_text("\n".join(LINES) + "\n")
        head = [
            f'global(workDirectory="{folder}" net.enableDNS="off")',
            'module(load="imfile")',
            f'input(type="imfile" File="{self.log}" Tag="shop:" Severity="info" Facility="local0")',
        ]
        path = folder / "rsyslog.conf"
        path.write_text("\n".join([*head, *rules]) + "\n")
        self.said = (folder / "said").open("wb")
        command = [str(RSYSLOGD), "-n", "-f", str(path), "-i", str(folder / "pid")]
        self.process = subprocess.Popen(command, stdout=self.said, stderr=subprocess.STDOUT)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Callable[..., Rsyslog]]:
    started: list[Rsyslog] = []

    def start(*rules: str) -> Rsyslog:
        folder = tmp_path / "rsyslog"
        folder.mkdir()
        started.append(Rsyslog(folder, *rules))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", Tally())
    yield made
    made.close()


def arrived(spool: Spool, one: Rsyslog) -> dict[str, list[str]]:
    """The lines in the spool by source, once there are as many as were sent."""
    until = time.monotonic() + PATIENCE_S
    while spool.appended < len(LINES):
        assert one.process.poll() is None, Path(one.said.name).read_text()
        assert time.monotonic() < until, (spool.appended, Path(one.said.name).read_text())
        time.sleep(0.02)
    frame = spool.poll(10 * len(LINES), 0.0).lines
    return {name: rows["text"].to_list() for (name,), rows in frame.group_by("source", maintain_order=True)}


TLS = (
    'protocol="tcp" StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name"'
    ' StreamDriverPermittedPeers="localhost"'
)
FORWARDS = [
    ("udp", 'protocol="udp"', "syslog/127.0.0.1"),
    ("tcp", 'protocol="tcp"', "syslog/127.0.0.1"),
    ("tcp", 'protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"', "syslog5424/127.0.0.1"),
    ("tls", f'{TLS} template="RSYSLOG_SyslogProtocol23Format"', "syslog5424/127.0.0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "how", "source"), FORWARDS, ids=["udp", "tcp", "tcp-octets", "tls"])
def test_all_lines_that_rsyslog_forwards_are_kept_as_they_were(
    kind: str, how: str, source: str, rsyslog: Callable[..., Rsyslog], spool: Spool, tmp_path: Path
):
    query, before = "", ""
    if kind == "tls":
        made = make_certificates(tmp_path)
        query = f"?cert={made.server_cert}&key={made.server_key}&ca={made.ca}"
        before = (
            f'global(DefaultNetstreamDriverCAFile="{made.ca}" DefaultNetstreamDriverCertFile="{made.client_cert}" '
            f'DefaultNetstreamDriverKeyFile="{made.client_key}")'
        )
    server = SyslogServer([parse_address(f"{kind}://127.0.0.1:0{query}")], spool.append)
    server.start()
    port = server.places[0].rpartition(":")[2]
    try:
        one = rsyslog(before, f'action(type="omfwd" target="127.0.0.1" port="{port}" {how})')
        found = arrived(spool, one)
    finally:
        server.stop()
    assert list(found) == [source]
    assert [text.partition("shop")[2].partition("2026-")[2] for text in found[source]] == [
        line.removeprefix("2026-") for line in LINES
    ]
    assert server.lines == len(LINES)
    assert not server.tally.counts


def test_all_lines_that_rsyslog_sends_as_to_elasticsearch_are_kept_and_read(
    rsyslog: Callable[..., Rsyslog], spool: Spool, tmp_path: Path, quick_model: Path
):
    pytest.importorskip("uvicorn")
    if not list(Path("/usr/lib").glob("**/rsyslog/omelasticsearch.so")):
        pytest.skip("rsyslog's module is not installed: apt-get install rsyslog-elasticsearch")
    with Serving(spool, tmp_path, quick_model) as port:
        one = rsyslog(
            'module(load="omelasticsearch")',
            'template(name="doc" type="list" option.jsonf="on") {'
            ' property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")'
            ' property(outname="host" name="hostname" format="jsonf")'
            ' property(outname="service" name="programname" format="jsonf")'
            ' property(outname="level" name="syslogseverity-text" format="jsonf")'
            ' property(outname="message" name="msg" format="jsonf") }',
            f'action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" bulkmode="on" template="doc"'
            ' searchIndex="logs" action.resumeRetryCount="-1")',
        )
        found = arrived(spool, one)
    assert list(found) == ["es/logs"]
    texts = found["es/logs"]
    assert [orjson.loads(text)["message"] for text in texts] == LINES
    records = detect_format(pl.Series(texts), year=2026).format.parse(pl.Series(texts), year=2026)
    assert set(records["service"]) == {"shop"}
    assert records["message"][0] == LINES[0].partition(": ")[2]
    assert str(records["time"][0]).startswith("2026-03-02 08:00:")  # the line's own, not that of sending
