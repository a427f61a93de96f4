"""A real syslog-ng follows a file and sends its lines: by TCP, TLS and UDP; all of them arrive.

Waits for the clock: syslog-ng is another process and has one of its own. As a package it excludes rsyslog, so that
`.ci/run` unpacks it into .cache/syslog-ng.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certificates import make_certificates
from oddlog.sources.addresses import parse_address
from oddlog.sources.spool import Spool
from oddlog.sources.syslog import SyslogServer
from oddlog.types import Tally
from small_shop import shop_lines

UNPACKED = Path(__file__).resolve().parents[2] / ".cache" / "syslog-ng"
INSTALLED = shutil.which("syslog-ng", path="/usr/sbin:/usr/bin:/sbin")
PROGRAM = INSTALLED or next(map(str, UNPACKED.glob("usr/sbin/syslog-ng")), None)
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="syslog-ng is not installed: apt-get install syslog-ng-core")
PATIENCE_S = 60.0
LINES = shop_lines(60, 7)


class SyslogNg:
    """syslog-ng in the foreground, with a folder of its own."""

    def __init__(self, folder: Path, destination: str) -> None:
        folder.mkdir()
        self.log, config = folder / "app.log", folder / "syslog-ng.conf"
        self.log.write_text("\n".join(LINES) + "\n")
        config.write_text(
            "@version: 3.35\noptions { use-dns(no); keep-hostname(yes); };\n"
            f'source s_src {{ file("{self.log}" follow-freq(0.2) flags(no-parse) program-override("shop")); }};\n'
            f"destination d_oddlog {{ {destination} }};\nlog {{ source(s_src); destination(d_oddlog); }};\n"
        )
        self.said = (folder / "said").open("wb")
        words = ["-F", "-f", config, "-R", folder / "persist", "-p", folder / "pid", "-c", folder / "control"]
        environment = dict(os.environ)
        if not INSTALLED:
            modules = next(UNPACKED.glob("usr/lib/syslog-ng/*/"))
            words += [f"--module-path={modules}"]
            environment["LD_LIBRARY_PATH"] = ":".join(map(str, UNPACKED.glob("usr/lib/*")))
        command = [str(PROGRAM), *map(str, words)]
        self.process = subprocess.Popen(command, stdout=self.said, stderr=subprocess.STDOUT, env=environment)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


@pytest.fixture
def syslog_ng(tmp_path: Path) -> Iterator[Callable[[str], SyslogNg]]:
    started: list[SyslogNg] = []

    def start(destination: str) -> SyslogNg:
        started.append(SyslogNg(tmp_path / "syslog-ng", destination))
        return started[-1]

    yield start
    for one in started:
        one.close()


TLS = 'transport("tls") tls(ca-file("{ca}") cert-file("{client_cert}") key-file("{client_key}"))'
DESTINATIONS = [
    ("tcp", 'syslog("127.0.0.1" port({port}) transport("tcp"));', "syslog5424/127.0.0.1"),
    ("tls", f'syslog("localhost" ip-protocol(4) port({{port}}) {TLS});', "syslog5424/127.0.0.1"),
    ("tcp", 'network("127.0.0.1" port({port}) transport("tcp"));', "syslog/127.0.0.1"),
    ("udp", 'network("127.0.0.1" port({port}) transport("udp"));', "syslog/127.0.0.1"),
]


@pytest.mark.parametrize(("kind", "destination", "source"), DESTINATIONS, ids=["tcp", "tls", "tcp-lines", "udp"])
def test_all_lines_that_syslog_ng_sends_are_kept_as_they_were(
    kind: str, destination: str, source: str, syslog_ng: Callable[[str], SyslogNg], tmp_path: Path
):
    spool, query, files = Spool(tmp_path / "spool", Tally()), "", {}
    if kind == "tls":
        made = make_certificates(tmp_path)
        files = {name: getattr(made, name) for name in ("ca", "client_cert", "client_key")}
        query = f"?cert={made.server_cert}&key={made.server_key}&ca={made.ca}"
    server = SyslogServer([parse_address(f"{kind}://127.0.0.1:0{query}")], spool.append)
    server.start()
    try:
        one = syslog_ng(destination.format(port=server.places[0].rpartition(":")[2], **files))
        until = time.monotonic() + PATIENCE_S
        while spool.appended < len(LINES):
            assert one.process.poll() is None, Path(one.said.name).read_text()
            assert time.monotonic() < until, (spool.appended, Path(one.said.name).read_text())
            time.sleep(0.02)
    finally:
        server.stop()
    frame = spool.poll(10 * len(LINES), 0.0).lines
    spool.close()
    assert frame["source"].unique().to_list() == [source]
    parts = [text.partition("2026-03-02 ") for text in frame["text"]]
    assert [day + line for _, day, line in parts] == LINES
    assert all("shop" in header for header, _, _ in parts)
    assert not server.tally.counts
