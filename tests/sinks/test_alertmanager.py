"""A real Alertmanager takes incidents, once each under its label, and resolves them when they are over.

Waits for the clock: Alertmanager is another process.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oddlog.sinks import parse
from oddlog.testing import check_sink, live_incidents
from oddlog.types import LiveIncident

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="Alertmanager is not installed: apt-get install prometheus-alertmanager"
)
PATIENCE_S = 60.0


class Alertmanager:
    """Alertmanager with a receiver that notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.told: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.told.extend(body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.receiver.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        (folder / "alertmanager.yml").write_text(
            "route: {receiver: page, group_by: [incident], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
            "receivers:\n  - name: page\n    webhook_configs:\n"
            f"      - {{url: 'http://127.0.0.1:{self.receiver.server_port}/', send_resolved: true}}\n"
        )
        command = [str(PROGRAM), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
        command += [f"--web.listen-address={self.url.removeprefix('http://')}", "--cluster.listen-address="]
        self.said = (folder / "said").open("wb")
        self.process = subprocess.Popen(command, stdout=self.said, stderr=subprocess.STDOUT)
        self.until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, Path(self.said.name).read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def alerts(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return json.loads(answer.read())

    def until(self, holds: Any) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, Path(self.said.name).read_text()
            time.sleep(0.02)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.said.close()
        self.receiver.shutdown()
        self.thread.join()
        self.receiver.server_close()


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    made = Alertmanager(tmp_path)
    yield made
    made.close()


def lately(live: LiveIncident) -> LiveIncident:
    now = datetime.now(UTC)
    return replace(live, incident=replace(live.incident, start=now - timedelta(minutes=2), end=now))


def test_incidents_are_alerts_once_each_and_resolved_when_over(alertmanager: Alertmanager):
    sink = parse(f"alertmanager+{alertmanager.url}")
    new, grown, over, _ = map(lately, live_incidents()[4:])
    sink.send(new)
    sink.send(new)  # after a crash between sending and noting it
    sink.send(grown)
    (alert,) = alertmanager.alerts()
    assert alert["labels"] == {"alertname": "oddlog", "incident": "1" * 16}
    assert alert["status"]["state"] in ("active", "unprocessed")
    assert alert["annotations"]["services"].startswith("pay, ")
    alertmanager.until(lambda: alertmanager.told)
    sink.send(over)
    alertmanager.until(lambda: any(one["status"] == "resolved" for one in alertmanager.told))
    assert alertmanager.alerts() == []
    assert [one["status"] for one in alertmanager.told] == ["firing", "resolved"]


def test_alertmanager_takes_whatever_an_incident_may_hold(alertmanager: Alertmanager):
    check_sink(lambda: parse(f"alertmanager+{alertmanager.url}"), lambda: parse("alertmanager+http://127.0.0.1:9"))
